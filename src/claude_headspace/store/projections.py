"""Work as rows: tool calls, and replies of models.

Both are derived from the lines alone, so reading lines again results in the same rows: for a call
by its session and id, for a reply by its id, whichever sessions repeat it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from msgspec.structs import astuple, replace

from claude_headspace.events.event import REPLACEMENT
from claude_headspace.events.work import TokenUsage, ToolCall, Work
from claude_headspace.store.connection import Database

# Longer inputs are cut. A row with this much is just short of what Postgres would compress and
# store separately.
INPUT_BYTES = 1600


class LinePlace(NamedTuple):
    """The place of a line in a source and its archive."""

    source_id: int
    generation: int
    offset: int
    length: int


class _Result(msgspec.Struct, gc=False):
    """The columns of tool_calls that come from the result."""

    session_uuid: UUID
    tool_use_id: str
    ended_at: datetime | None = None
    outcome: str | None = None
    result_bytes: int | None = None
    result_source_id: int | None = None
    result_generation: int | None = None
    result_offset: int | None = None
    result_length: int | None = None


class _Call(_Result, kw_only=True, gc=False):
    """A complete row of tool_calls."""

    tool: str
    subagent: str | None
    input: str
    input_bytes: int
    input_whole: bool
    started_at: datetime
    copy_of: UUID | None
    source_id: int
    generation: int
    call_offset: int
    call_length: int


class _Reply(msgspec.Struct, gc=False):
    """A row of model_calls."""

    message_id: str
    session_uuid: UUID
    subagent: str | None
    started_at: datetime
    ended_at: datetime
    model: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    service_tier: str | None
    stop_reason: str | None


_Key = tuple[UUID, str]


@dataclass(slots=True)
class WorkRows:
    """The rows of one batch of lines: one for each call, result and reply."""

    calls: dict[_Key, _Call] = field(default_factory=dict)
    results: dict[_Key, _Result] = field(default_factory=dict)
    replies: dict[str, _Reply] = field(default_factory=dict)

    def add(
        self, work: Work, session: UUID, when: datetime, place: LinePlace, copy_of: UUID | None
    ) -> None:
        """Add the work of a record; `copy_of` is the session whose record it repeats."""
        for call in work.calls:
            row = _called(call, session, work.subagent, when, place, copy_of)
            self.calls[session, call.id] = row
        for result in work.results:
            ended = _Result(session, result.id, when, result.outcome, result.size, *place)
            self.results[session, result.id] = ended
        if work.usage is not None:
            self._add_reply(_replied(work.usage, session, work.subagent, when))

    def _add_reply(self, reply: _Reply) -> None:
        """Add a reply: its lines repeat the usage known so far, and the last one is right."""
        known = self.replies.get(reply.message_id)
        if known is not None:
            began = min(known.started_at, reply.started_at)
            new = (reply.ended_at, reply.output_tokens) >= (known.ended_at, known.output_tokens)
            last = reply if new else known
            reply = replace(last, session_uuid=known.session_uuid, started_at=began)
        self.replies[reply.message_id] = reply


def _called(
    call: ToolCall, session: UUID, subagent: str | None, when: datetime, place: LinePlace,
    copy_of: UUID | None,
) -> _Call:  # fmt: skip
    size = memoryview(call.input).nbytes
    return _Call(
        session, call.id, tool=call.tool, subagent=subagent, input=cut_input(call.input),
        input_bytes=size, input_whole=size <= INPUT_BYTES, started_at=when, copy_of=copy_of,
        source_id=place.source_id, generation=place.generation, call_offset=place.offset,
        call_length=place.length,
    )  # fmt: skip


def cut_input(given: msgspec.Raw | bytes) -> str:
    """The part of an input that is stored in its row."""
    begin = bytes(memoryview(given)[:INPUT_BYTES]).decode("utf-8", "replace")
    return begin.replace("\0", REPLACEMENT)


def _replied(usage: TokenUsage, session: UUID, subagent: str | None, when: datetime) -> _Reply:
    message_id, *told = astuple(usage)
    return _Reply(message_id, session, subagent, when, when, *told)


def _columns(of: type[msgspec.Struct], *, but: Sequence[str] = ()) -> list[str]:
    return [name for name in of.__struct_fields__ if name not in but]


def _listed(columns: Sequence[str], prefix: str = "") -> str:
    return ", ".join(prefix + name for name in columns)


def _given(table: str) -> str:
    return f"json_populate_recordset(NULL::{table}, %s::json)"


def _insert(table: str, columns: Sequence[str]) -> str:
    names = _listed(columns)
    return f"INSERT INTO {table} AS t ({names}) SELECT {names} FROM {_given(table)}"  # noqa: S608


_CALL_KEY = ("session_uuid", "tool_use_id")
_RESULT = _columns(_Result, but=_CALL_KEY)
# Reading the call again must not remove a result that is on another line.
_KEPT = (*_RESULT, "copy_of")
_NEW = _columns(_Call, but=(*_CALL_KEY, *_KEPT))
_INSERT_CALLS = (
    f"{_insert('tool_calls', _columns(_Call))} ON CONFLICT ({_listed(_CALL_KEY)}) DO UPDATE"
    f" SET ({_listed(_NEW)}) = ROW ({_listed(_NEW, 'excluded.')}), "
    + ", ".join(f"{name} = coalesce(excluded.{name}, t.{name})" for name in _KEPT)
)
_UPDATE_RESULTS = (
    f"UPDATE tool_calls t SET ({_listed(_RESULT)}) = ROW ({_listed(_RESULT, 'r.')})"  # noqa: S608
    f" FROM {_given('tool_calls')} AS r"
    " WHERE t.session_uuid = r.session_uuid AND t.tool_use_id = r.tool_use_id"
)
_USAGE = _columns(_Reply, but=("message_id", "session_uuid", "subagent", "started_at"))
# A reply in several sessions belongs to the one from which the others were forked.
_INSERT_REPLIES = (
    f"{_insert('model_calls', _columns(_Reply))} ON CONFLICT (message_id) DO UPDATE"
    f" SET ({_listed(_USAGE)}) = ROW ({_listed(_USAGE, 'excluded.')}),"
    " started_at = least(t.started_at, excluded.started_at),"
    " subagent = coalesce(t.subagent, excluded.subagent),"
    " session_uuid = CASE WHEN t.session_uuid <> excluded.session_uuid AND EXISTS"
    " (SELECT FROM agents a WHERE a.session_uuid = t.session_uuid"
    " AND a.forked_from = excluded.session_uuid)"
    " THEN excluded.session_uuid ELSE t.session_uuid END"
    " WHERE (excluded.ended_at, excluded.output_tokens) >= (t.ended_at, t.output_tokens)"
)


class Projections:
    """Makes the statements that store rows of work, to run with those of a checkpoint."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def statements(self, rows: WorkRows) -> list[str]:
        """The statements for a batch: three at most."""
        for key, call in rows.calls.items():
            if (ended := rows.results.pop(key, None)) is not None:
                for name in _RESULT:
                    setattr(call, name, getattr(ended, name))
        return [
            *self._statement(_INSERT_CALLS, list(rows.calls.values())),
            *self._statement(_UPDATE_RESULTS, list(rows.results.values())),
            *self._statement(_INSERT_REPLIES, list(rows.replies.values())),
        ]

    def _statement(self, statement: str, rows: Sequence[Any]) -> list[str]:
        """One statement; rows as JSON are four times cheaper than arrays."""
        if not rows:
            return []
        return [self._database.mogrify(statement, (msgspec.json.encode(rows).decode(),))]
