"""`claude-headspace forget`: deletes everything stored about sessions for good."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from claude_headspace.archive.session_folders import owners
from claude_headspace.errors import HeadspaceError
from claude_headspace.store.connection import Database
from claude_headspace.store.leases import LEASES_BEHIND
from claude_headspace.store.sessions import REGISTRATION_CHANNEL

_BATCH = 2000
TAKE_UP_SECONDS = 15.0
# After this time a running watcher has finished the writes that it had begun.
QUIET_SECONDS = 1.0
# These record that a session was forgotten; agents is deleted last, since rows refer to it.
_STAYS = ("registrations", "registration_hosts", "tombstones", "agents")
_TABLES = """
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attname = 'session_uuid'
AND c.relnamespace = current_schema()::regnamespace AND NOT c.relname = ANY (%s) ORDER BY 1
"""
_FILES = """
SELECT id, path, sessions::text[] FROM checkpoints
WHERE sessions && %(sessions)s::uuid[]
    OR EXISTS (SELECT FROM unnest(%(sessions)s::text[]) named WHERE strpos(lower(path), named) > 0)
UNION ALL SELECT id, path, ARRAY[session_uuid::text] FROM sidecars
WHERE session_uuid = ANY (%(sessions)s::uuid[])
"""
_OF_FILE = "source_id = ANY (%(files)s)"
_OF_SESSION = "session_uuid = ANY (%(sessions)s::uuid[])"
_TELL = f"""
INSERT INTO tombstones (session_uuid, keep_turns) SELECT unnest(%(sessions)s::uuid[]), %(keep)s
ON CONFLICT (session_uuid) DO UPDATE
    SET keep_turns = tombstones.keep_turns AND excluded.keep_turns;
INSERT INTO registrations AS r (session_uuid, wanted) SELECT unnest(%(sessions)s::uuid[]), false
WHERE NOT %(keep)s ON CONFLICT (session_uuid) DO UPDATE SET wanted = false,
    generation = r.generation + 1, project_path = NULL, working_directory = NULL,
    iterm_pane_id = NULL, requested_at = clock_timestamp();
NOTIFY {REGISTRATION_CHANNEL}
"""  # noqa: S608
_BEHIND = LEASES_BEHIND.format(which="r.session_uuid = ANY (%s::uuid[])")


def forget_messages(inbox: Path, sessions: Sequence[UUID]) -> int:
    """Delete inbox files of these sessions on this machine; returns how many."""
    names = [str(session).encode() for session in sessions]
    gone = 0
    for path in [path for path in inbox.rglob("*.json") if path.is_file()]:
        with suppress(FileNotFoundError):
            content = path.read_bytes()
            if any(name in content.lower() for name in names):
                path.unlink()
                gone += 1
    return gone


class StillCaptured(HeadspaceError):
    """A running watcher has not confirmed that it no longer captures the sessions."""


class Forget:
    """Counts and deletes what is stored about sessions. `keep_turns`: only their archive."""

    def __init__(
        self, database: Database, sessions: Sequence[UUID], *, keep_turns: bool = False
    ) -> None:
        self._database = database
        self._names = [str(session) for session in sessions]
        self._keep_turns = keep_turns
        self._sessions = frozenset(sessions)

    def plan(self) -> Counter[str]:
        """Count what would be deleted."""
        found: Counter[str] = Counter()
        values = self._values
        found["files"] = len(values["files"])
        archived = f"coalesce(sum(archived), 0) FROM archive_generations WHERE {_OF_FILE}"
        found["bytes in the archive"] = self._number(archived, values)
        for table, condition in self._parts():
            found[table] = self._number(f"count(*) FROM {table} WHERE {condition}", values)
        return +found

    def _number(self, what: str, values: Mapping[str, object]) -> int:
        return int(self._database.execute(f"SELECT {what}", values)[0][0])

    def run(self) -> Counter[str]:
        """Delete it in small transactions; returns the number of rows.

        Raises StillCaptured, with nothing deleted, if a watcher does not respond.
        """
        tell = {"sessions": self._names, "keep": self._keep_turns}
        self._database.execute_durably(_TELL, tell)
        self._wait_for_watchers()
        rows = self._database.execute(
            "SELECT DISTINCT project_id FROM agents WHERE session_uuid = ANY (%s::uuid[])",
            (self._names,),
        )
        gone: Counter[str] = Counter()
        while found := self._delete():
            gone.update(found)
            time.sleep(QUIET_SECONDS)
        if not self._keep_turns:
            self._delete_traces([row[0] for row in rows])
        return gone

    def _wait_for_watchers(self) -> None:
        deadline = time.monotonic() + TAKE_UP_SECONDS
        while not self._keep_turns and self._database.execute(_BEHIND, (self._names,))[0][0]:
            if time.monotonic() > deadline:
                raise StillCaptured(
                    "a running watcher has not responded: nothing was deleted; try again"
                )
            time.sleep(0.05)

    def _files(self) -> list[int]:
        """The ids of files that belong only to these sessions."""
        return [
            source_id
            for source_id, path, sessions in self._database.execute(
                _FILES, {"sessions": self._names}
            )
            if owners(path, set(map(UUID, sessions))) <= self._sessions
        ]

    @property
    def _values(self) -> dict[str, list[Any]]:
        return {"files": self._files(), "sessions": self._names}

    def _parts(self) -> list[tuple[str, str]]:
        """Tables in the order of deletion, each with the condition of the rows to delete."""
        archive = [("archive_pieces", _OF_FILE), ("archive_generations", _OF_FILE)]
        if self._keep_turns:
            return [*archive, ("sidecars", _OF_SESSION)]
        dead = (
            f"{_OF_FILE} OR EXISTS (SELECT FROM unnest(%(sessions)s::text[]) n,"
            " LATERAL (VALUES (n), (upper(n))) AS v (named)"
            " WHERE position(convert_to(named, 'UTF8') IN content) > 0)"
        )
        tables = [row[0] for row in self._database.execute(_TABLES, (list(_STAYS),))]
        of_sessions = [(table, _OF_SESSION) for table in (*tables, "agents")]
        return [*archive, ("dead_letters", dead), *of_sessions]

    def _delete(self) -> Counter[str]:
        gone: Counter[str] = Counter()
        values = self._values
        for table, condition in self._parts():
            # Rows in different partitions may have the same ctid, so the condition is repeated.
            statement = (
                f"WITH gone AS (DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid"  # noqa: S608
                f" FROM {table} WHERE {condition} LIMIT {_BATCH})) AND ({condition}) RETURNING 1)"
                " SELECT count(*) FROM gone"
            )
            while count := int(self._database.execute_durably(statement, values)[0][0]):
                gone[table] += count
        return gone

    def _delete_traces(self, projects: Sequence[int]) -> None:
        """Delete projects without sessions, and the open state of checkpoints."""
        self._database.execute_durably(
            "UPDATE checkpoints SET state = '', reread_state = '' WHERE id = ANY (%s);"
            " DELETE FROM projects p WHERE id = ANY (%s)"
            " AND NOT EXISTS (SELECT FROM agents WHERE project_id = p.id)"
            " AND NOT EXISTS (SELECT FROM events WHERE project_id = p.id)",
            (self._files(), list(projects)),
        )
