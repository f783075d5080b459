"""Work as rows: tool calls, and replies of models.

Both are derived from the lines alone, so reading lines again results in the same rows: for a call
by its session and id, for a reply by its id, whichever sessions repeat it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec.structs import astuple, replace

from claude_headspace.events.event import REPLACEMENT
from claude_headspace.events.work import Work
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
            size = memoryview(call.input).nbytes
            self.calls[session, call.id] = _Call(
                session, call.id, tool=call.tool, subagent=work.subagent,
                input=cut_input(call.input), input_bytes=size, input_whole=size <= INPUT_BYTES,
                started_at=when, copy_of=copy_of, source_id=place.source_id,
                generation=place.generation, call_offset=place.offset, call_length=place.length,
            )  # fmt: skip
        for result in work.results:
            ended = _Result(session, result.id, when, result.outcome, result.size, *place)
            self.results[session, result.id] = ended
        if work.usage is not None:
            message_id, *told = astuple(work.usage)
            self._add_reply(_Reply(message_id, session, work.subagent, when, when, *told))

    def _add_reply(self, reply: _Reply) -> None:
        """Add a reply: its lines repeat the usage known so far, and the last one is right."""
        known = self.replies.get(reply.message_id)
        if known is not None:
            began = min(known.started_at, reply.started_at)
            new = (reply.ended_at, reply.output_tokens) >= (known.ended_at, known.output_tokens)
            last = reply if new else known
            reply = replace(last, session_uuid=known.session_uuid, started_at=began)
        self.replies[reply.message_id] = reply


def cut_input(given: msgspec.Raw | bytes) -> str:
    """The part of an input that is stored in its row."""
    begin = bytes(memoryview(given)[:INPUT_BYTES]).decode("utf-8", "replace")
    return begin.replace("\0", REPLACEMENT)


_CALL_COLUMNS = ", ".join(_Call.__struct_fields__)
# Reading the call again must not remove a result that is on another line.
_INSERT_CALLS = f"""
INSERT INTO tool_calls AS t ({_CALL_COLUMNS})
SELECT {_CALL_COLUMNS} FROM json_populate_recordset(NULL::tool_calls, %s::json)
ON CONFLICT (session_uuid, tool_use_id) DO UPDATE SET
    tool = excluded.tool, subagent = excluded.subagent, input = excluded.input,
    input_bytes = excluded.input_bytes, input_whole = excluded.input_whole,
    started_at = excluded.started_at, source_id = excluded.source_id,
    generation = excluded.generation, call_offset = excluded.call_offset,
    call_length = excluded.call_length, copy_of = coalesce(excluded.copy_of, t.copy_of),
    ended_at = coalesce(excluded.ended_at, t.ended_at),
    outcome = coalesce(excluded.outcome, t.outcome),
    result_bytes = coalesce(excluded.result_bytes, t.result_bytes),
    result_source_id = coalesce(excluded.result_source_id, t.result_source_id),
    result_generation = coalesce(excluded.result_generation, t.result_generation),
    result_offset = coalesce(excluded.result_offset, t.result_offset),
    result_length = coalesce(excluded.result_length, t.result_length)
"""  # noqa: S608
_UPDATE_RESULTS = """
UPDATE tool_calls t SET ended_at = r.ended_at, outcome = r.outcome, result_bytes = r.result_bytes,
    result_source_id = r.result_source_id, result_generation = r.result_generation,
    result_offset = r.result_offset, result_length = r.result_length
FROM json_populate_recordset(NULL::tool_calls, %s::json) r
WHERE t.session_uuid = r.session_uuid AND t.tool_use_id = r.tool_use_id
"""
_REPLY_COLUMNS = ", ".join(_Reply.__struct_fields__)
# A reply in several sessions belongs to the one from which the others were forked.
_INSERT_REPLIES = f"""
INSERT INTO model_calls AS t ({_REPLY_COLUMNS})
SELECT {_REPLY_COLUMNS} FROM json_populate_recordset(NULL::model_calls, %s::json)
ON CONFLICT (message_id) DO UPDATE SET
    ended_at = excluded.ended_at, model = excluded.model, input_tokens = excluded.input_tokens,
    output_tokens = excluded.output_tokens, cache_read_tokens = excluded.cache_read_tokens,
    cache_write_tokens = excluded.cache_write_tokens,
    cache_write_1h_tokens = excluded.cache_write_1h_tokens,
    service_tier = excluded.service_tier, stop_reason = excluded.stop_reason,
    started_at = least(t.started_at, excluded.started_at),
    subagent = coalesce(t.subagent, excluded.subagent),
    session_uuid = CASE WHEN t.session_uuid <> excluded.session_uuid AND EXISTS
        (SELECT FROM agents a WHERE a.session_uuid = t.session_uuid
            AND a.forked_from = excluded.session_uuid)
        THEN excluded.session_uuid ELSE t.session_uuid END
WHERE (excluded.ended_at, excluded.output_tokens) >= (t.ended_at, t.output_tokens)
"""  # noqa: S608


def work_statements(database: Database, rows: WorkRows) -> list[str]:
    """The statements that store the work of a batch, to run with those of a checkpoint."""
    for key, call in rows.calls.items():
        if (ended := rows.results.pop(key, None)) is not None:
            for name in _Result.__struct_fields__:
                setattr(call, name, getattr(ended, name))
    # Rows as JSON are four times cheaper than arrays.
    return [
        database.mogrify(statement, (msgspec.json.encode(list(found.values())).decode(),))
        for statement, found in (
            (_INSERT_CALLS, rows.calls),
            (_UPDATE_RESULTS, rows.results),
            (_INSERT_REPLIES, rows.replies),
        )
        if found
    ]
