"""What is known of sessions: who they are, whether they are captured, when they end."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from claude_headspace.discovery.listing import main_transcript
from claude_headspace.events.event import NO_SESSION, Event, Origin, derived_key, storable
from claude_headspace.events.taxonomy import (
    SESSION_ENDED,
    SESSION_REGISTERED,
    STATE_TRANSITION,
)
from claude_headspace.store.copies import DUE, OPEN
from claude_headspace.store.sessions import Registration, SessionRows, StoredSession
from claude_headspace.transcripts.directories import first_directory, repository_of
from claude_headspace.transcripts.transcript import Other, Turn

UNKNOWN_DIRECTORY = "(unknown)"
# An entry of a btree index holds at most 2704 bytes, the host's name included.
LONGEST_PROJECT_BYTES = 2000
LONGEST_TITLE = 1000
# Sessions kept at hand; others are looked up again when they speak.
_CACHED = 1000

Mode = Literal["all", "registered"]


class Sessions:
    """Sessions as the database has them, kept at hand, with what was learnt since."""

    def __init__(self, rows: SessionRows, mode: Mode) -> None:
        self._rows = rows
        self._mode = mode
        self._known: OrderedDict[UUID, StoredSession] = OrderedDict()
        self._registrations: dict[UUID, Registration] = {}
        self._changed: dict[UUID, StoredSession] = {}
        self._moved: list[str] = []
        # Whether the log may have sessions of which it is not known whose turns they repeat.
        self.copies_due = True

    def __len__(self) -> int:
        return len(self._known)

    def reload(self) -> None:
        """Forget everything and learn again what people asked for."""
        self.forget()
        self.copies_due = True
        stored = self._rows.registrations(waiting_only=False)
        self._registrations = {registration.session: registration for registration in stored}

    def forget(self) -> None:
        """Drop what is at hand, and what was learnt and is not stored."""
        self._known.clear()
        self._changed.clear()
        self._moved.clear()

    def captured(self, session: UUID) -> bool:
        """Whether the lines of this session go into the log."""
        registration = self._registrations.get(session)
        return self._mode == "all" if registration is None else registration.wanted

    def find(self, session: UUID) -> StoredSession | None:
        """The session, if it has rows."""
        known = self._known.get(session)
        if known is not None:
            return known
        found = self._rows.find(session)
        return None if found is None else self._keep(found)

    def meet(
        self, session: UUID, cwd: str | None, path: str, when: datetime | None = None
    ) -> StoredSession | None:
        """The session of a line in the file at `path`; its rows are made once a cwd is known."""
        known = self.find(session)
        if known is not None or cwd is None:
            return known
        first = first_directory(main_transcript(path, str(session)), session)
        if first is not None and (when is None or first.when <= when):
            return self._create(session, first.path, first.when)
        return self._create(session, cwd, when)

    def begin(self, session: UUID) -> bool:
        """A session that starts asks to be captured; whether it is."""
        if self._mode == "registered" and session not in self._registrations:
            self._rows.register(session)
            self._registrations[session] = Registration(session, True, 1, None, None, None)
        return self.captured(session)

    def introduce(self, session: UUID, given: Mapping[str, str]) -> StoredSession:
        """The session of a session_registered event from elsewhere, which announces it."""
        found = self.find(session)
        if found is None:
            project = _indexable(storable(given["project_path"])[0])
            directory = storable(given["working_directory"])[0]
            pane = given.get("iterm_pane_id")
            pane = None if pane is None else storable(pane)[0]
            found = self._keep(self._rows.create(session, project, directory, pane))
        found.announced = True
        self._changed[session] = found
        return found

    def spoke_after(self, session: StoredSession, when: datetime) -> bool:
        """Whether the session is known to have gone on after this moment."""
        return session.last_seen_at is not None and session.last_seen_at > when

    def end(self, session: StoredSession, reason: str, when: datetime) -> str | None:
        """The statement that ends a session; None where it has ended, or spoken since."""
        when = min(when, datetime.now(UTC))
        if session.ended_at is not None or self.spoke_after(session, when):
            return None
        session.ended_at = when
        return self._rows.end(session, reason)

    def meet_anyway(self, session: UUID, path: str) -> StoredSession:
        """The session of a turn that names no directory and whose session never did."""
        found = self.meet(session, UNKNOWN_DIRECTORY, path)
        if found is None:
            raise LookupError(f"session {session} could not be made")
        return found

    def _create(self, session: UUID, cwd: str, seen_at: datetime | None = None) -> StoredSession:
        asked = self._registrations.get(session)
        project = (asked and asked.project_path) or repository_of(cwd)
        directory = storable((asked and asked.working_directory) or cwd)[0]
        pane = asked.iterm_pane_id if asked else None
        project = _indexable(storable(project)[0])
        return self._keep(self._rows.create(session, project, directory, pane, seen_at))

    def _keep(self, found: StoredSession) -> StoredSession:
        self._known[found.uuid] = found
        while len(self._known) > _CACHED:
            self._known.popitem(last=False)
        return found

    def announcement(
        self, session: StoredSession, when: datetime, origin: Origin | None
    ) -> Event | None:
        """The session_registered event that is still due for this session."""
        if session.announced:
            return None
        session.announced = True
        self._changed[session.uuid] = session
        asked = self._registrations.get(session.uuid)
        payload = {
            "session_uuid": str(session.uuid),
            "project_path": session.project_path,
            "working_directory": session.working_directory,
        }
        if asked and asked.iterm_pane_id:
            payload["iterm_pane_id"] = asked.iterm_pane_id
        generation = str(asked.generation if asked else 0)
        key = derived_key(SESSION_REGISTERED, str(session.uuid), generation)
        return _event(SESSION_REGISTERED, session, when, payload, key, origin)

    def learn(
        self, session: StoredSession, found: Turn | Other, when: datetime, *, again: bool = False
    ) -> None:
        """Take note of all that a line says of its session; `again`: the line is an old one."""
        seen_at = session.project_seen_at
        if found.cwd is not None and (seen_at is None or when < seen_at):
            self._learn_directory(session, found.cwd, when, again)
        if found.title is not None:
            self.saw_title(session, found.title.kind, found.title.text)
        if found.copy_of is not None:
            self.saw_copy(session, found.copy_of, when)
        self.saw_line(session, when, found.uuid)

    def _learn_directory(
        self, session: StoredSession, cwd: str, when: datetime, again: bool
    ) -> None:
        unplaced = session.project_path == UNKNOWN_DIRECTORY
        if again or unplaced or session.project_seen_at is not None:
            self.saw_directory(session, cwd, when)

    def original(self, session: StoredSession, turn: Turn) -> UUID | None:
        """The session that a turn was copied from, by its own word or its neighbours'."""
        if turn.copy_of is not None:
            return turn.copy_of
        return session.forked_from if self.is_copied(session, turn.timestamp) else None

    def began(self, session: StoredSession, at_the_latest: datetime) -> None:
        """A fork of which only copied lines are known has begun when they were written."""
        if session.started_at is None:
            session.started_at = session.last_seen_at = at_the_latest
            self._changed[session.uuid] = session

    def saw_directory(self, session: StoredSession, cwd: str, when: datetime) -> None:
        """Take note of a line's directory: the earliest of all names the session's project."""
        if session.project_seen_at is not None and when >= session.project_seen_at:
            return
        session.project_seen_at = when
        self._changed[session.uuid] = session
        asked = self._registrations.get(session.uuid)
        project, directory = _indexable(storable(repository_of(cwd))[0]), storable(cwd)[0]
        known = (session.project_path, session.working_directory)
        if (asked is not None and asked.project_path) or known == (project, directory):
            return
        session.project_id = self._rows.project(project)
        session.project_path, session.working_directory = project, directory
        self._moved.append(self._rows.move(session))

    def saw_title(self, session: StoredSession, kind: str, title: str) -> None:
        """Take note of a name that the session is given."""
        title = storable(title)[0][:LONGEST_TITLE]
        if session.titles.get(kind) != title:
            session.titles[kind] = title
            self._changed[session.uuid] = session

    def saw_titles_of_lines(self, titles: Mapping[UUID, str], kind: str) -> None:
        """The same for names that are given by the key of a line of the session."""
        for key, uuid in self._rows.of_lines(list(titles)).items():
            if (session := self.find(uuid)) is not None:
                self.saw_title(session, kind, titles[key])

    def saw_copy(self, session: StoredSession, original: UUID, when: datetime) -> None:
        """Take note of a line that says that it was copied: the session began after it."""
        if session.fork_told and session.copied_until and when <= session.copied_until:
            return
        if not session.fork_told and (other := self.find(original)) is not None:
            # It may have been taken for the copy as long as nothing was said.
            self.shares(other, shared=other.forked_from == session.uuid)
        session.forked_from, session.fork_told, session.copied_until = original, True, when
        session.copies = None
        if session.started_at is not None and session.started_at <= when:
            session.started_at = None
        self._changed[session.uuid] = session

    def is_copied(self, session: StoredSession, when: datetime) -> bool:
        """Whether a line of this time is one that was copied when the session was forked."""
        return session.copied_until is not None and when <= session.copied_until

    def shares(self, session: StoredSession, *, shared: bool) -> None:
        """Take note of a turn that other sessions have too, or that no other has."""
        if session.fork_told or session.copies == DUE:
            return
        if shared or session.copies == OPEN:
            session.copies = DUE
            self.copies_due = True
            self._changed[session.uuid] = session

    def learnt(self, uuid: UUID, original: UUID | None, copies: str | None) -> None:
        """Take note of what the log says by now of a session's copies."""
        if (session := self._known.get(uuid)) is not None:
            session.forked_from, session.copies = original, copies

    def saw_line(self, session: StoredSession, when: datetime, line: str | None) -> None:
        """Take note of a line: it may be the first, the last, or the one that reopens.

        A line from the future is as good as one of this moment: it must not keep the session open.
        """
        when = min(when, datetime.now(UTC))
        if session.copied_until is not None and when <= session.copied_until:
            return
        if session.started_at is None or when < session.started_at:
            session.started_at = when
            self._changed[session.uuid] = session
        if session.last_seen_at is None or when > session.last_seen_at:
            session.last_seen_at = when
            session.last_line = storable(line)[0] if line else None
            if session.ended_at is not None and when > session.ended_at:
                session.ended_at = None
            self._changed[session.uuid] = session

    def take_changes(self) -> list[str]:
        """The statements that store what was learnt since the last call."""
        statements = [self._rows.update(session) for session in self._changed.values()]
        statements += self._moved
        self._changed.clear()
        self._moved.clear()
        return statements

    def ending(
        self, session: StoredSession, reason: str, when: datetime, key: UUID | None = None
    ) -> tuple[Event, str]:
        """The session_ended event, keyed by the session's last line unless a key is given, and
        the statement that stores the end.
        """
        payload: dict[str, Any] = {"session_uuid": str(session.uuid), "reason": reason}
        end = when if reason == "closed" else session.last_seen_at
        if session.started_at and end:
            duration = end - session.started_at
            payload["duration_seconds"] = max(0, int(duration.total_seconds()))
        last = session.last_line or (session.last_seen_at or when).isoformat()
        key = key or derived_key(SESSION_ENDED, str(session.uuid), last)
        session.ended_at = when
        event = _event(SESSION_ENDED, session, when, payload, key, None)
        return event, self._rows.end(session, reason)

    def silent(
        self, now: datetime, timeout: timedelta, limit: int, except_for: Sequence[UUID]
    ) -> list[UUID]:
        """Open sessions of this host whose last line is older than the timeout."""
        return self._rows.silent_since(now - timeout, limit, except_for)

    def restored(self, event: Event) -> Event:
        """The event of a session whose rows were deleted while the watcher ran, with new ones.

        What refers to rows by itself is as it was given; what spoke of a session from outside
        loses its references.
        """
        if event.type == STATE_TRANSITION:
            return event
        if event.session_uuid == NO_SESSION:
            self._known.clear()
            return replace(event, project_id=None, agent_id=None)
        known = self._known.pop(event.session_uuid, None)
        session = self.find(event.session_uuid)
        if session is None:
            session = self._recreate(event.session_uuid, known)
        return replace(event, project_id=session.project_id, agent_id=session.agent_id)

    def _recreate(self, uuid: UUID, known: StoredSession | None) -> StoredSession:
        if known is None:
            return self._create(uuid, UNKNOWN_DIRECTORY)
        created = self._rows.create(
            uuid, known.project_path, known.working_directory, None, known.project_seen_at
        )
        session = replace(known, agent_id=created.agent_id, project_id=created.project_id)
        self._known[uuid] = self._changed[uuid] = session
        return session

    def waiting_registrations(self) -> list[Registration]:
        """What people asked for since; from now on it holds."""
        waiting = self._rows.registrations(waiting_only=True)
        for registration in waiting:
            self._registrations[registration.session] = registration
        return waiting

    def registered(self, registration: Registration) -> StoredSession | None:
        """The rows of a session that was registered, as far as its directory is known.

        Only if it is this host's to keep them: None for sessions of others.
        """
        known = self.find_own(registration.session)
        directory = registration.working_directory or registration.project_path
        if known is not None and not known.announced:
            # Left alone before, and wanted again: it is open until its lines say otherwise.
            known.ended_at = None
            self._changed[known.uuid] = known
        if known is not None or registration.session in self._known:
            return known
        if directory is None or not self._rows.is_here(registration.host):
            return None
        return self._create(registration.session, directory)

    def find_own(self, session: UUID) -> StoredSession | None:
        """The session as the database has it by now, if its project is this host's."""
        self._known.pop(session, None)
        found = self.find(session)
        return found if found is not None and self._rows.is_here(found.host) else None

    def unannounce(self, session: StoredSession) -> None:
        """When the session is registered again, that is announced again."""
        session.announced = False
        self._changed[session.uuid] = session

    def applied(self, registration: Registration) -> str:
        """The statement that notes a registration as seen to."""
        return self._rows.apply(registration)


def _indexable(path: str) -> str:
    """The path as it is unless it is longer than Postgres can index: then its start and a digest.

    Otherwise one line with such a directory would hold up everything behind it for ever.
    """
    encoded = path.encode()
    if len(encoded) <= LONGEST_PROJECT_BYTES:
        return path
    start = encoded[:LONGEST_PROJECT_BYTES].decode("utf-8", "ignore")
    return f"{start}… ({derived_key('project', path)})"


def _event(
    event_type: str,
    session: StoredSession,
    when: datetime,
    payload: dict[str, Any],
    key: UUID,
    origin: Origin | None,
) -> Event:
    return Event(
        event_type, when, payload, key, session.uuid,
        project_id=session.project_id, agent_id=session.agent_id, origin=origin,
    )  # fmt: skip
