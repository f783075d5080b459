"""Which sessions are captured: what people asked for, and what holds where nobody asked."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from claude_headspace.store.sessions import Registration, SessionRows

Mode = Literal["all", "registered"]


class Registrations:
    """What people asked for sessions, as far as it is known to hold."""

    def __init__(self, rows: SessionRows, mode: Mode) -> None:
        self._rows = rows
        self._mode = mode
        self._known: dict[UUID, Registration] = {}

    def reload(self) -> None:
        """Learn everything again from the database."""
        self._known = {r.session: r for r in self._rows.registrations(waiting_only=False)}

    def waiting(self) -> list[Registration]:
        """What people asked for since; from now on it holds."""
        waiting = self._rows.registrations(waiting_only=True)
        self._known.update((registration.session, registration) for registration in waiting)
        return waiting

    def of(self, session: UUID) -> Registration | None:
        """What was asked for a session."""
        return self._known.get(session)

    def captured(self, session: UUID) -> bool:
        """Whether the lines of this session go into the log."""
        registration = self._known.get(session)
        return self._mode == "all" if registration is None else registration.wanted

    def begin(self, session: UUID) -> bool:
        """A session that starts asks to be captured; whether it is."""
        if self._mode == "registered" and session not in self._known:
            self._rows.register(session)
            self._known[session] = Registration(session, True, 1, None, None, None)
        return self.captured(session)

    def applied(self, registration: Registration) -> str:
        """The statement that notes a registration as seen to."""
        return self._rows.apply(registration)
