"""The watcher's loop, which decides what to do next."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from claude_headspace.archive.archiver import Archiver
from claude_headspace.capture.pipeline import Capture
from claude_headspace.capture.reread import Reread
from claude_headspace.discovery.notifier import Notifications
from claude_headspace.discovery.scanner import Scanner
from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.errors import DatabaseUnavailable, StopRequested
from claude_headspace.events.dead_letter_reasons import POISON
from claude_headspace.inbox.consumer import InboxConsumer
from claude_headspace.quarantine import Quarantine
from claude_headspace.sessions.log import Log
from claude_headspace.sessions.timeouts import SessionTimeouts
from claude_headspace.transcripts.source_file import SLOW_SECONDS
from claude_headspace.watcher.error_boundary import Boundary
from claude_headspace.watcher.heartbeat import Heartbeat
from claude_headspace.watcher.meter import Meter
from claude_headspace.watcher.pause import Pause
from claude_headspace.watcher.presence import Presence
from claude_headspace.watcher.reading import Reading
from claude_headspace.watcher.rewinding import Rewinding
from claude_headspace.watcher.stop_request import Stop
from claude_headspace.watcher.unfinished import Unfinished
from claude_headspace.watcher.unread import Unread

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 1.0
LONGEST_HOLD_SECONDS = 1.0
SHORTEST_HOLD_SECONDS = 0.1

# Names of work that belongs to no single source, for messages.
INBOX = "the inbox"
TIMEOUTS = "session timeouts"
COPIES = "marking copies of turns"
REREADING = "reading again by newer rules"
ARCHIVING = "the archive"


@dataclass(eq=False, kw_only=True)
class Loop:
    """Runs until a stop is requested, with the parts that it is given."""

    log: Log
    capture: Capture
    reading: Reading
    reread: Reread
    rewinding: Rewinding
    archiver: Archiver
    timeouts: SessionTimeouts
    consumer: InboxConsumer
    notifier: Notifications
    scanner: Scanner
    quarantine: Quarantine[str]
    unfinished: Unfinished
    unread: Unread
    boundary: Boundary
    work_queue: WorkQueue
    stop: Stop
    heartbeat: Heartbeat
    pause: Pause
    meter: Meter
    presence: Presence
    learn_anew: Callable[[], None]

    def __post_init__(self) -> None:
        self._database = self.log.database
        self._checkpoints = self.log.checkpoints
        self._counters = self.log.writer.counters
        self._inbox = str(self.consumer.watched)
        self._generation = 0
        self._waiting_for: str | None = None
        self._hold = SHORTEST_HOLD_SECONDS

    def run(self) -> None:
        """Capture until a stop is requested."""
        while not self.stop.requested:
            self.heartbeat.beat()
            try:
                self._connect()
                self._work()
                self._hold = SHORTEST_HOLD_SECONDS
            except DatabaseUnavailable as error:
                self._wait_for_database(error)
            except StopRequested:
                return

    def _connect(self) -> None:
        """Make sure of a connection; after a new one, read everything from the database again."""
        self._database.connect()
        if self._database.generation == self._generation:
            return
        self.learn_anew()
        self.work_queue.forget()
        self.reread.forget()
        self.archiver.forget()
        self.consumer.forget()
        self.scanner.begin(self._checkpoints.committed())
        self.meter.poison_lines = self._checkpoints.unresolved(POISON)
        self.rewinding.apply()
        self._generation = self._database.generation
        self._waiting_for = None
        self.heartbeat.become("capturing")

    def _work(self) -> None:
        """Do what is due, or wait."""
        self.presence.tell()
        self._take_notifications()
        if time.monotonic() >= self.scanner.due:
            self._rescan()
        with self.heartbeat.doing("scanning for transcripts", SLOW_SECONDS):
            listing_first = self.scanner.step()
        self.reading.read_detached()
        self.reading.read_unfinished()
        # A session's hooks are handled before lines that were noticed at the same time.
        taken = self._consume_inbox()
        # A session that a hook has registered is read from its first byte before new lines of it.
        self.rewinding.look()
        if (path := self.work_queue.take_fresh()) is not None:
            self._visit(path)
        elif taken or listing_first:
            return
        elif (path := self.work_queue.take_backlog()) is not None:
            self._visit(path)
        elif not self.scanner.urgent:
            self._idle()

    def _visit(self, path: str) -> None:
        self.reading.visit(path)
        if self.work_queue:
            self.boundary.run_when_due(ARCHIVING, self.archiver.step_if_late)

    def _idle(self) -> None:
        """Everything is read: do low-priority work, then wait."""
        if not self.unfinished:
            self.boundary.run_when_due(TIMEOUTS, self._look_at_timeouts)
        self.boundary.run_when_due(ARCHIVING, self.archiver.step)
        if self.reread.due is not None:
            self.boundary.run_when_due(REREADING, self.reread.step)
        # Copies are only recognised once all sessions are read by the current rules.
        elif self.boundary.run_when_due(COPIES, self.capture.look_at_copies):
            return
        self._counters.at_rest()
        self._wait()

    def _look_at_timeouts(self) -> None:
        self.timeouts.look(unread=self.unread.paths(self.scanner.unreadable))

    def _consume_inbox(self) -> bool:
        with self.heartbeat.doing("reading the inbox", SLOW_SECONDS):
            return bool(self.boundary.run_when_due(INBOX, self.consumer.consume))

    def _take_notifications(self) -> None:
        changes = self.notifier.take()
        if any(path.startswith(self._inbox) for path in changes.files) or changes.lost:
            self.consumer.look_again()
        self.scanner.note(changes)

    def _rescan(self) -> None:
        """Scan for changes that notifications missed."""
        with self.heartbeat.doing("scanning for transcripts", SLOW_SECONDS):
            self.scanner.rescan()
        self.consumer.look_again()
        for path in self.quarantine.due():
            self.work_queue.add_fresh(path)

    def _wait(self) -> None:
        """Wait until something happens or is due."""
        now = time.monotonic()
        jobs = (self.unfinished, self.reread, self.archiver, self.consumer)
        due = [self.scanner.due, now + LONGEST_WAIT_SECONDS]
        due += [job.due for job in jobs if job.due is not None]
        self.pause.until_called(min(due) - now, self._database.fileno(), self.notifier.fileno())

    def _wait_for_database(self, error: DatabaseUnavailable) -> None:
        """Wait for the database; unread lines stay in the files."""
        reason = str(error)
        self.heartbeat.become("waiting", reason)
        if reason != self._waiting_for:
            logger.warning("waiting: %s", reason)
            self._waiting_for = reason
        self._generation = 0
        logger.debug("held for %.1f s: %s", self._hold, error)
        self.pause(self._hold)
        self._hold = min(self._hold * 2, LONGEST_HOLD_SECONDS)
