"""The rows of a session: its project, its agent, and its registration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from claude_headspace.store.connection import Database, Row
from claude_headspace.store.leases import HELD_LEASES, LEASE_KEY

REGISTRATION_CHANNEL = "claude_headspace_registrations"
_COLUMNS = (
    "a.session_uuid::text, a.forked_from::text, a.id, a.project_id, p.path, a.working_directory,"
    " a.announced, a.started_at, a.last_seen_at, a.last_line, a.ended_at, a.titles,"
    " a.project_seen_at, a.fork_told, a.copied_until, a.copies, p.machine"
)
_LEASE = LEASE_KEY.format(machine="p.machine")
_ADD_PROJECT = (
    "INSERT INTO projects (machine, path) VALUES (%s, %s) ON CONFLICT (machine, path) DO NOTHING;"
)
_FIND = (
    f"SELECT {_COLUMNS} FROM agents a JOIN projects p ON p.id = a.project_id"  # noqa: S608
    " WHERE a.session_uuid = %s"
)


@dataclass(slots=True)
class StoredSession:
    """One row of `agents` with its project's path.

    `announced`: its session_registered is written. `project_seen_at`: the time of the line that
    named the project. `copies`: whether its original must be found out (see store.copies); with
    `fork_told`, its own lines name it, up to `copied_until`. `machine`: its project's.
    """

    uuid: UUID
    forked_from: UUID | None
    agent_id: int
    project_id: int
    project_path: str
    working_directory: str
    announced: bool
    started_at: datetime | None
    last_seen_at: datetime | None
    last_line: str | None
    ended_at: datetime | None
    titles: dict[str, str]
    project_seen_at: datetime | None
    fork_told: bool
    copied_until: datetime | None
    copies: str | None
    machine: str


@dataclass(frozen=True, slots=True)
class Registration:
    """A request to capture a session or not, the `number`th; `machine`: where it was made."""

    session: UUID
    wanted: bool
    number: int
    project_path: str | None
    working_directory: str | None
    iterm_pane_id: str | None
    machine: str | None = None


class SessionRows:
    """Agents, projects and registrations, on the watcher's connection."""

    def __init__(self, database: Database, machine: str | None) -> None:
        self._database = database
        self._machine = machine

    def find(self, session: UUID) -> StoredSession | None:
        """The session's rows."""
        rows = self._database.execute(_FIND, (str(session),))
        return _session(rows[0]) if rows else None

    def create(
        self,
        session: UUID,
        project_path: str,
        working_directory: str,
        pane: str | None = None,
        project_seen_at: datetime | None = None,
    ) -> StoredSession:
        """The session's rows, created if missing.

        A crash of Postgres may undo new rows and their ids until a later commit is on disk.
        """
        rows = self._database.execute(
            f"{_ADD_PROJECT} INSERT INTO agents"  # noqa: S608
            " (session_uuid, project_id, working_directory, iterm_pane_id, project_seen_at)"
            " SELECT %s, id, %s, %s, %s FROM projects WHERE machine = %s AND path = %s"
            f" ON CONFLICT (session_uuid) DO NOTHING; {_FIND}",
            (
                self._machine, project_path, str(session), working_directory, pane, project_seen_at,
                self._machine, project_path, str(session),
            ),
        )  # fmt: skip
        return _session(rows[0])

    def update(self, session: StoredSession) -> str:
        """The statement that stores what was learned about a session."""
        return self._database.mogrify(
            "UPDATE agents SET announced = %s, started_at = %s,"
            " last_seen_at = %s, last_line = %s, ended_at = %s, titles = %s, project_seen_at = %s,"
            " forked_from = %s, fork_told = %s, copied_until = %s, copies = %s,"
            " end_reason = CASE WHEN %s::timestamptz IS NULL THEN NULL ELSE end_reason END"
            " WHERE id = %s",
            (
                session.announced, session.started_at, session.last_seen_at, session.last_line,
                session.ended_at, msgspec.json.encode(session.titles).decode(),
                session.project_seen_at, session.forked_from and str(session.forked_from),
                session.fork_told, session.copied_until, session.copies,
                session.ended_at, session.agent_id,
            ),
        )  # fmt: skip

    def project(self, path: str) -> int:
        """The id of the project at this path, created if missing."""
        add = f"{_ADD_PROJECT} SELECT id FROM projects WHERE machine = %s AND path = %s"  # noqa: S608
        rows = self._database.execute(add, (self._machine, path, self._machine, path))
        return int(rows[0][0])

    def move(self, session: StoredSession) -> str:
        """The statements that store a session's project, also in its events."""
        return self._database.mogrify(
            "UPDATE agents SET project_id = %(project)s, working_directory = %(directory)s"
            " WHERE id = %(agent)s;"
            " UPDATE events SET project_id = %(project)s WHERE agent_id = %(agent)s;"
            " UPDATE events SET payload = payload || jsonb_build_object("
            "'project_path', %(path)s::text, 'working_directory', %(directory)s::text)"
            " WHERE agent_id = %(agent)s AND event_type = 'session_registered'",
            {
                "project": session.project_id, "directory": session.working_directory,
                "path": session.project_path, "agent": session.agent_id,
            },
        )  # fmt: skip

    def of_lines(self, keys: Sequence[UUID]) -> dict[UUID, UUID]:
        """The sessions of events, by their keys, as far as the log has them."""
        rows = self._database.execute(
            "SELECT event_key::text, session_uuid::text FROM events"
            " WHERE event_key = ANY (%s::uuid[]) AND retracted_at IS NULL ORDER BY id",
            ([str(key) for key in keys],),
        )
        return {UUID(key): UUID(session) for key, session in rows}

    def end(self, session: StoredSession, reason: str) -> str:
        """The statement that stores a session's end."""
        return self._database.mogrify(
            "UPDATE agents SET ended_at = %s, end_reason = %s WHERE id = %s",
            (session.ended_at, reason, session.agent_id),
        )

    def silent_since(
        self, moment: datetime, limit: int, except_for: Sequence[UUID] = ()
    ) -> list[UUID]:
        """Open sessions without a line after `moment`, the longest silent first.

        Sessions of this machine, and of machines without a watcher since then.
        """
        rows = self._database.execute(
            "SELECT a.session_uuid::text FROM agents a JOIN projects p ON p.id = a.project_id"  # noqa: S608
            " LEFT JOIN machines m ON m.id = p.machine"
            " WHERE a.ended_at IS NULL AND a.last_seen_at < %s AND (p.machine = %s"
            " OR coalesce(m.seen_at, m.first_seen_at, '-infinity') < %s"
            f" AND NOT {_LEASE} = ANY (ARRAY({HELD_LEASES})))"
            " AND NOT a.session_uuid = ANY (%s::uuid[]) ORDER BY a.last_seen_at LIMIT %s",
            (moment, self._machine, moment, [str(session) for session in except_for], limit),
        )
        return [UUID(row[0]) for row in rows]

    def is_here(self, machine: str | None) -> bool:
        """Whether a machine is this one; an unknown one may be."""
        return machine in (None, self._machine)

    def registrations(self, *, waiting_only: bool) -> list[Registration]:
        """All registrations, or only those that this machine has not applied yet."""
        rows = self._database.execute(
            "SELECT r.session_uuid::text, r.wanted, r.generation, r.project_path,"
            " r.working_directory, r.iterm_pane_id, r.machine FROM registrations r"
            " LEFT JOIN registration_hosts h ON h.session_uuid = r.session_uuid AND h.machine = %s"
            " WHERE coalesce(h.generation, 0) < r.generation OR NOT %s ORDER BY r.requested_at",
            (self._machine, waiting_only),
        )
        return [Registration(UUID(row[0]), *row[1:]) for row in rows]

    def tombstones(self) -> dict[UUID, bool]:
        """The forgotten sessions, and whether their turns are kept."""
        rows = self._database.execute("SELECT session_uuid::text, keep_turns FROM tombstones")
        return {UUID(session): keep_turns for session, keep_turns in rows}

    def register(self, session: UUID) -> None:
        """Register a session by its own hook, unless the user has decided."""
        self._database.execute_durably(
            "INSERT INTO registrations (session_uuid, wanted, machine) VALUES (%s, true, %s)"
            " ON CONFLICT (session_uuid) DO NOTHING; SELECT pg_notify(%s, %s)",
            (str(session), self._machine, REGISTRATION_CHANNEL, str(session)),
        )

    def apply(self, registration: Registration) -> str:
        """The statement that records that this machine has applied a registration."""
        return self._database.mogrify(
            "INSERT INTO registration_hosts AS h (machine, session_uuid, generation)"
            " VALUES (%s, %s, %s) ON CONFLICT (session_uuid, machine)"
            " DO UPDATE SET generation = greatest(h.generation, excluded.generation)",
            (self._machine, str(registration.session), registration.number),
        )


def _session(row: Row) -> StoredSession:
    uuid, forked_from, *values = row
    return StoredSession(UUID(uuid), forked_from and UUID(forked_from), *values)
