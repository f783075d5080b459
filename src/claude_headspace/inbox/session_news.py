"""Starts and ends of sessions that messages report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from claude_headspace.errors import EventInvalid
from claude_headspace.events.event import Event, derived_key
from claude_headspace.events.event_types import SESSION_ENDED, SESSION_REGISTERED, installed_types
from claude_headspace.inbox.message_events import event_of, session_of
from claude_headspace.inbox.messages import Message
from claude_headspace.inbox.queue import SESSION_END, hook_type
from claude_headspace.sessions.log import Log
from claude_headspace.store.precondition import Precondition

SESSION_START = "SessionStart"


class SessionNews:
    """Creates rows and events of sessions, in the order of the messages.

    `unread` is the path used as the transcript of a session without known files.
    `precondition` returns the precondition of the writes.
    """

    def __init__(self, log: Log, unread: Path, precondition: Callable[[], Precondition]) -> None:
        self._log = log
        self._sessions = log.sessions
        self._unread = str(unread)
        self._precondition = precondition

    def announcements(self, message: Message) -> list[Event]:
        """Register sessions at their first hook, even before their transcript exists."""
        uuid = session_of(message)
        if uuid is None:
            return []
        if message.type == SESSION_REGISTERED:
            self._introduce(uuid, message)
            return []
        directory = message.payload.get("working_directory")
        if not isinstance(directory, str) or not self._begins(uuid, message):
            return []
        session = self._sessions.meet(uuid, directory, self._unread)
        if session is None:
            return []
        announcement = self._sessions.announcement(session, message.timestamp, None)
        self._sessions.saw_line(session, message.timestamp, None)
        return [announcement] if announcement else []

    def _begins(self, uuid: UUID, message: Message) -> bool:
        """Whether a message is a hook that starts a session, or the first hook of it."""
        kind = hook_type(message)
        if kind == SESSION_START:
            return self._sessions.registrations.begin(uuid)
        if kind in (None, SESSION_END) or not self._sessions.captured(uuid):
            return False
        session = self._sessions.find(uuid)
        return session is None or not session.announced

    def _introduce(self, uuid: UUID, message: Message) -> None:
        """Register the session that another program's event announces, unless it is refused."""
        with suppress(EventInvalid):
            installed_types().check(event_of(message, None, None))
            if self._sessions.registrations.begin(uuid):
                session = self._sessions.introduce(uuid, message.payload)
                self._sessions.saw_line(session, message.timestamp, None)

    def end(self, message: Message) -> None:
        """End the session, if the message says so and is in the log."""
        uuid = session_of(message)
        session = None if uuid is None else self._sessions.find(uuid)
        if session is None:
            return
        if message.type == SESSION_ENDED:
            ended = self._sessions.end(session, message.payload["reason"], message.timestamp)
            if ended is not None:
                self._store(ended)
            return
        if hook_type(message) != SESSION_END or session.ended_at is not None:
            return
        key = derived_key(SESSION_ENDED, message.id)
        goes_on = self._sessions.spoke_after(session, message.timestamp)
        event, statement = self._sessions.ended(session, "closed", message.timestamp, key)
        self._log.writer.write_or_raise([event], self._precondition())
        if goes_on:
            session.ended_at = None
            return
        self._store(statement)

    def _store(self, statement: str) -> None:
        statements = [*self._sessions.take_changes(), statement]
        self._log.database.store(statements, self._precondition())
