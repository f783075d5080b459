"""The database's side of a check. What was seen is kept there too, so memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from claude_headspace.store.connection import Database, Row

PAGE_ROWS = 500

_TURNS = """
SELECT e.id, e.event_key::text, e.session_uuid::text, e.event_type, e.timestamp, e.payload,
    e.annotations, e.source_id, e.source_offset, e.project_id, a.session_uuid::text, a.project_id
FROM events e LEFT JOIN agents a ON a.id = e.agent_id
WHERE e.event_key = ANY (%s::uuid[]) AND e.retracted_at IS NULL
"""
# Events of this host's sources that stand in no file, by what became of their place.
_KEPT = """
INSERT INTO verify_sessions (session_uuid, kept, kept_elsewhere)
SELECT e.session_uuid, count(*) FILTER (WHERE f.source_id IS NULL OR e.source_offset >= f.size),
    count(*) FILTER (WHERE e.source_offset < f.size)
FROM events e JOIN source_positions s ON s.id = e.source_id
LEFT JOIN verify_files f ON f.source_id = e.source_id
WHERE s.host = %s AND e.event_type = 'turn_detected' AND e.id <= %s AND e.retracted_at IS NULL
    AND (%s::uuid IS NULL OR e.session_uuid = %s::uuid)
    AND NOT EXISTS (SELECT FROM verify_seen v WHERE v.event_id = e.id)
GROUP BY e.session_uuid
ON CONFLICT (session_uuid) DO UPDATE
SET kept = excluded.kept, kept_elsewhere = excluded.kept_elsewhere
"""
_MOVED = """
SELECT e.id, e.session_uuid::text, e.source_offset, s.path
FROM verify_seen v JOIN events e ON e.id = v.event_id
JOIN verify_files f ON f.source_id = e.source_id JOIN source_positions s ON s.id = e.source_id
WHERE NOT v.here AND e.source_offset IS NOT NULL AND e.id > %s ORDER BY e.id LIMIT %s
"""
_UNANNOUNCED = """
SELECT a.session_uuid::text FROM verify_sessions v JOIN agents a USING (session_uuid)
WHERE a.announced AND a.session_uuid > %s AND NOT EXISTS (
    SELECT FROM events e WHERE e.agent_id = a.id AND e.event_type = 'session_registered')
ORDER BY a.session_uuid LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class LoggedTurn:
    """An event as it stands in the log, with the session and the project its agent has."""

    id: int
    key: UUID
    session: UUID
    event_type: str
    timestamp: datetime
    payload: dict[str, Any]
    annotations: dict[str, Any]
    source_id: int | None
    source_offset: int | None
    project_id: int | None
    agent_session: UUID | None
    project_of_agent: int | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A rejection as far as it explains a line."""

    offset: int
    reason: str
    resolved: bool


@dataclass(slots=True)
class Tally:
    """The turns of one session, counted.

    in_both: in a file and in the log. duplicates: standing in the files once more. missing: in a
    file, settled, and not in the log. unread: not read yet. rejected: not in the log, and kept
    with a reason. not_registered: of a session that is not to be captured. differs: in both and
    not the same. kept: in the log, and their file or their part of it is gone. kept_elsewhere: in
    the log, and their file holds something else by now. repaired: missing, written now.
    """

    in_both: int = 0
    duplicates: int = 0
    missing: int = 0
    unread: int = 0
    rejected: int = 0
    not_registered: int = 0
    differs: int = 0
    kept: int = 0
    kept_elsewhere: int = 0
    repaired: int = 0

    def add(self, more: Tally) -> None:
        """Count `more` on top."""
        for name in TALLIES:
            setattr(self, name, getattr(self, name) + getattr(more, name))


TALLIES = tuple(field.name for field in fields(Tally))
_SUMS = ", ".join(f"{name} = v.{name} + excluded.{name}" for name in TALLIES)
_ADD = (
    f"INSERT INTO verify_sessions AS v (session_uuid, {', '.join(TALLIES)})"  # noqa: S608
    f" VALUES (%s{', %s' * len(TALLIES)}) ON CONFLICT (session_uuid) DO UPDATE SET {_SUMS}"
)
_COLUMNS = ", ".join(f"{name} bigint NOT NULL DEFAULT 0" for name in TALLIES)
_PREPARE = f"""
CREATE TEMPORARY TABLE verify_seen (event_id bigint PRIMARY KEY, here boolean NOT NULL);
CREATE TEMPORARY TABLE verify_missing (
    event_key uuid, session_uuid uuid, PRIMARY KEY (event_key, session_uuid));
CREATE TEMPORARY TABLE verify_files (source_id int PRIMARY KEY, size bigint NOT NULL);
CREATE TEMPORARY TABLE verify_sessions (session_uuid uuid PRIMARY KEY, {_COLUMNS});
SELECT coalesce(max(id), 0) FROM events
"""  # noqa: S608


class LogSide:
    """What the log says, and temporary tables of what was seen so far."""

    def __init__(self, database: Database, host: str, session: UUID | None) -> None:
        self._database = database
        self._host = host
        self._session = None if session is None else str(session)
        # What is written from now on was not there for the files that were read before it.
        self._ceiling = int(database.execute(_PREPARE)[0][0])

    def turns(self, keys: Iterable[UUID]) -> dict[UUID, list[LoggedTurn]]:
        """The events that have these keys, whatever their session."""
        found: dict[UUID, list[LoggedTurn]] = {}
        listed = [str(key) for key in keys]
        if listed:
            for row in self._database.execute(_TURNS, (listed,)):
                turn = _logged(row)
                found.setdefault(turn.key, []).append(turn)
        return found

    def rejections(self, source_id: int, start: int, end: int) -> list[Kept]:
        """What was kept of the lines from `start` up to before `end`."""
        rows = self._database.execute(
            "SELECT source_offset, reason, resolved_at IS NOT NULL FROM rejections"
            " WHERE source_id = %s AND source_offset >= %s AND source_offset < %s",
            (source_id, start, end),
        )
        return [Kept(*row) for row in rows]

    def has_rejections(self, source_id: int) -> bool:
        """Whether anything was kept of this source."""
        statement = "SELECT EXISTS (SELECT FROM rejections WHERE source_id = %s)"
        return bool(self._database.execute(statement, (source_id,))[0][0])

    def see(self, events: Mapping[int, bool]) -> set[int]:
        """Note events found in a file, and whether at the place they name; the new ones."""
        if not events:
            return set()
        rows = self._database.execute(
            "INSERT INTO verify_seen SELECT * FROM unnest(%s::bigint[], %s::boolean[])"
            " ON CONFLICT (event_id) DO UPDATE SET here = verify_seen.here OR excluded.here"
            " RETURNING event_id, xmax = 0",
            (list(events), list(events.values())),
        )
        return {event_id for event_id, new in rows if new}

    def miss(self, turns: Iterable[tuple[UUID, UUID]]) -> set[tuple[UUID, UUID]]:
        """Note turns (key, session) that the log does not have; the new ones."""
        listed = [(str(key), str(session)) for key, session in turns]
        if not listed:
            return set()
        rows = self._database.execute(
            "INSERT INTO verify_missing SELECT * FROM unnest(%s::uuid[], %s::uuid[])"
            " ON CONFLICT DO NOTHING RETURNING event_key::text, session_uuid::text",
            tuple(list(column) for column in zip(*listed, strict=True)),
        )
        return {(UUID(key), UUID(session)) for key, session in rows}

    def add(self, tallies: Mapping[UUID, Tally]) -> None:
        """Count on top of what is known of each session."""
        statements = [
            self._database.mogrify(_ADD, (str(session), *(getattr(tally, n) for n in TALLIES)))
            for session, tally in tallies.items()
        ]
        if statements:
            self._database.execute("; ".join(statements))

    def finish_file(self, source_id: int, size: int) -> None:
        """Note that a source is on the disk and was read."""
        self._database.execute(
            "INSERT INTO verify_files VALUES (%s, %s) ON CONFLICT (source_id) DO NOTHING",
            (source_id, size),
        )

    def finish(self) -> None:
        """All files were read: what else the log holds of this host's is counted as kept."""
        values = (self._host, self._ceiling, self._session, self._session)
        self._database.execute("ANALYZE verify_seen; ANALYZE verify_files")
        self._database.execute(_KEPT, values)

    def moved(self) -> Iterator[tuple[int, UUID, int, str]]:
        """Events found in files, never where they say they are: id, session, offset, path."""
        last = 0
        while rows := self._database.execute(_MOVED, (last, PAGE_ROWS)):
            last = rows[-1][0]
            yield from ((row[0], UUID(row[1]), row[2], row[3]) for row in rows)

    def unannounced(self) -> Iterator[UUID]:
        """Sessions whose session_registered is noted as written and is not there."""
        last = str(UUID(int=0))
        while rows := self._database.execute(_UNANNOUNCED, (last, PAGE_ROWS)):
            last = rows[-1][0]
            yield from (UUID(row[0]) for row in rows)

    def sessions(self) -> Iterator[tuple[UUID, Tally]]:
        """Every session with what was counted, in pages."""
        last = ""
        names = ", ".join(TALLIES)
        while rows := self._database.execute(
            f"SELECT session_uuid::text, {names} FROM verify_sessions"  # noqa: S608
            " WHERE session_uuid::text > %s ORDER BY session_uuid::text LIMIT %s",
            (last, PAGE_ROWS),
        ):
            last = rows[-1][0]
            yield from ((UUID(row[0]), Tally(*row[1:])) for row in rows)

    def other_sources(self) -> Iterator[Sequence[str]]:
        """Pages of the paths of all sources of this host."""
        last = 0
        while rows := self._database.execute(
            "SELECT id, path FROM source_positions WHERE host = %s AND id > %s"
            " ORDER BY id LIMIT %s",
            (self._host, last, PAGE_ROWS),
        ):
            last = rows[-1][0]
            yield [row[1] for row in rows]

    def watcher_runs(self) -> bool:
        """Whether a watcher of this host holds its lock in this database."""
        rows = self._database.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND classid = hashtext('claude_headspace.watcher')::oid"
            " AND objid = hashtext(%s)::oid)",
            (self._host,),
        )
        return bool(rows[0][0])


def _logged(row: Row) -> LoggedTurn:
    owner = None if row[10] is None else UUID(row[10])
    return LoggedTurn(
        id=row[0],
        key=UUID(row[1]),
        session=UUID(row[2]),
        event_type=row[3],
        timestamp=row[4],
        payload=row[5] if isinstance(row[5], dict) else {},
        annotations=row[6] if isinstance(row[6], dict) else {},
        source_id=row[7],
        source_offset=row[8],
        project_id=row[9],
        agent_session=owner,
        project_of_agent=row[11],
    )
