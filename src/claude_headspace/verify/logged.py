"""The log's side of a check. Results go to temporary tables, which limits memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from claude_headspace.capture.late_writer import LATE
from claude_headspace.events.dead_letter_reasons import POISON
from claude_headspace.store.batches import array, text_array
from claude_headspace.store.connection import Database
from claude_headspace.store.leases import HELD_LEASES, LEASE_KEY
from claude_headspace.store.revisions import TurnName

PAGE_ROWS = 500
# Annotations of events that were written later than their place in the file implies.
_LATE_NOTES = (LATE, "rules")

_TURNS = """
SELECT e.event_key::text, e.id, e.session_uuid::text, e.event_type, e.timestamp,
    CASE jsonb_typeof(payload) WHEN 'object' THEN payload ELSE '{}' END,
    CASE jsonb_typeof(annotations) WHEN 'object' THEN annotations ELSE '{}' END,
    e.retracted_at IS NOT NULL, e.source_id, e.source_offset, e.project_id, a.session_uuid::text,
    a.project_id
FROM events e LEFT JOIN agents a ON a.id = e.agent_id WHERE e.event_key = ANY (%s::uuid[])
"""
_PREPARE = """
CREATE TEMPORARY TABLE verify_lines (
    number bigserial PRIMARY KEY, source_id int, line int, source_offset bigint, event_key uuid,
    session_uuid uuid, line_uuid text, event_id bigint, state text, in_order boolean);
CREATE TEMPORARY TABLE verify_files (
    source_id int PRIMARY KEY, size bigint NOT NULL, judged boolean NOT NULL);
CREATE TEMPORARY TABLE verify_rejected (source_id int, source_offset bigint);
SELECT coalesce(max(id), 0) FROM events
"""
_NOTE = """
INSERT INTO verify_lines (source_id, line, source_offset, event_key, session_uuid, line_uuid,
    event_id, state, in_order)
SELECT %s, * FROM unnest(%s::int[], %s::bigint[], %s::uuid[], %s::uuid[], %s::text[],
    %s::bigint[], %s::text[], %s::boolean[])
"""
# here: at the place that its event names. elsewhere: its event names another place. other: the
# event of this place is of another session. missing: it was read, but has no event.
LineState = Literal["here", "elsewhere", "other", "missing"]


class EventOfTurn(NamedTuple):
    """An event in the log, with the session and project of its agent."""

    id: int
    session: str
    event_type: str
    timestamp: datetime
    payload: Mapping[str, Any]
    annotations: Mapping[str, Any]
    retracted: bool
    source_id: int | None
    source_offset: int | None
    project_id: int | None
    agent_session: str | None
    project_of_agent: int | None

    @property
    def late(self) -> bool:
        """Whether it was written after events that follow it in the file."""
        return any(note in self.annotations for note in _LATE_NOTES)


class NotedLine(NamedTuple):
    """A turn of a file and its event; `in_order`: the event's id shows its order."""

    line: int
    offset: int
    key: UUID
    session: UUID
    line_uuid: str | None
    event_id: int | None
    state: LineState
    in_order: bool = False


class Explanation(NamedTuple):
    """The part of a dead letter that explains a line."""

    offset: int
    reason: str
    resolved: bool


class LogSide:
    """The log's events, and which of them were found in files so far."""

    def __init__(self, database: Database, machine: str | None, session: UUID | None) -> None:
        self.database = database
        self.machine = machine
        self.only = None if session is None else str(session)
        # Later events could not be found in files that were read before them.
        self.ceiling = int(database.execute(_PREPARE)[0][0])

    def turns(self, keys: Iterable[UUID]) -> dict[UUID, list[EventOfTurn]]:
        """The events with these keys, of any session."""
        found: dict[UUID, list[EventOfTurn]] = {}
        if listed := [str(key) for key in keys]:
            for row in self.database.execute(_TURNS, (listed,)):
                found.setdefault(UUID(row[0]), []).append(EventOfTurn._make(row[1:]))
        return found

    def note(self, source_id: int, found: Sequence[NotedLine]) -> None:
        """Store the results for lines of a source."""
        if found:
            line, offset, key, session, uuid, event, state, in_order = zip(*found, strict=True)
            columns = (
                array(line), array(offset), array(key), array(session), text_array(uuid),
                array(event), array(state), list(in_order),
            )  # fmt: skip
            self.database.execute(_NOTE, (source_id, *columns))

    def dead_letters(self, source_id: int, start: int, end: int) -> list[Explanation]:
        """The dead letters of the lines from `start` to `end`."""
        rows = self.database.execute(
            "SELECT source_offset, reason, resolved_at IS NOT NULL FROM dead_letters"
            " WHERE source_id = %s AND source_offset BETWEEN %s AND %s",
            (source_id, start, end),
        )
        return [Explanation(*row) for row in rows]

    def poison(self, source_id: int) -> frozenset[int]:
        """The offsets of lines of this source that killed the watcher."""
        letters = self.dead_letters(source_id, 0, 2**63 - 1)
        return frozenset(o for o, reason, resolved in letters if reason == POISON and not resolved)

    def reject(self, source_id: int, offsets: Sequence[int]) -> None:
        """Store where a file has lines that the current rules reject."""
        self.database.execute(
            "INSERT INTO verify_rejected SELECT %s, * FROM unnest(%s::bigint[])",
            (source_id, list(offsets)),
        )

    def finish_file(self, source_id: int, size: int, *, judged: bool) -> None:
        """Record that a source was read; `judged`: its lines should explain its events."""
        self.database.execute(
            "INSERT INTO verify_files VALUES (%s, %s, %s) ON CONFLICT (source_id) DO NOTHING",
            (source_id, size, judged),
        )

    def missing(self, source_id: int, keys: Iterable[UUID]) -> set[TurnName]:
        """Those of the turns with these keys that are missing in this source."""
        rows = self.database.execute(
            "SELECT event_key::text, session_uuid::text FROM verify_lines"
            " WHERE source_id = %s AND state = 'missing' AND event_key = ANY (%s::uuid[])",
            (source_id, [str(key) for key in keys]),
        )
        return {(UUID(key), UUID(session)) for key, session in rows}

    def paths(self) -> Iterator[str]:
        """The paths of all sources of this machine."""
        last = 0
        page = (
            "SELECT id, path FROM checkpoints WHERE machine = %s AND id > %s ORDER BY id LIMIT %s"
        )
        while rows := self.database.execute(page, (self.machine, last, PAGE_ROWS)):
            last = rows[-1][0]
            yield from (path for _, path in rows)

    def watcher_runs(self) -> bool:
        """Whether a watcher of this machine holds its lock in this database."""
        rows = self.database.execute(
            f"SELECT {LEASE_KEY.format(machine='%s')} = ANY (ARRAY({HELD_LEASES}))", (self.machine,)
        )
        return bool(rows[0][0])
