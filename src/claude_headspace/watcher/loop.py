"""The watcher's loop, which decides what to do next."""

from __future__ import annotations

import logging
import time

from claude_headspace.errors import DatabaseUnavailable, StopRequested
from claude_headspace.events.dead_letter_reasons import POISON
from claude_headspace.transcripts.source_file import SLOW_SECONDS
from claude_headspace.watcher.assembly import Parts
from claude_headspace.watcher.reading import Reading

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 1.0
LONGEST_HOLD_SECONDS = 1.0
SHORTEST_HOLD_SECONDS = 0.1

# Names of work that belongs to no single source, for messages.
INBOX = "the inbox"
TIMEOUTS = "session timeouts"
MARKING_COPIES = "marking copies of turns"
REREADING = "reading again by newer rules"
ARCHIVING = "the archive"


class Loop:
    """Runs until a stop is requested, with the parts that it is given."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._reading = Reading(parts)
        self._database = parts.log.database
        self._heartbeat = parts.heartbeat
        self._scanner = parts.scanner
        self._consumer = parts.consumer
        self._work_queue = parts.work_queue
        self._archiver = parts.archiver
        self._reread = parts.reread
        self._run_when_due = parts.boundary.run_when_due
        self._connection_number = 0
        self._waiting_for: str | None = None
        self._hold = SHORTEST_HOLD_SECONDS

    def run(self) -> None:
        """Capture until a stop is requested."""
        while not self._parts.stop.requested:
            self._heartbeat.beat()
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
        if self._database.connection_number == self._connection_number:
            return
        self._parts.learn_anew()
        self._work_queue.clear()
        self._reread.clear()
        self._archiver.clear()
        self._consumer.clear()
        checkpoints = self._parts.log.checkpoints
        self._scanner.begin(checkpoints.committed())
        self._parts.meter.poison_lines = checkpoints.unresolved(POISON)
        self._reading.apply_registrations()
        self._connection_number = self._database.connection_number
        self._waiting_for = None
        self._heartbeat.become("capturing")

    def _work(self) -> None:
        self._parts.presence.tell()
        self._take_notifications()
        if time.monotonic() >= self._scanner.due:
            self._rescan()
        with self._heartbeat.doing("scanning for transcripts", SLOW_SECONDS):
            listing_first = self._scanner.step()
        self._reading.read_detached()
        self._reading.read_unfinished()
        # A session's hooks are handled before lines that were noticed at the same time.
        with self._heartbeat.doing("reading the inbox", SLOW_SECONDS):
            taken = self._run_when_due(INBOX, self._consumer.consume)
        # A session that a hook has registered is read from its first byte before new lines of it.
        self._reading.apply_new_registrations()
        if (path := self._work_queue.take_fresh()) is not None:
            self._visit(path)
        elif taken or listing_first:
            return
        elif (path := self._work_queue.take_backlog()) is not None:
            self._visit(path)
        elif not self._scanner.urgent:
            self._idle()

    def _visit(self, path: str) -> None:
        self._reading.visit(path)
        if self._work_queue:
            self._run_when_due(ARCHIVING, self._archiver.step_if_late)

    def _idle(self) -> None:
        """Everything is read: do low-priority work, then wait."""
        p = self._parts
        if not p.unfinished:
            unread = p.unread.paths
            self._run_when_due(TIMEOUTS, lambda: p.timeouts.look(unread(p.scanner.unreadable)))
        self._run_when_due(ARCHIVING, self._archiver.step)
        if self._reread.due is not None:
            self._run_when_due(REREADING, self._reread.step)
        # Copies are only recognised once all sessions are read by the current rules.
        elif self._run_when_due(MARKING_COPIES, p.capture.look_at_copies):
            return
        p.log.writer.counters.at_rest()
        self._wait()

    def _take_notifications(self) -> None:
        changes = self._parts.notifier.take()
        inbox = str(self._consumer.watched)
        if any(path.startswith(inbox) for path in changes.files) or changes.lost:
            self._consumer.queue.look_again = True
        self._scanner.note(changes)

    def _rescan(self) -> None:
        """Scan for changes that notifications missed."""
        with self._heartbeat.doing("scanning for transcripts", SLOW_SECONDS):
            self._scanner.rescan()
        self._consumer.queue.look_again = True
        for path in self._parts.quarantine.due():
            self._work_queue.add_fresh(path)

    def _wait(self) -> None:
        now = time.monotonic()
        jobs = (self._parts.unfinished, self._reread, self._archiver, self._consumer.queue)
        due = [self._scanner.due, now + LONGEST_WAIT_SECONDS]
        due += [job.due for job in jobs if job.due is not None]
        callers = self._database.fileno(), self._parts.notifier.fileno()
        self._parts.pause.until_called(min(due) - now, *callers)

    def _wait_for_database(self, error: DatabaseUnavailable) -> None:
        """Wait for the database; unread lines stay in the files."""
        reason = str(error)
        self._heartbeat.become("waiting", reason)
        if reason != self._waiting_for:
            logger.warning("waiting: %s", reason)
            self._waiting_for = reason
        self._connection_number = 0
        logger.debug("held for %.1f s: %s", self._hold, error)
        self._parts.pause(self._hold)
        self._hold = min(self._hold * 2, LONGEST_HOLD_SECONDS)
