"""What was done and spent, as rows: calls of tools, and replies of models.

Both are made of the lines alone. Whenever lines are read once more, the same rows result: of a
call by its session and id, of a reply by its id, whichever sessions repeat it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from claude_headspace.events.event import storable
from claude_headspace.events.work import ToolCall, Usage, Work
from claude_headspace.store.arrays import array, text_array
from claude_headspace.store.connection import Database

# Longer inputs are cut. With the rest of its row this is just short of what Postgres would
# compress and store apart.
INPUT_BYTES = 1600


class LinePlace(NamedTuple):
    """A line in a source: a pointer into its archive."""

    source_id: int
    generation: int
    offset: int
    length: int


class _Ended(NamedTuple):
    ended_at: datetime
    outcome: str
    size: int
    place: LinePlace


class _Called(NamedTuple):
    call: ToolCall
    subagent: str | None
    at: datetime
    copy_of: UUID | None
    place: LinePlace


class _Reply(NamedTuple):
    session: UUID
    subagent: str | None
    usage: Usage
    began: datetime
    ended: datetime


CallKey = tuple[UUID, str]


@dataclass(slots=True)
class WorkRows:
    """What lines of one batch say, a row for each call, result and reply."""

    calls: dict[CallKey, _Called] = field(default_factory=dict)
    results: dict[CallKey, _Ended] = field(default_factory=dict)
    replies: dict[str, _Reply] = field(default_factory=dict)

    def take(
        self, work: Work, session: UUID, when: datetime, place: LinePlace, copy_of: UUID | None
    ) -> None:
        """Add what a record says; `copy_of` is the session whose record it repeats."""
        for call in work.calls:
            self.calls[session, call.id] = _Called(call, work.subagent, when, copy_of, place)
        for result in work.results:
            ended = _Ended(when, result.outcome, result.size, place)
            self.results[session, result.id] = ended
        if work.usage is not None:
            self._take_reply(_Reply(session, work.subagent, work.usage, when, when))

    def _take_reply(self, reply: _Reply) -> None:
        """Lines of one reply repeat its usage as far as it was known; the last is right."""
        known = self.replies.get(reply.usage.message_id)
        if known is not None:
            began = min(known.began, reply.began)
            late = (reply.ended, reply.usage.output) >= (known.ended, known.usage.output)
            reply = (reply if late else known)._replace(session=known.session, began=began)
        self.replies[reply.usage.message_id] = reply


_Column = tuple[str, str, Callable[[Any], Any]]
_KEY: tuple[_Column, ...] = (
    ("session_uuid", "uuid", lambda row: row[0][0]),
    ("tool_use_id", "text", lambda row: row[0][1]),
)
_CALL: tuple[_Column, ...] = (
    ("tool", "text", lambda row: row[1].call.tool),
    ("subagent", "text", lambda row: row[1].subagent),
    ("input", "text", lambda row: _cut(row[1].call.input)),
    ("input_bytes", "int", lambda row: memoryview(row[1].call.input).nbytes),
    ("input_whole", "bool", lambda row: memoryview(row[1].call.input).nbytes <= INPUT_BYTES),
    ("started_at", "timestamptz", lambda row: row[1].at.isoformat()),
    ("copy_of", "uuid", lambda row: row[1].copy_of),
    ("source_id", "int", lambda row: row[1].place.source_id),
    ("generation", "int", lambda row: row[1].place.generation),
    ("call_offset", "bigint", lambda row: row[1].place.offset),
    ("call_length", "int", lambda row: row[1].place.length),
)
_RESULT: tuple[_Column, ...] = (
    ("ended_at", "timestamptz", lambda row: row[2] and row[2].ended_at.isoformat()),
    ("outcome", "text", lambda row: row[2] and row[2].outcome),
    ("result_bytes", "int", lambda row: row[2] and row[2].size),
    ("result_source_id", "int", lambda row: row[2] and row[2].place.source_id),
    ("result_generation", "int", lambda row: row[2] and row[2].place.generation),
    ("result_offset", "bigint", lambda row: row[2] and row[2].place.offset),
    ("result_length", "int", lambda row: row[2] and row[2].place.length),
)
_USAGE: tuple[_Column, ...] = (
    ("model", "text", lambda row: row.usage.model),
    ("input_tokens", "bigint", lambda row: row.usage.input),
    ("output_tokens", "bigint", lambda row: row.usage.output),
    ("cache_read_tokens", "bigint", lambda row: row.usage.cache_read),
    ("cache_write_tokens", "bigint", lambda row: row.usage.cache_write),
    ("cache_write_1h_tokens", "bigint", lambda row: row.usage.cache_write_1h),
    ("service_tier", "text", lambda row: row.usage.tier),
    ("stop_reason", "text", lambda row: row.usage.stop_reason),
    ("ended_at", "timestamptz", lambda row: row.ended.isoformat()),
)
_REPLY: tuple[_Column, ...] = (
    ("message_id", "text", lambda row: row.usage.message_id),
    ("session_uuid", "uuid", lambda row: row.session),
    ("subagent", "text", lambda row: row.subagent),
    ("started_at", "timestamptz", lambda row: row.began.isoformat()),
    *_USAGE,
)


def _names(columns: Sequence[_Column], prefix: str = "") -> str:
    return ", ".join(prefix + name for name, _, _ in columns)


def _given(columns: Sequence[_Column]) -> str:
    return f"unnest({', '.join(f'%s::{kind}[]' for _, kind, _ in columns)})"


def _insert(table: str, columns: Sequence[_Column]) -> str:
    return f"INSERT INTO {table} AS t ({_names(columns)}) SELECT * FROM {_given(columns)}"  # noqa: S608


_CALLED = (*_KEY, *_CALL, *_RESULT)
_KEPT = (*_RESULT, *(column for column in _CALL if column[0] == "copy_of"))
_NEW = tuple(column for column in _CALL if column not in _KEPT)
_INSERT_CALLS = (
    f"{_insert('tool_calls', _CALLED)} ON CONFLICT ({_names(_KEY)}) DO UPDATE"
    f" SET ({_names(_NEW)}) = ROW ({_names(_NEW, 'excluded.')}), "
    + ", ".join(f"{name} = coalesce(excluded.{name}, t.{name})" for name, _, _ in _KEPT)
)
_ENDED = (*_KEY, *_RESULT)
_UPDATE_RESULTS = (
    f"UPDATE tool_calls t SET ({_names(_RESULT)}) = ROW ({_names(_RESULT, 'r.')})"  # noqa: S608
    f" FROM {_given(_ENDED)} AS r ({_names(_ENDED)})"
    " WHERE t.session_uuid = r.session_uuid AND t.tool_use_id = r.tool_use_id"
)
# A reply that stands in several sessions is the one's that the others were forked from.
_INSERT_REPLIES = (
    f"{_insert('model_calls', _REPLY)} ON CONFLICT (message_id) DO UPDATE"
    f" SET ({_names(_USAGE)}) = ROW ({_names(_USAGE, 'excluded.')}),"
    " started_at = least(t.started_at, excluded.started_at),"
    " subagent = coalesce(t.subagent, excluded.subagent),"
    " session_uuid = CASE WHEN t.session_uuid <> excluded.session_uuid AND EXISTS"
    " (SELECT FROM agents a WHERE a.session_uuid = t.session_uuid"
    " AND a.forked_from = excluded.session_uuid)"
    " THEN excluded.session_uuid ELSE t.session_uuid END"
    " WHERE (excluded.ended_at, excluded.output_tokens) >= (t.ended_at, t.output_tokens)"
)


class Projections:
    """Makes the statements that store rows of work; they belong with those of a checkpoint."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def statements(self, rows: WorkRows) -> list[str]:
        """The statements for a batch: three at most."""
        called = [(key, call, rows.results.get(key)) for key, call in rows.calls.items()]
        ended = [(k, None, end) for k, end in rows.results.items() if k not in rows.calls]
        return [
            *self._statement(_INSERT_CALLS, _CALLED, called),
            *self._statement(_UPDATE_RESULTS, _ENDED, ended),
            *self._statement(_INSERT_REPLIES, _REPLY, list(rows.replies.values())),
        ]

    def _statement(
        self, statement: str, columns: Sequence[_Column], rows: Sequence[Any]
    ) -> list[str]:
        if not rows:
            return []
        arrays = [
            (text_array if kind == "text" else array)([value(row) for row in rows])
            for _, kind, value in columns
        ]
        return [self._database.mogrify(statement, arrays)]


def _cut(given: Any) -> str:
    begin = bytes(memoryview(given)[:INPUT_BYTES]).decode("utf-8", "replace")
    return storable(begin)[0]
