"""Ending sessions, and applying registrations."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from claude_headspace.errors import DatabaseUnavailable, EventInvalid
from claude_headspace.events.event import Event, derived_key
from claude_headspace.events.event_types import SESSION_ENDED
from claude_headspace.quarantine import Quarantine, each_apart, summary
from claude_headspace.sessions.log import Log
from claude_headspace.store.precondition import Precondition
from claude_headspace.store.sessions import Registration

logger = logging.getLogger(__name__)

# The shortest and longest time between searches for silent sessions.
LONGEST_INTERVAL_SECONDS = 30.0
_INTERVALS_PER_TIMEOUT = 4
_BATCH = 100


def _now() -> datetime:
    return datetime.now(UTC)


class SessionTimeouts:
    """Ends silent and unregistered sessions. Called when every file is committed."""

    def __init__(
        self,
        log: Log,
        inactivity_timeout_seconds: float,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._log = log
        self._sessions = log.sessions
        self._timeout = timedelta(seconds=inactivity_timeout_seconds)
        self._interval = min(
            LONGEST_INTERVAL_SECONDS, inactivity_timeout_seconds / _INTERVALS_PER_TIMEOUT
        )
        self._now = now
        self._next = 0.0
        self._quarantine: Quarantine[UUID] = Quarantine()
        self._failed: Quarantine[UUID] = Quarantine()

    @property
    def trouble(self) -> str | None:
        """The sessions that cannot be ended or registered now, in one sentence."""
        sentences = (
            summary("sessions cannot be ended", self._quarantine.reasons),
            summary("sessions cannot be registered", self._failed.reasons),
        )
        return "; ".join(filter(None, sentences)) or None

    def reload(self) -> None:
        """Read everything again from the database."""
        self._sessions.reload()
        self._next = 0.0

    def look(self, unread: Collection[str] = ()) -> None:
        """End the sessions that have been silent for the timeout.

        Except those with a file that cannot be read, because it may have newer lines.
        """
        if time.monotonic() < self._next:
            return
        precondition = self._log.database.precondition()
        waiting = [session for session in self._quarantine if self._quarantine.holds(session)]
        silent = self._sessions.rows.silent_since(self._now() - self._timeout, _BATCH, waiting)
        self._quarantine.keep_only([*waiting, *silent])
        readable = [s for s in silent if not any(str(s) in path for path in unread)]
        if readable:
            end = partial(self._end, precondition=precondition)
            each_apart(readable, end, failed=self._sessions.clear, give_up=self._give_up)
        if len(silent) < _BATCH:
            self._next = time.monotonic() + self._interval

    def _end(self, silent: Sequence[UUID], precondition: Precondition) -> None:
        ended = []
        for uuid in silent:
            session = self._sessions.find_anew(uuid)
            if session is not None and session.last_seen_at is not None:
                # The time at which it timed out, whenever that is noticed.
                when = session.last_seen_at + self._timeout
                ended.append(self._sessions.ended(session, "timeout", when))
        self._write(ended, precondition)
        for uuid in silent:
            self._quarantine.release(uuid)

    def _give_up(self, session: UUID, reason: str) -> None:
        if self._quarantine.put(session, reason):
            logger.warning("session %s is in quarantine: %s", session, reason)

    @property
    def retries_registrations(self) -> bool:
        """Whether a registration that failed is due again."""
        return any(not self._failed.holds(session) for session in self._failed)

    def apply_registrations(self) -> list[str]:
        """Apply registrations.

        Returns the stored paths of files that must be read from the beginning.
        """
        rewound: list[str] = []
        precondition = self._log.database.precondition()
        asked = self._sessions.registrations.waiting()
        self._failed.keep_only([registration.session for registration in asked])
        for registration in asked:
            if self._failed.holds(registration.session):
                continue
            try:
                rewound += self._apply(registration, precondition)
            except DatabaseUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - the fault of this one
                self._sessions.clear()
                if self._failed.put(registration.session, str(error)):
                    logger.warning("registration of %s: %s", registration.session, error)
                continue
            self._failed.release(registration.session)
        return rewound

    def _apply(self, registration: Registration, precondition: Precondition) -> list[str]:
        act = self._begin if registration.wanted else self._leave
        rewound = act(registration, precondition)
        self._log.database.store([self._sessions.rows.apply(registration)], precondition)
        return rewound

    def _begin(self, registration: Registration, precondition: Precondition) -> list[str]:
        paths = self._log.checkpoints.rewind_session(registration.session)
        session = self._sessions.registered(registration)
        if session is not None:
            announcement = self._sessions.announcement(session, self._now(), None)
            if announcement is not None:
                self._write([(announcement, None)], precondition)
        logger.info("session %s is registered; files to read: %d", registration.session, len(paths))
        return paths

    def _leave(self, registration: Registration, precondition: Precondition) -> list[str]:
        session = self._sessions.find_own(registration.session)
        logger.info("session %s is unregistered", registration.session)
        if session is None:
            return []
        if session.ended_at is None:
            number = str(registration.number)
            key = derived_key(SESSION_ENDED, str(session.uuid), "unregistered", number)
            ended = self._sessions.ended(session, "unregistered", self._now(), key)
            self._write([ended], precondition)
        self._sessions.unannounce(session)
        self._log.database.store(self._sessions.take_changes(), precondition)
        return []

    def _write(self, told: Sequence[tuple[Event, str | None]], precondition: Precondition) -> None:
        """Write events, and then the statements that go with them."""
        results = self._log.writer.write_or_raise([event for event, _ in told], precondition)
        refused = next((result for result in results if result.outcome == "rejected"), None)
        if refused is not None:
            raise EventInvalid("event", refused.error or "rejected")
        stored = [statement for _, statement in told if statement is not None]
        self._log.database.store([*self._sessions.take_changes(), *stored], precondition)
