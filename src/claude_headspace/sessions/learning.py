"""What is known of sessions: their rows, and what is learned from each of their lines."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from claude_headspace.events.event import derived_key, storable
from claude_headspace.sessions.registrations import Registrations
from claude_headspace.store.copies import DUE, OPEN
from claude_headspace.store.projections import LinePlace, WorkRows
from claude_headspace.store.sessions import SessionRows, StoredSession
from claude_headspace.transcripts.directories import repository_of
from claude_headspace.transcripts.parsed import Other, Turn

UNKNOWN_DIRECTORY = "(unknown)"
LONGEST_TITLE = 1000
# A btree index entry holds at most 2704 bytes, including the machine's id.
LONGEST_PROJECT_BYTES = 2000
# The most sessions in memory; others are read again when they have new lines.
_CACHED = 1000


class LearningSessions:
    """Sessions that learn from each of their lines; `take_changes` stores what they learned."""

    def __init__(self, rows: SessionRows, registrations: Registrations) -> None:
        self.rows = rows
        self._known: OrderedDict[UUID, StoredSession] = OrderedDict()
        self._changed: dict[UUID, StoredSession] = {}
        self._moved: list[str] = []
        self.registrations = registrations
        # Whether the log may have sessions whose originals are unknown.
        self.copies_due = True

    def __len__(self) -> int:
        return len(self._known)

    def clear(self) -> None:
        """Drop the cache and all changes that are not stored."""
        self._known.clear()
        self._changed.clear()
        self._moved.clear()

    def find(self, session: UUID) -> StoredSession | None:
        """The session, if it has rows."""
        known = self._known.get(session)
        if known is not None:
            return known
        found = self.rows.find(session)
        return None if found is None else self._keep(found)

    def find_anew(self, session: UUID) -> StoredSession | None:
        """The session as it now is in the database."""
        self._known.pop(session, None)
        return self.find(session)

    def find_own(self, session: UUID) -> StoredSession | None:
        """The session as it now is in the database, if its project is this machine's."""
        found = self.find_anew(session)
        return found if found is not None and self.rows.is_here(found.machine) else None

    def take_changes(self) -> list[str]:
        """The statements that store the changes since the last call."""
        statements = [self.rows.update(session) for session in self._changed.values()]
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
        return self._keep(self.rows.create(session, project, directory, pane, seen_at))

    def _move(self, session: StoredSession, cwd: str) -> None:
        """Move a session, and its events, to the project of another directory."""
        project, directory = indexable(storable(repository_of(cwd))[0]), storable(cwd)[0]
        if (session.project_path, session.working_directory) == (project, directory):
            return
        session.project_id = self.rows.project(project)
        session.project_path, session.working_directory = project, directory
        self._moved.append(self.rows.move(session))

    def learn(
        self, session: StoredSession, found: Turn | Other, when: datetime, *, again: bool = False
    ) -> None:
        """Learn everything about a session from a line; `again`: the line was read before.

        Then the session has newer lines, so one without a time of its own says only a title.
        """
        if found.title is not None:
            self.saw_title(session, found.title.kind, found.title.text)
        if again and found.timestamp is None:
            return
        seen_at = session.project_seen_at
        is_first = seen_at is None or when < seen_at
        unplaced = session.project_path == UNKNOWN_DIRECTORY
        if found.cwd is not None and is_first and (again or unplaced or seen_at is not None):
            self._saw_directory(session, found.cwd, when)
        if found.copy_of is not None:
            self.saw_copy(session, found.copy_of, when)
        self.saw_line(session, when, found.uuid)

    def original(self, session: StoredSession, found: Turn | Other) -> UUID | None:
        """The session from which a record was copied, according to it or its neighbours."""
        if found.copy_of is not None or found.timestamp is None:
            return found.copy_of
        return session.forked_from if self.is_copied(session, found.timestamp) else None

    def add_work(self, rows: WorkRows, found: Turn | Other, *place: int) -> None:
        """Add the work of a line in a session that has rows; for LinePlace."""
        session = found.work and found.session and self.find(found.session)
        if session and found.work and found.timestamp:
            original = self.original(session, found)
            rows.add(found.work, session.uuid, found.timestamp, LinePlace(*place), original)

    def began(self, session: StoredSession, at_the_latest: datetime) -> None:
        """When a session began; a fork with only copied lines began when they were written."""
        if session.started_at is None:
            session.started_at = session.last_seen_at = at_the_latest
            self._change(session)

    def _saw_directory(self, session: StoredSession, cwd: str, when: datetime) -> None:
        """Record the earliest line's directory, which names the session's project."""
        session.project_seen_at = when
        self._change(session)
        asked = self.registrations.of(session.uuid)
        if asked is None or not asked.project_path:
            self._move(session, cwd)

    def saw_title(self, session: StoredSession, kind: str, title: str) -> None:
        """Record a title of the session."""
        title = storable(title)[0][:LONGEST_TITLE]
        if session.titles.get(kind) != title:
            session.titles[kind] = title
            self._change(session)

    def saw_titles_of_lines(self, titles: Mapping[UUID, str], kind: str) -> None:
        """The same for titles that name the session by the key of one of its lines."""
        for key, uuid in self.rows.of_lines(list(titles)).items():
            if (session := self.find(uuid)) is not None:
                self.saw_title(session, kind, titles[key])

    def saw_copy(self, session: StoredSession, original: UUID, when: datetime) -> None:
        """Record that a line says it was copied: the session began after it."""
        if session.fork_told and session.copied_until and when <= session.copied_until:
            return
        if not session.fork_told and (other := self.find(original)) is not None:
            # Until now it may have been taken for the copy.
            self.shares(other, shared=other.forked_from == session.uuid)
        session.forked_from, session.fork_told, session.copied_until = original, True, when
        session.copies = None
        if session.started_at is not None and session.started_at <= when:
            session.started_at = None
        self._change(session)

    def is_copied(self, session: StoredSession, when: datetime) -> bool:
        """Whether a line of this time was copied when the session was forked."""
        return session.copied_until is not None and when <= session.copied_until

    def shares(self, session: StoredSession, *, shared: bool) -> None:
        """Record whether other sessions share a turn."""
        if session.fork_told or session.copies == DUE:
            return
        if shared or session.copies == OPEN:
            session.copies = DUE
            self.copies_due = True
            self._change(session)

    def learnt(self, uuid: UUID, original: UUID | None, copies: str | None) -> None:
        """Record what the log now says about a session's copies."""
        if (session := self._known.get(uuid)) is not None:
            session.forked_from, session.copies = original, copies

    def saw_line(self, session: StoredSession, when: datetime, line: str | None) -> None:
        """Record a line: it may be the first, the last, or one that reopens the session.

        A line from the future counts as one of now, so that it cannot keep the session open.
        """
        when = min(when, datetime.now(UTC))
        if self.is_copied(session, when):
            return
        if session.started_at is None or when < session.started_at:
            session.started_at = when
            self._change(session)
        if session.last_seen_at is None or when > session.last_seen_at:
            session.last_seen_at = when
            session.last_line = storable(line)[0] if line else None
            if session.ended_at is not None and when > session.ended_at:
                session.ended_at = None
            self._change(session)


def indexable(path: str) -> str:
    """The path; if it is longer than Postgres can index, its start and a digest.

    Otherwise a line with such a directory would block everything after it.
    """
    encoded = path.encode()
    if len(encoded) <= LONGEST_PROJECT_BYTES:
        return path
    start = encoded[:LONGEST_PROJECT_BYTES].decode("utf-8", "ignore")
    return f"{start}… ({derived_key('project', path)})"
