"""Which sessions are captured: what people asked for, and what holds where nobody asked."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from claude_headspace.store.sessions import Registration, SessionRows

Mode = Literal["all", "registered"]


class Registrations:
    """What people asked for sessions, as last read from the database."""

    def __init__(self, rows: SessionRows, mode: Mode) -> None:
        self._rows = rows
        self._mode = mode
        self._known: dict[UUID, Registration] = {}
        # What was forgotten: of some only the archive.
        self._forgotten: dict[UUID, bool] = {}

    def reload(self) -> None:
        """Learn everything again from the database."""
        self._known = {r.session: r for r in self._rows.registrations(waiting_only=False)}
        self._forgotten = self._rows.tombstones()

    def waiting(self) -> list[Registration]:
        """What people asked for since; from now on it holds."""
        waiting = self._rows.registrations(waiting_only=True)
        self._forgotten = self._rows.tombstones()
        self._known.update((registration.session, registration) for registration in waiting)
        return waiting

    def of(self, session: UUID) -> Registration | None:
        """What was asked for a session."""
        return self._known.get(session)

    def captured(self, session: UUID) -> bool:
        """Whether the lines of this session go into the log."""
        if self.forgotten(session):
            return False
        registration = self._known.get(session)
        return self._mode == "all" if registration is None else registration.wanted

    def forgotten(self, session: UUID) -> bool:
        """Whether nothing of this session is to be kept."""
        return self._forgotten.get(session) is False

    def archived(self, session: UUID) -> bool:
        """Whether the files of this session go into the archive."""
        return session not in self._forgotten and self.captured(session)

    def begin(self, session: UUID) -> bool:
        """A session that starts asks to be captured; whether it is."""
        if self._mode == "registered" and session not in self._known:
            self._rows.register(session)
            self._known[session] = Registration(session, True, 1, None, None, None)
        return self.captured(session)

    def applied(self, registration: Registration) -> str:
        """The statement that notes a registration as seen to."""
        return self._rows.apply(registration)
