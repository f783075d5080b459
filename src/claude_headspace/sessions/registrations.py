"""Which sessions are captured: registrations, and the default without one."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from claude_headspace.store.sessions import Registration, SessionRows

Mode = Literal["all", "registered"]


class Registrations:
    """The registrations of sessions, as last read from the database."""

    def __init__(self, rows: SessionRows, mode: Mode) -> None:
        self._rows = rows
        self._mode = mode
        self._known: dict[UUID, Registration] = {}
        # Forgotten sessions; of some, only the archive.
        self._forgotten: dict[UUID, bool] = {}

    def reload(self) -> None:
        """Read everything again from the database."""
        self._known = {r.session: r for r in self._rows.registrations(waiting_only=False)}
        self._forgotten = self._rows.tombstones()

    def waiting(self) -> list[Registration]:
        """New registrations, which apply from now on."""
        waiting = self._rows.registrations(waiting_only=True)
        self._forgotten = self._rows.tombstones()
        self._known.update((registration.session, registration) for registration in waiting)
        return waiting

    def of(self, session: UUID) -> Registration | None:
        """The registration of a session."""
        return self._known.get(session)

    def captured(self, session: UUID) -> bool:
        """Whether the lines of this session are captured."""
        if self.forgotten(session):
            return False
        registration = self._known.get(session)
        return self._mode == "all" if registration is None else registration.wanted

    def forgotten(self, session: UUID) -> bool:
        """Whether nothing of this session may be stored."""
        return self._forgotten.get(session) is False

    def archived(self, session: UUID) -> bool:
        """Whether the files of this session are archived."""
        return session not in self._forgotten and self.captured(session)

    def begin(self, session: UUID) -> bool:
        """Register a session that starts, unless the user has decided; whether it is captured."""
        if self._mode == "registered" and session not in self._known:
            self._rows.register(session)
            self._known[session] = Registration(session, True, 1, None, None, None)
        return self.captured(session)
