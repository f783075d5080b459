"""The inbox: events that other programs left as files, in order of message, exactly once."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from uuid import UUID

from claude_headspace.errors import DatabaseUnavailable, EventInvalid, InboxError, StopRequested
from claude_headspace.events.event import Event, Origin, derived_key
from claude_headspace.events.taxonomy import (
    SESSION_ENDED,
    SESSION_REGISTERED,
    installed_taxonomy,
)
from claude_headspace.inbox.done import Kept
from claude_headspace.inbox.events import event_of, session_of
from claude_headspace.inbox.messages import Message, read_message, remove_leftovers
from claude_headspace.inbox.producer import ARRIVED, MAX_EVENT_BYTES
from claude_headspace.inbox.queue import (
    BATCH_FILES,
    SESSION_END,
    InboxQueue,
    Taken,
    ends,
    hook_type,
    place,
)
from claude_headspace.sessions.known import Sessions
from claude_headspace.store.checkpoints import Checkpoints, StoredSource
from claude_headspace.store.connection import Database
from claude_headspace.store.dead_letters import DeadLetter
from claude_headspace.store.results import WriteResult
from claude_headspace.store.sessions import StoredSession
from claude_headspace.store.writer import NOTIFICATION, EventWriter

logger = logging.getLogger(__name__)

SESSION_START = "SessionStart"
Redact = Callable[[Event], Event]


@dataclass(slots=True)
class _Written:
    """What was written of one file: its event as it was given to the writer, and the result."""

    event: Event
    result: WriteResult


class InboxConsumer:
    """Takes events out of the inbox; a file is moved away once what it says is on the disk."""

    def __init__(
        self,
        *,
        directory: Path,
        database: Database,
        writer: EventWriter,
        checkpoints: Checkpoints,
        sessions: Sessions,
        queue: InboxQueue,
        kept: Kept,
        redact: Redact,
        redact_bytes: Callable[[bytes], bytes],
        count_rejected: Callable[[Mapping[str, int]], None],
    ) -> None:
        self._directory = directory
        self._database = database
        self._writer = writer
        self._checkpoints = checkpoints
        self._sessions = sessions
        self._queue = queue
        self._kept = kept
        self._redact = redact
        self._redact_bytes = redact_bytes
        self._count_rejected = count_rejected
        self._source: StoredSource | None = None
        self._kept_is_checked = False

    @property
    def watched(self) -> Path:
        """The directory in which files arrive."""
        return self._directory / ARRIVED

    @property
    def trouble(self) -> str | None:
        """What cannot be taken in now, in one sentence."""
        return self._queue.trouble

    @property
    def due(self) -> float | None:
        """When, on the monotonic clock, something that waits is to be looked at again."""
        return self._queue.due

    def prepare(self) -> None:
        """Make the directories, for their owner alone, and clear what died half-made."""
        for directory in (self._directory, self.watched):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._kept.prepare()
        with suppress(InboxError):
            remove_leftovers(self._directory)

    def forget(self) -> None:
        """Learn everything again from the directory and the database."""
        self._source = None
        self._kept_is_checked = False
        self._queue.forget()

    def look_again(self) -> None:
        """Something may have arrived."""
        self._queue.look_again = True

    def take(self) -> bool:
        """Take the next files in; False when there are none.

        Raises DatabaseUnavailable with the files left where they are.
        """
        if not self._kept_is_checked:
            self._take_back_what_was_lost()
            self._kept_is_checked = True
        self._kept.prune()
        batch = self._queue.next_batch()
        if batch:
            self._write_apart(batch)
        return bool(batch) or self._queue.unfinished

    def _take_back_what_was_lost(self) -> None:
        """Kept files whose events a failover took back: those taken in after the last one left.

        Of the batch of the last one left, sessions' ends may have gone without their events.
        """
        lost: list[Path] = []
        kept = (path for minute in self._kept.newest_first() for path in minute)
        while part := list(islice(kept, BATCH_FILES)):
            found = self._known(part)
            last = next((n for n, path in enumerate(part) if path in found), None)
            lost += part[:last]
            if last is not None:
                batch = [*part[last:], *islice(kept, BATCH_FILES)][:BATCH_FILES]
                self._take_back([path for path in batch if _may_end_a_session(path)])
                break
        self._take_back(lost)
        if lost:
            logger.warning("inbox: the log has lost %d events: they are taken in again", len(lost))

    def _take_back(self, paths: list[Path]) -> None:
        for path in paths:
            with suppress(OSError):
                self._kept.take_back(path, self.watched)

    def _known(self, paths: list[Path]) -> set[Path]:
        """Those of which the log has the event, or the dead letter."""
        keys: dict[UUID, Path] = {}
        for path in paths:
            with suppress(InboxError):
                keys[UUID(read_message(path).id)] = path
        places = {place(path.name): path for path in paths}
        found = {keys[key] for key in self._checkpoints.keys_in_log(list(keys))}
        rejected = self._checkpoints.rejected_at(self._inbox_source(), list(places))
        return found | {places[offset] for offset in rejected}

    def _write_apart(self, batch: list[Taken]) -> None:
        """Write them together; where something goes wrong each alone, and what still does waits."""
        try:
            self._write(batch)
        except (DatabaseUnavailable, StopRequested):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the fault of one file
            # What was learnt from a batch that is not stored must not be taken for stored.
            self._sessions.forget()
            if len(batch) > 1:
                for taken in batch:
                    self._write_apart([taken])
                return
            self._queue.set_aside(batch[0].path, f"{type(error).__name__}: {error}")

    def _write(self, batch: list[Taken]) -> None:
        source = self._inbox_source()
        events: list[Event] = []
        numbers: dict[Path, int] = {}
        batch = [taken for taken in batch if not self._is_forgotten(taken)]
        for taken in batch:
            if taken.message is not None:
                events += self._announcements(taken.message)
                numbers[taken.path] = len(events)
                events.append(self._event(taken.message, Origin(source.id, taken.offset)))
        results = self._writer.write_or_raise(events, source.precondition)
        written = {path: _Written(events[n], results[n]) for path, n in numbers.items()}
        dead_letters = [
            dead_letter
            for taken in batch
            for dead_letter in self._finish_one(taken, written.get(taken.path))
        ]
        self._store(source, dead_letters, wrote=bool(events))
        for taken in batch:
            self._move_away(taken, written.get(taken.path))

    def _is_forgotten(self, taken: Taken) -> bool:
        """Whether an message is of a session that is not to be kept: it goes then."""
        uuid = session_of(taken.message) if taken.message else None
        if uuid is None or not self._sessions.registrations.forgotten(uuid):
            return False
        taken.path.unlink(missing_ok=True)
        self._queue.finish(taken.path)
        return True

    def _finish_one(self, taken: Taken, written: _Written | None) -> list[DeadLetter]:
        """What is to be kept of one file that cannot be written; sessions that it ends."""
        if written is not None and taken.message and written.result.outcome != "rejected":
            self._end_session(taken.message)
            return []
        problem = taken.damage or (written and written.result.error) or "rejected"
        logger.warning("inbox: %s rejected: %s", taken.path.name, problem)
        reason = "damaged" if taken.damage else "refused"
        content = self._redact_bytes(_content(taken.path))
        return [DeadLetter(taken.offset, reason, problem, content)]

    def _store(self, source: StoredSource, dead_letters: list[DeadLetter], *, wrote: bool) -> None:
        statements = [
            *self._checkpoints.reject(source, dead_letters),
            *self._sessions.take_changes(),
        ]
        if wrote:
            statements.append(NOTIFICATION)
        self._database.store(statements, source.precondition, durably=True)
        self._count_rejected(Counter(dead_letter.reason for dead_letter in dead_letters))

    def _move_away(self, taken: Taken, written: _Written | None) -> None:
        """A file that stays where it is is met again: what it says stands in the log once."""
        try:
            self._kept.keep(taken.path, self._redacted(taken, written))
        except OSError as error:
            self._queue.set_aside(taken.path, f"it cannot be moved to {self._kept}: {error}")
            return
        self._queue.finish(taken.path)

    def _redacted(self, taken: Taken, written: _Written | None) -> bytes | None:
        """What may be kept of a file, where that is not what it says."""
        if written is None or taken.message is None:
            content = _content(taken.path)
            redacted = self._redact_bytes(content)
            return None if redacted == content else redacted
        message, payload = taken.message, written.event.payload
        if payload == message.payload:
            return None
        event = {"id": message.id, "type": message.type}
        told = {**event, "timestamp": message.timestamp.isoformat(), "payload": payload}
        return json.dumps(told).encode() + b"\n"

    def _inbox_source(self) -> StoredSource:
        if self._source is None:
            self._source = self._checkpoints.create(str(self._directory))
        return self._source

    def _event(self, message: Message, origin: Origin) -> Event:
        session = self._session_of(message)
        project_id, agent_id = (session.project_id, session.agent_id) if session else (None, None)
        return self._redact(event_of(message, origin, project_id, agent_id))

    def _session_of(self, message: Message) -> StoredSession | None:
        uuid = session_of(message)
        return None if uuid is None else self._sessions.find(uuid)

    def _announcements(self, message: Message) -> list[Event]:
        """A session is registered by its first hook, whether its transcript is there yet or not."""
        uuid = session_of(message)
        if uuid is None:
            return []
        if message.type == SESSION_REGISTERED:
            self._introduce(uuid, message)
            return []
        directory = message.payload.get("working_directory")
        if not isinstance(directory, str) or not self._introduces(uuid, message):
            return []
        session = self._sessions.meet(uuid, directory, str(self._directory / "unread"))
        if session is None:
            return []
        announcement = self._sessions.announcement(session, message.timestamp, None)
        self._sessions.saw_line(session, message.timestamp, None)
        return [announcement] if announcement else []

    def _introduces(self, uuid: UUID, message: Message) -> bool:
        """Whether an message is a hook that starts a session, or the first one heard of it."""
        kind = hook_type(message)
        if kind == SESSION_START:
            return self._sessions.registrations.begin(uuid)
        if kind in (None, SESSION_END) or not self._sessions.captured(uuid):
            return False
        session = self._sessions.find(uuid)
        return session is None or not session.announced

    def _introduce(self, uuid: UUID, message: Message) -> None:
        """Register the session that an event from elsewhere announces; not if it is refused."""
        with suppress(EventInvalid):
            installed_taxonomy().check(event_of(message, None, None, None))
            if self._sessions.registrations.begin(uuid):
                session = self._sessions.introduce(uuid, message.payload)
                self._sessions.saw_line(session, message.timestamp, None)

    def _end_session(self, message: Message) -> None:
        session = self._session_of(message)
        if session is None:
            return
        if message.type == SESSION_ENDED:
            ended = self._sessions.end(session, message.payload["reason"], message.timestamp)
            if ended is not None:
                self._store_end(ended)
            return
        if hook_type(message) != SESSION_END or session.ended_at is not None:
            return
        key = derived_key(SESSION_ENDED, message.id)
        goes_on = self._sessions.spoke_after(session, message.timestamp)
        event, statement = self._sessions.ending(session, "closed", message.timestamp, key)
        self._writer.write_or_raise([event], self._inbox_source().precondition)
        if goes_on:
            session.ended_at = None
            return
        self._store_end(statement)

    def _store_end(self, statement: str) -> None:
        statements = [*self._sessions.take_changes(), statement]
        self._database.store(statements, self._inbox_source().precondition)


def _may_end_a_session(path: Path) -> bool:
    try:
        return ends(read_message(path))
    except InboxError:
        return False


def _content(path: Path) -> bytes:
    """What stands in a file, as far as an event may be long."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_EVENT_BYTES)
    except OSError:
        return b""
