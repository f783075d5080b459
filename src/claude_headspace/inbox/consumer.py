"""The inbox consumer: writes the files of the inbox to the log, in order, exactly once."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from claude_headspace.events.dead_letter_reasons import DAMAGED, REFUSED
from claude_headspace.events.event import Event, Origin
from claude_headspace.inbox.lost_events import restore_lost
from claude_headspace.inbox.message_events import event_of, session_of
from claude_headspace.inbox.messages import Message, remove_leftovers
from claude_headspace.inbox.producer import ARRIVED, MAX_EVENT_BYTES
from claude_headspace.inbox.queue import InboxFile, InboxQueue
from claude_headspace.inbox.retention import DoneFiles
from claude_headspace.inbox.session_news import SessionNews
from claude_headspace.quarantine import each_apart
from claude_headspace.sessions.log import Log
from claude_headspace.store.checkpoints import StoredSource
from claude_headspace.store.dead_letters import DeadLetter
from claude_headspace.store.results import WriteResult
from claude_headspace.store.writer import NOTIFICATION
from claude_headspace.transcripts.secrets import Redaction

logger = logging.getLogger(__name__)


# The event of one file as it was written, and the result.
_Written = tuple[Event, WriteResult]


@dataclass(eq=False, kw_only=True)
class InboxConsumer:
    """Consumes the inbox; a file is moved away once its event is on disk."""

    directory: Path
    log: Log
    queue: InboxQueue
    done: DoneFiles
    redaction: Redaction
    count_rejected: Callable[[Mapping[str, int]], None]

    def __post_init__(self) -> None:
        self._news = SessionNews(
            self.log, self.directory / "unread", lambda: self._inbox_source().precondition
        )
        self._source: StoredSource | None = None
        self._done_is_checked = False

    @property
    def watched(self) -> Path:
        """The directory in which files arrive."""
        return self.directory / ARRIVED

    def prepare(self) -> None:
        """Create the directories, private to their owner, and delete unfinished files.

        An inbox that cannot be used is no reason to capture no transcripts.
        """
        try:
            for directory in (self.directory, self.watched):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.done.prepare()
            remove_leftovers(self.directory)
        except OSError as error:
            logger.warning("the inbox cannot be used: %s", error)

    def clear(self) -> None:
        """Drop what is known, and read the directory and the database again."""
        self._source = None
        self._done_is_checked = False
        self.queue.clear()

    def consume(self) -> bool:
        """Consume the next files; False if there are none.

        Raises DatabaseUnavailable; the files then stay where they are.
        """
        if not self._done_is_checked:
            restore_lost(self.done, self.log.database, self._inbox_source, self.watched)
            self._done_is_checked = True
        self.done.prune()
        batch = self.queue.next_batch()
        if batch:
            each_apart(
                batch, self._write,
                # Changes learned from a batch that failed must not count as stored.
                failed=self.log.sessions.clear,
                give_up=lambda file, reason: self.queue.quarantine(file.path, reason),
            )  # fmt: skip
        return bool(batch) or self.queue.unfinished

    def _inbox_source(self) -> StoredSource:
        if self._source is None:
            self._source = self.log.checkpoints.create(str(self.directory))
        return self._source

    def _write(self, batch: Sequence[InboxFile]) -> None:
        source = self._inbox_source()
        events: list[Event] = []
        numbers: dict[Path, int] = {}
        batch = [file for file in batch if not self._is_forgotten(file)]
        for file in batch:
            if file.message is not None:
                events += self._news.announcements(file.message)
                numbers[file.path] = len(events)
                events.append(self._event(file.message, Origin(source.id, file.offset)))
        results = self.log.writer.write_or_raise(events, source.precondition)
        written = {path: (events[n], results[n]) for path, n in numbers.items()}
        dead_letters = [
            dead_letter
            for file in batch
            for dead_letter in self._finish_one(file, written.get(file.path))
        ]
        self._store(source, dead_letters, wrote=bool(events))
        for file in batch:
            self._move_away(file, written.get(file.path))

    def _is_forgotten(self, file: InboxFile) -> bool:
        """Whether a message belongs to a forgotten session; then it is deleted."""
        uuid = session_of(file.message) if file.message else None
        if uuid is None or not self.log.sessions.registrations.forgotten(uuid):
            return False
        file.path.unlink(missing_ok=True)
        self.queue.finish(file.path)
        return True

    def _event(self, message: Message, origin: Origin) -> Event:
        uuid = session_of(message)
        session = None if uuid is None else self.log.sessions.find(uuid)
        return self.redaction.event(event_of(message, origin, session))

    def _finish_one(self, file: InboxFile, written: _Written | None) -> list[DeadLetter]:
        """Handle one written or rejected file: its dead letter, and the session that it ends."""
        if written is not None and file.message and written[1].outcome != "rejected":
            self._news.end(file.message)
            return []
        problem = file.damage or (written and written[1].error) or "rejected"
        logger.warning("inbox: %s rejected: %s", file.path.name, problem)
        reason = DAMAGED if file.damage else REFUSED
        content = self.redaction.content(_content(file.path))
        return [DeadLetter(file.offset, reason, problem, content)]

    def _store(self, source: StoredSource, dead_letters: list[DeadLetter], *, wrote: bool) -> None:
        statements = [
            *(each.statement(self.log.database, source.id) for each in dead_letters),
            *self.log.sessions.take_changes(),
        ]
        if wrote:
            statements.append(NOTIFICATION)
        self.log.database.store(statements, source.precondition, durably=True)
        self.count_rejected(Counter(dead_letter.reason for dead_letter in dead_letters))

    def _move_away(self, file: InboxFile, written: _Written | None) -> None:
        """Move a file away; if that fails it is read again, but its event is logged once."""
        try:
            self.done.keep(file.path, self._redacted(file, written))
        except OSError as error:
            self.queue.quarantine(file.path, f"it cannot be moved to {self.done}: {error}")
            return
        self.queue.finish(file.path)

    def _redacted(self, file: InboxFile, written: _Written | None) -> bytes | None:
        """The content of a file without secrets, if it differs."""
        if written is None or file.message is None:
            content = _content(file.path)
            redacted = self.redaction.content(content)
            return None if redacted == content else redacted
        message, payload = file.message, written[0].payload
        if payload == message.payload:
            return None
        event = {"id": message.id, "type": message.type}
        told = {**event, "timestamp": message.timestamp.isoformat(), "payload": payload}
        return json.dumps(told).encode() + b"\n"


def _content(path: Path) -> bytes:
    """The content of a file, up to the longest allowed event."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_EVENT_BYTES)
    except OSError:
        return b""
