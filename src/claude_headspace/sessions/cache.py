"""A cache of the sessions in the database, with changes that are not stored yet."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from uuid import UUID

from claude_headspace.events.event import derived_key, storable
from claude_headspace.store.sessions import SessionRows, StoredSession
from claude_headspace.transcripts.directories import repository_of

# A btree index entry holds at most 2704 bytes, including the machine's id.
LONGEST_PROJECT_BYTES = 2000
# The most sessions in the cache; others are read again when they have new lines.
_CACHED = 1000


class SessionCache:
    """Rows of sessions, and changes to them that are still to be stored."""

    def __init__(self, rows: SessionRows) -> None:
        self._rows = rows
        self._known: OrderedDict[UUID, StoredSession] = OrderedDict()
        self._changed: dict[UUID, StoredSession] = {}
        self._moved: list[str] = []

    def __len__(self) -> int:
        return len(self._known)

    def forget(self) -> None:
        """Drop the cache and all changes that are not stored."""
        self._known.clear()
        self._changed.clear()
        self._moved.clear()

    def find(self, session: UUID) -> StoredSession | None:
        """The session, if it has rows."""
        known = self._known.get(session)
        if known is not None:
            return known
        found = self._rows.find(session)
        return None if found is None else self._keep(found)

    def find_anew(self, session: UUID) -> StoredSession | None:
        """The session as it now is in the database."""
        self._known.pop(session, None)
        return self.find(session)

    def find_own(self, session: UUID) -> StoredSession | None:
        """The session as it now is in the database, if its project is this machine's."""
        found = self.find_anew(session)
        return found if found is not None and self._rows.is_here(found.machine) else None

    def take_changes(self) -> list[str]:
        """The statements that store the changes since the last call."""
        statements = [self._rows.update(session) for session in self._changed.values()]
        statements += self._moved
        self._changed.clear()
        self._moved.clear()
        return statements

    def _change(self, session: StoredSession) -> None:
        self._changed[session.uuid] = session

    def _keep(self, found: StoredSession) -> StoredSession:
        self._known[found.uuid] = found
        while len(self._known) > _CACHED:
            self._known.popitem(last=False)
        return found

    def _create(
        self,
        session: UUID,
        project: str,
        directory: str,
        pane: str | None = None,
        seen_at: datetime | None = None,
    ) -> StoredSession:
        project, directory = indexable(storable(project)[0]), storable(directory)[0]
        pane = None if pane is None else storable(pane)[0]
        return self._keep(self._rows.create(session, project, directory, pane, seen_at))

    def _move(self, session: StoredSession, cwd: str) -> None:
        """Move a session, and its events, to the project of another directory."""
        project, directory = indexable(storable(repository_of(cwd))[0]), storable(cwd)[0]
        if (session.project_path, session.working_directory) == (project, directory):
            return
        session.project_id = self._rows.project(project)
        session.project_path, session.working_directory = project, directory
        self._moved.append(self._rows.move(session))


def indexable(path: str) -> str:
    """The path; if it is longer than Postgres can index, its start and a digest.

    Otherwise a line with such a directory would block everything after it.
    """
    encoded = path.encode()
    if len(encoded) <= LONGEST_PROJECT_BYTES:
        return path
    start = encoded[:LONGEST_PROJECT_BYTES].decode("utf-8", "ignore")
    return f"{start}… ({derived_key('project', path)})"
