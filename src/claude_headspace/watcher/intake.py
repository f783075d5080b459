"""The inbox: events that other programs left as files, in order of arrival, exactly once."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from claude_headspace.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    EventInvalid,
    InboxDamaged,
    InboxError,
)
from claude_headspace.events.event import Event, Origin, derived_key
from claude_headspace.events.taxonomy import (
    HOOK_RECEIVED,
    SESSION_ENDED,
    SESSION_REGISTERED,
    installed_taxonomy,
)
from claude_headspace.inbox.arrivals import Arrival, list_arrivals, read_arrival, remove_leftovers
from claude_headspace.inbox.events import event_of, session_of
from claude_headspace.inbox.producer import ARRIVED
from claude_headspace.sessions.known import Sessions
from claude_headspace.store.connection import Database, Footing
from claude_headspace.store.positions import Positions, Rejection, StoredSource
from claude_headspace.store.sessions import StoredSession
from claude_headspace.store.writer import NOTIFICATION, EventWriter, WriteResult

logger = logging.getLogger(__name__)

BATCH_FILES = 128
SESSION_START = "SessionStart"
SESSION_END = "SessionEnd"
REFUSED = "refused"
_PLACE_DIGITS = 20

Redact = Callable[[Event], Event]


@dataclass(slots=True)
class _Taken:
    """One file of the inbox with what it says, or why it says nothing."""

    path: Path
    offset: int
    arrival: Arrival | None = None
    damage: str | None = None


class Intake:
    """Takes events out of the inbox; a file is deleted once what it says is on the disk."""

    def __init__(
        self,
        *,
        directory: Path,
        database: Database,
        writer: EventWriter,
        positions: Positions,
        sessions: Sessions,
        redact: Redact,
        kept: Callable[[bytes], bytes],
        count_rejected: Callable[[Mapping[str, int]], None],
    ) -> None:
        self._directory = directory
        self._database = database
        self._writer = writer
        self._positions = positions
        self._sessions = sessions
        self._redact = redact
        self._kept = kept
        self._count_rejected = count_rejected
        self._source: StoredSource | None = None
        self._queue: list[Path] = []
        # Why the inbox cannot be read now, if it cannot.
        self.complaint: str | None = None
        self.look_again = True

    @property
    def watched(self) -> Path:
        """The directory in which files arrive."""
        return self._directory / ARRIVED

    def prepare(self) -> None:
        """Make the directories, for their owner alone, and clear what died half-made."""
        for directory in (self._directory, self.watched):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(InboxError):
            remove_leftovers(self._directory)

    def forget(self) -> None:
        """Learn everything again from the directory and the database."""
        self._source = None
        self._queue = []
        self.look_again = True

    def take(self) -> bool:
        """Take the next files in; False when there are none.

        Raises DatabaseUnavailable with the files left where they are.
        """
        try:
            taken = [self._read(path) for path in self._next_paths()]
        except InboxError as error:
            self._complain(str(error))
            return False
        self.complaint = None
        if not taken:
            return False
        self._write_apart([item for item in taken if item is not None])
        return True

    def _write_apart(self, taken: list[_Taken]) -> None:
        """Write them together; where that is refused, each alone, and what still is goes aside."""
        try:
            self._write(taken)
        except DatabaseRefused as error:
            if len(taken) > 1:
                for item in taken:
                    self._write_apart([item])
                return
            aside = self._directory / REFUSED
            aside.mkdir(mode=0o700, exist_ok=True)
            logger.error("inbox: %s is set aside in %s: %s", taken[0].path.name, aside, error)  # noqa: TRY400
            taken[0].path.replace(aside / taken[0].path.name)

    def _next_paths(self) -> list[Path]:
        if not self._queue and self.look_again:
            self.look_again = False
            self._queue = list_arrivals(self._directory)
        batch, self._queue = self._queue[:BATCH_FILES], self._queue[BATCH_FILES:]
        self.look_again = self.look_again or bool(batch)
        return batch

    def _read(self, path: Path) -> _Taken | None:
        """None where the file has gone."""
        offset = _place(path.name)
        try:
            return _Taken(path, offset, arrival=read_arrival(path))
        except InboxDamaged as error:
            return _Taken(path, offset, damage=str(error))
        except InboxError:
            if path.exists():
                raise
            return None

    def _write(self, taken: list[_Taken]) -> None:
        source = self._inbox_source()
        events: list[Event] = []
        numbers: dict[int, int] = {}
        for number, item in enumerate(taken):
            if item.arrival is not None:
                events += self._announcements(item.arrival)
                numbers[number] = len(events)
                events.append(self._event(item.arrival, Origin(source.id, item.offset)))
        results = self._writer.write_all(events, footing=self._footing(source, events))
        if results and not results[-1].settled:
            raise DatabaseUnavailable(results[-1].error or "the write failed")
        rejections: list[Rejection] = []
        for number, item in enumerate(taken):
            result = results[numbers[number]] if number in numbers else None
            rejections += self._settle_one(item, result)
        self._store(source, rejections, wrote=bool(events))
        for item in taken:
            item.path.unlink(missing_ok=True)

    def _footing(self, source: StoredSource, events: list[Event]) -> Footing:
        sessions = {event.session_uuid for event in events}

        def stands() -> bool:
            return self._positions.stands(source) and self._sessions.stand(sessions)

        return Footing(self._database, self._database.generation, stands)

    def _settle_one(self, item: _Taken, result: WriteResult | None) -> list[Rejection]:
        """What is to be kept of one file that cannot be written; sessions that it ends."""
        if item.arrival is not None and result is not None and result.outcome != "rejected":
            self._end_session(item.arrival)
            return []
        problem = item.damage or (result and result.error) or "rejected"
        logger.warning("inbox: %s rejected: %s", item.path.name, problem)
        reason = "damaged" if item.damage else "refused"
        return [Rejection(item.offset, reason, problem, self._content(item.path))]

    def _content(self, path: Path) -> bytes:
        try:
            return self._kept(path.read_bytes())
        except OSError:
            return b""

    def _store(self, source: StoredSource, rejections: list[Rejection], *, wrote: bool) -> None:
        statements = [
            *self._positions.reject(source, rejections),
            *self._sessions.take_changes(),
        ]
        if wrote:
            statements.append(NOTIFICATION)
        if statements:
            self._database.execute_durably("; ".join(statements))
        self._count_rejected(Counter(rejection.reason for rejection in rejections))

    def _inbox_source(self) -> StoredSource:
        if self._source is None:
            path = str(self._directory)
            self._source = self._positions.find(path) or self._positions.create(path)
        return self._source

    def _event(self, arrival: Arrival, origin: Origin) -> Event:
        session = self._session_of(arrival)
        project_id, agent_id = (session.project_id, session.agent_id) if session else (None, None)
        return self._redact(event_of(arrival, origin, project_id, agent_id))

    def _session_of(self, arrival: Arrival) -> StoredSession | None:
        uuid = session_of(arrival)
        return None if uuid is None else self._sessions.find(uuid)

    def _announcements(self, arrival: Arrival) -> list[Event]:
        """A session is registered by its first hook, whether its transcript is there yet or not."""
        uuid = session_of(arrival)
        if uuid is None:
            return []
        if arrival.type == SESSION_REGISTERED:
            self._introduce(uuid, arrival)
            return []
        directory = arrival.payload.get("working_directory")
        if not isinstance(directory, str) or not self._introduces(uuid, arrival):
            return []
        session = self._sessions.meet(uuid, directory, str(self._directory / "unread"))
        if session is None:
            return []
        announcement = self._sessions.announcement(session, arrival.timestamp, None)
        self._sessions.saw_line(session, arrival.timestamp, None)
        return [announcement] if announcement else []

    def _introduces(self, uuid: UUID, arrival: Arrival) -> bool:
        """Whether an arrival is a hook that starts a session, or the first one heard of it."""
        hook_type = _hook_type(arrival)
        if hook_type == SESSION_START:
            return self._sessions.begin(uuid)
        if hook_type in (None, SESSION_END) or not self._sessions.captured(uuid):
            return False
        return self._sessions.find(uuid) is None

    def _introduce(self, uuid: UUID, arrival: Arrival) -> None:
        """Register the session that an event from elsewhere announces; not if it is refused."""
        with suppress(EventInvalid):
            installed_taxonomy().check(event_of(arrival, None, None, None))
            if self._sessions.begin(uuid):
                session = self._sessions.introduce(uuid, arrival.payload)
                self._sessions.saw_line(session, arrival.timestamp, None)

    def _end_session(self, arrival: Arrival) -> None:
        session = self._session_of(arrival)
        if session is None:
            return
        if arrival.type == SESSION_ENDED:
            ended = self._sessions.end(session, arrival.payload["reason"], arrival.timestamp)
            if ended is not None:
                self._database.execute("; ".join([*self._sessions.take_changes(), ended]))
            return
        if _hook_type(arrival) != SESSION_END or session.ended_at is not None:
            return
        key = derived_key(SESSION_ENDED, arrival.id)
        goes_on = self._sessions.spoke_after(session, arrival.timestamp)
        event, statement = self._sessions.ending(session, "closed", arrival.timestamp, key)
        footing = Footing(
            self._database, self._database.generation, lambda: self._sessions.stand([session.uuid])
        )
        result = self._writer.write_all([event], footing=footing)[0]
        if not result.settled:
            raise DatabaseUnavailable(result.error or "the write failed")
        if goes_on:
            session.ended_at = None
            return
        self._database.execute("; ".join([*self._sessions.take_changes(), statement]))

    def _complain(self, problem: str) -> None:
        if problem != self.complaint:
            logger.warning("the inbox cannot be read now: %s", problem)
        self.complaint = problem
        self._queue = []


def _place(name: str) -> int:
    """Where a file stands in the inbox: its time of arrival, or a number of its own."""
    prefix = name.partition("-")[0]
    if prefix.isascii() and prefix.isdecimal() and len(prefix) <= _PLACE_DIGITS:
        return int(prefix) % 2**63
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:7], "big")


def _hook_type(arrival: Arrival) -> str | None:
    hook_type = arrival.payload.get("hook_type")
    return hook_type if arrival.type == HOOK_RECEIVED and isinstance(hook_type, str) else None
