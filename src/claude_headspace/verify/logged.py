"""The log's side of a check. What was seen is kept in temporary tables, so memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from claude_headspace.store.connection import Database, Row
from claude_headspace.store.leases import HELD_LEASES, LEASE_KEY
from claude_headspace.store.revisions import Identity

PAGE_ROWS = 500
# Annotations of events that were written later than their place in the file says.
LATE = "repaired"
_LATE_NOTES = (LATE, "rules")
IS_LATE = "annotations ?| ARRAY['repaired', 'rules']"

_TURNS = """
SELECT e.id, e.event_key::text, e.session_uuid::text, e.event_type, e.timestamp, e.payload,
    e.annotations, e.retracted_at IS NOT NULL, e.source_id, e.source_offset, e.project_id,
    a.session_uuid::text, a.project_id
FROM events e LEFT JOIN agents a ON a.id = e.agent_id WHERE e.event_key = ANY (%s::uuid[])
"""
_PREPARE = """
CREATE TEMPORARY TABLE verify_seen (event_id bigint PRIMARY KEY, here boolean NOT NULL);
CREATE TEMPORARY TABLE verify_missing (
    event_key uuid, session_uuid uuid, source_id int, PRIMARY KEY (event_key, session_uuid));
CREATE TEMPORARY TABLE verify_files (
    source_id int PRIMARY KEY, size bigint NOT NULL, judged boolean NOT NULL);
CREATE TEMPORARY TABLE verify_rejected (source_id int, source_offset bigint);
SELECT coalesce(max(id), 0) FROM events
"""


@dataclass(frozen=True, slots=True)
class LoggedTurn:
    """An event as it stands in the log, with the session and the project its agent has."""

    id: int
    key: UUID
    session: UUID
    event_type: str
    timestamp: datetime
    payload: Mapping[str, Any]
    annotations: Mapping[str, Any]
    retracted: bool
    source_id: int | None
    source_offset: int | None
    project_id: int | None
    agent_session: UUID | None
    project_of_agent: int | None

    @property
    def late(self) -> bool:
        """Whether it was written after what follows it in its file."""
        return any(note in self.annotations for note in _LATE_NOTES)


@dataclass(frozen=True, slots=True)
class Kept:
    """A row of dead_letters as far as it explains a line."""

    offset: int
    reason: str
    resolved: bool


class LogSide:
    """What the log says, and what was seen of it so far."""

    def __init__(self, database: Database, machine: str | None, session: UUID | None) -> None:
        self.database = database
        self.machine = machine
        self.only = None if session is None else str(session)
        # What is written from now on was not there for the files that were read before it.
        self.ceiling = int(database.execute(_PREPARE)[0][0])

    def turns(self, keys: Iterable[UUID]) -> dict[UUID, list[LoggedTurn]]:
        """The events that have these keys, whatever their session."""
        found: dict[UUID, list[LoggedTurn]] = {}
        if listed := [str(key) for key in keys]:
            for row in self.database.execute(_TURNS, (listed,)):
                found.setdefault(UUID(row[1]), []).append(_logged(row))
        return found

    def dead_letters(self, source_id: int, start: int, end: int) -> list[Kept]:
        """What was kept of the lines from `start` up to `end`."""
        rows = self.database.execute(
            "SELECT source_offset, reason, resolved_at IS NOT NULL FROM dead_letters"
            " WHERE source_id = %s AND source_offset BETWEEN %s AND %s",
            (source_id, start, end),
        )
        return [Kept(*row) for row in rows]

    def set_aside(self, source_id: int) -> frozenset[int]:
        """Where lines of this source start that killed the watcher."""
        rows = self.database.execute(
            "SELECT source_offset FROM dead_letters"
            " WHERE source_id = %s AND reason = 'poison' AND resolved_at IS NULL",
            (source_id,),
        )
        return frozenset(row[0] for row in rows)

    def reject(self, source_id: int, offsets: Sequence[int]) -> None:
        """Note where a file has what is rejected by today's rules."""
        self.database.execute(
            "INSERT INTO verify_rejected SELECT %s, * FROM unnest(%s::bigint[])",
            (source_id, list(offsets)),
        )

    def see(self, events: Mapping[int, bool]) -> set[int]:
        """Note events found in a file, and whether at the place they name; the new ones."""
        if not events:
            return set()
        rows = self.database.execute(
            "INSERT INTO verify_seen SELECT * FROM unnest(%s::bigint[], %s::boolean[])"
            " ON CONFLICT (event_id) DO UPDATE SET here = verify_seen.here OR excluded.here"
            " RETURNING event_id, xmax = 0",
            (list(events), list(events.values())),
        )
        return {event_id for event_id, new in rows if new}

    def miss(self, turns: Iterable[Identity], source_id: int) -> set[Identity]:
        """Note turns of a source that the log does not have; those not noted before."""
        listed = [(str(key), str(session)) for key, session in turns]
        if not listed:
            return set()
        keys, sessions = (list(column) for column in zip(*listed, strict=True))
        rows = self.database.execute(
            "INSERT INTO verify_missing SELECT *, %s FROM unnest(%s::uuid[], %s::uuid[])"
            " ON CONFLICT DO NOTHING RETURNING event_key::text, session_uuid::text",
            (source_id, keys, sessions),
        )
        return _identities(rows)

    def missing(self, source_id: int, keys: Iterable[UUID]) -> set[Identity]:
        """Those of the turns with these keys that were missed in this source."""
        rows = self.database.execute(
            "SELECT event_key::text, session_uuid::text FROM verify_missing"
            " WHERE source_id = %s AND event_key = ANY (%s::uuid[])",
            (source_id, [str(key) for key in keys]),
        )
        return _identities(rows)

    def finish_file(self, source_id: int, size: int, *, judged: bool) -> None:
        """Note that a source was read; `judged`: its lines should explain its events."""
        self.database.execute(
            "INSERT INTO verify_files VALUES (%s, %s, %s) ON CONFLICT (source_id) DO NOTHING",
            (source_id, size, judged),
        )

    def paths(self) -> Iterator[str]:
        """The paths of all sources of this machine."""
        statement = (
            "SELECT id, path FROM checkpoints WHERE machine = %s AND id > %s ORDER BY id LIMIT %s"
        )
        return (row[1] for row in self.pages(statement, self.machine, start=0))

    def pages(self, statement: str, *values: object, start: object) -> Iterator[Row]:
        """The rows of a statement that ends with a bound to its first column, and a limit."""
        last = start
        while rows := self.database.execute(statement, (*values, last, PAGE_ROWS)):
            last = rows[-1][0]
            yield from rows

    def watcher_runs(self) -> bool:
        """Whether a watcher of this machine holds its lock in this database."""
        rows = self.database.execute(
            f"SELECT {LEASE_KEY.format(machine='%s')} = ANY (ARRAY({HELD_LEASES}))", (self.machine,)
        )
        return bool(rows[0][0])


def _identities(rows: Iterable[Row]) -> set[Identity]:
    return {(UUID(key), UUID(session)) for key, session in rows}


def _logged(row: Row) -> LoggedTurn:
    values = list(row)
    values[1], values[2] = UUID(row[1]), UUID(row[2])
    values[5] = row[5] if isinstance(row[5], dict) else {}
    values[6] = row[6] if isinstance(row[6], dict) else {}
    values[11] = row[11] and UUID(row[11])
    return LoggedTurn(*values)
