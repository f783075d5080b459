"""The watcher's loop: what changed is read and written, and nothing is done in between."""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from claude_headspace.archive.archiver import Archiver
from claude_headspace.capture.pipeline import Capture, Step
from claude_headspace.capture.reader import POISON
from claude_headspace.capture.reread import Reread
from claude_headspace.capture.sources import ActiveSource, Sources
from claude_headspace.config import FileWatcherSettings
from claude_headspace.discovery.listing import look, transcripts_of
from claude_headspace.discovery.notifier import Notifications, Waker
from claude_headspace.discovery.scanner import Scanner
from claude_headspace.discovery.work_queue import Waiting, WorkQueue
from claude_headspace.errors import DatabaseUnavailable, StopRequested
from claude_headspace.inbox.consumer import InboxConsumer
from claude_headspace.quarantine import Quarantine, told
from claude_headspace.sessions.timeouts import SessionTimeouts
from claude_headspace.store.checkpoints import Checkpoints, stored_path
from claude_headspace.store.connection import Database
from claude_headspace.store.sessions import REGISTRATION_CHANNEL
from claude_headspace.transcripts.tailer import SLOW_SECONDS
from claude_headspace.watcher.backlog import Progress
from claude_headspace.watcher.boundary import Boundary
from claude_headspace.watcher.heartbeat import Heartbeat
from claude_headspace.watcher.stop import Stop

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 1.0
LONGEST_HOLD_SECONDS = 1.0
SHORTEST_HOLD_SECONDS = 0.1
CAPTURING_SECONDS = 2.0
# What is to come after a file that cannot be read waits for so many tries: the file that took its
# place, the end of its session.
PATIENT_TRIES = 5

# Work that is of no one source, as it is named when it fails.
INBOX = "the inbox"
TIMEOUTS = "session timeouts"
REGISTRATIONS = "session registrations"
COPIES = "telling copies of turns"
REREADING = "reading again by newer rules"
ARCHIVING = "the archive"


class Loop:
    """Runs until asked to stop. Everything it works with is given to it."""

    def __init__(
        self,
        *,
        settings: FileWatcherSettings,
        database: Database,
        checkpoints: Checkpoints,
        sources: Sources,
        capture: Capture,
        reread: Reread,
        archiver: Archiver,
        timeouts: SessionTimeouts,
        consumer: InboxConsumer,
        notifier: Notifications,
        scanner: Scanner,
        aside: Quarantine[str],
        roots: Sequence[str],
        boundary: Boundary,
        work_queue: WorkQueue,
        waker: Waker,
        stop: Stop,
        heartbeat: Heartbeat,
        pause: Callable[[float], None],
    ) -> None:
        self._settings = settings
        self._database = database
        self._checkpoints = checkpoints
        self._sources = sources
        self._capture = capture
        self._reread = reread
        self._archiver = archiver
        self._timeouts = timeouts
        self._consumer = consumer
        self._inbox = str(consumer.watched)
        self._notifier = notifier
        self._scanner = scanner
        self._quarantine = aside
        self._roots = roots
        self._boundary = boundary
        self._work_queue = work_queue
        self._waker = waker
        self._stop = stop
        self._heartbeat = heartbeat
        self._pause = pause
        self._generation = 0
        self._waiting_for: str | None = None
        self._hold = SHORTEST_HOLD_SECONDS
        # Files whose end leaves something open, a last line without its newline or a prompt without
        # a line: size when last seen, and when to take them as they are.
        self._unfinished: dict[str, tuple[int, float]] = {}
        self.committed_bytes = 0
        self.committed_lines = 0
        self.poison_lines = 0
        self.advanced_at: float | None = None
        self.progress = Progress()

    def run(self) -> None:
        """Capture until asked to stop."""
        while not self._stop.requested:
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
        """Have a connection; on a new one everything is learnt anew from the database."""
        self._database.connect()
        if self._database.generation == self._generation:
            return
        self._sources.forget()
        self._work_queue.forget()
        self._timeouts.reload()
        self._capture.forget()
        self._reread.forget()
        self._archiver.forget()
        self._consumer.forget()
        self._scanner.begin(self._checkpoints.committed())
        self.poison_lines = self._checkpoints.unresolved(POISON)
        self._boundary.run_when_due(REGISTRATIONS, self._apply_registrations)
        self._generation = self._database.generation
        self._waiting_for = None
        self._heartbeat.become("capturing")

    def learn_anew(self) -> None:
        """Something failed half way: what it left in memory is learnt from the database."""
        self._sources.forget()
        self._capture.forget()
        self._timeouts.reload()

    def tell_ready(self) -> None:
        """Everything was seen once: what waits is known."""
        self.progress.begin(self._work_queue.backlog_bytes, self.committed_bytes)

    def _work(self) -> None:
        """Whatever is due; waits when nothing is."""
        self._look_for_registrations()
        self._take_notifications()
        if time.monotonic() >= self._scanner.due:
            self._rescan()
        with self._heartbeat.doing("look for transcripts", SLOW_SECONDS):
            listing_first = self._scanner.step()
        self._read_detached()
        self._take_unfinished()
        if self._archiver.late:
            self._boundary.run_when_due(ARCHIVING, self._archiver.step)
        # What a hook says of a session comes before the lines that were noticed together with it.
        taken = self._take_inbox()
        if (path := self._work_queue.take_fresh()) is not None:
            self._visit(path)
        elif taken or listing_first:
            return
        elif (path := self._work_queue.take_backlog()) is not None:
            self._visit(path)
        elif not self._scanner.urgent:
            self._idle()

    def _idle(self) -> None:
        """Everything is read: what is done at leisure, and then a wait."""
        if not self._unfinished:
            self._boundary.run_when_due(TIMEOUTS, self._look_at_timeouts)
        self._boundary.run_when_due(ARCHIVING, self._archiver.step)
        if self._reread.due is not None:
            self._boundary.run_when_due(REREADING, self._step_of_reread)
        # What a session repeats shows when all sessions are read by the rules of today.
        elif self._boundary.run_when_due(COPIES, self._capture.look_at_copies):
            return
        self._heartbeat.at_rest()
        self._wait()

    def _look_at_timeouts(self) -> None:
        self._timeouts.look(unread=self._unread())

    def _step_of_reread(self) -> None:
        done = False
        try:
            self._reread.step()
            done = True
        finally:
            if not done:
                self._reread.pass_over()

    def _take_inbox(self) -> bool:
        with self._heartbeat.doing("take the inbox in", SLOW_SECONDS):
            return bool(self._boundary.run_when_due(INBOX, self._consumer.take))

    def _take_notifications(self) -> None:
        changes = self._notifier.take()
        if any(path.startswith(self._inbox) for path in changes.files) or changes.lost:
            self._consumer.look_again()
        self._scanner.note(changes)

    def _unread(self) -> set[str]:
        """Files that may hold what is not known: they cannot be read, or their place be seen."""
        unread = set(self._quarantine.reasons)
        for place in self._scanner.unreadable:
            unread.update((place, *self._work_queue.below(place)))
        return unread

    def _visit(self, path: str) -> None:
        """Take one step with what is at a path."""
        if self._quarantine.holds(path):
            self._quarantine.nudge(path)
            self._work_queue.put_down()
            return
        outcome = self._boundary.run(path, lambda: self._step_at(path))
        self._work_queue.put_down()
        if outcome is False:
            self._work_queue.reopen(path)
            self._scanner.recent.forget(path)

    def _step_at(self, path: str) -> bool:
        """Whether there was anything at the path."""
        found = self._open(path)
        if self._sources.detached:
            self._read_detached()
            found = self._open(path)
        for source in found:
            self._advance(source)
        return bool(found)

    def _open(self, path: str) -> list[ActiveSource]:
        with self._heartbeat.doing(f"open {path}", SLOW_SECONDS):
            return self._sources.open(path)

    @property
    def is_capturing(self) -> bool:
        """Whether something was read within the last seconds."""
        return time.time() - (self.advanced_at or 0.0) < CAPTURING_SECONDS

    @property
    def trouble(self) -> str | None:
        """What cannot be read now, in one sentence."""
        sentences = [
            told("places cannot be seen", self._scanner.unreadable),
            told("files are set aside and tried again", self._quarantine.reasons),
            self._consumer.trouble,
            self._timeouts.trouble,
            told("files cannot be archived", self._archiver.trouble),
            told("work is put off and tried again", self._boundary.put_off),
        ]
        return "; ".join(filter(None, sentences)) or None

    def _advance(self, source: ActiveSource) -> None:
        step = self._capture.step(source)
        self._count(step)
        self._scanner.recent.note(source.path)
        self._archiver.note(source.stored.id, source.path)
        if step.more or source.unread != step.unfinished:
            waiting = Waiting(source.file.mtime_ns, source.unread)
            self._work_queue.add_backlog(source.path, waiting)
            return
        self._work_queue.finish(source.path, source.stamp)
        self._watch_unfinished(source, step)

    def _read_detached(self) -> None:
        """Read what is gone from its place to its end, before what took the place."""
        while (source := self._sources.next_detached()) is not None:
            name = f"{source.path} (gone from its place)"
            if self._quarantine.holds(name):
                return
            done = self._boundary.run(name, lambda: self._read_to_end(source))
            if done is None and self._quarantine.tries(name) < PATIENT_TRIES:
                return
            self._quarantine.clear(name)
            self._sources.finish_detached()
            self._unfinished.pop(source.path, None)
            self._work_queue.add_fresh(source.path)

    def _read_to_end(self, source: ActiveSource) -> bool:
        """Everything in it, its last line too if that is whole: no more will come."""
        while (step := self._capture.step(source)).more:
            self._count(step)
        self._count(step)
        self._take_end(source)
        self._archiver.drain(source.stored.id, source.file)
        return True

    def _count(self, step: Step) -> None:
        self.committed_bytes += step.bytes
        self.committed_lines += step.lines
        if step.bytes:
            self.advanced_at = time.time()
        self.poison_lines += step.poison

    def _watch_unfinished(self, source: ActiveSource, step: Step) -> None:
        if not step.unfinished and not step.holds_prompts:
            self._unfinished.pop(source.path, None)
            return
        size = source.file.stat.st_size
        known = self._unfinished.get(source.path)
        if known is None or known[0] != size:
            wait = self._settings.final_line_wait_seconds
            still_for = max(0.0, time.time() - source.file.stat.st_mtime)
            due = time.monotonic() + max(0.0, wait - still_for)
            self._unfinished[source.path] = (size, due)

    def _take_unfinished(self) -> None:
        """Last lines that have been still for long enough."""
        now = time.monotonic()
        for path in [p for p, (_, due) in self._unfinished.items() if due <= now]:
            size, _ = self._unfinished.pop(path)
            self._boundary.run(path, lambda: self._take_if_still(path, size))  # noqa: B023

    def _take_if_still(self, path: str, size: int) -> bool:
        seen = look(path)
        if seen is None or seen.size != size:
            self._work_queue.add_fresh(path)
        else:
            self._take_final_line(path)
        return True

    def _take_final_line(self, path: str) -> None:
        for source in self._open(path):
            self._take_end(source)
            if not source.unread:
                self._work_queue.finish(path, source.stamp)

    def _take_end(self, source: ActiveSource) -> None:
        """What stands open at the end of a file that is still: a last line, prompts."""
        self._count(self._capture.step_unfinished(source))
        self._count(self._capture.step_untold(source))

    def _rescan(self) -> None:
        """The net behind the notifications."""
        with self._heartbeat.doing("look for transcripts", SLOW_SECONDS):
            self._scanner.rescan()
        self._consumer.look_again()
        for path in self._quarantine.due():
            self._work_queue.add_fresh(path)

    def _wait(self) -> None:
        """Until something happens, or the next thing is due."""
        now = time.monotonic()
        due = [self._scanner.due, now + LONGEST_WAIT_SECONDS]
        due += [when for _, when in self._unfinished.values()]
        due += [
            when
            for when in (self._reread.due, self._archiver.due, self._consumer.due)
            if when is not None
        ]
        self._select(max(0.0, min(due) - now))

    def _select(self, seconds: float) -> None:
        database, notified = self._database.fileno(), self._notifier.fileno()
        sockets = [each for each in (self._waker.fileno(), database, notified) if each is not None]
        readable, _, _ = select.select(sockets, [], [], seconds)
        if self._waker.fileno() in readable:
            self._waker.clear()

    def _look_for_registrations(self) -> None:
        notified = REGISTRATION_CHANNEL in self._database.notified()
        failed = REGISTRATIONS in self._boundary.put_off
        if notified or failed or self._timeouts.retries_registrations:
            self._boundary.run_when_due(REGISTRATIONS, self._apply_registrations)

    def _apply_registrations(self) -> None:
        """Sessions that were just registered are read again from their first byte."""
        rewound = self._timeouts.apply_registrations()
        if not rewound:
            return
        self._sources.forget()
        paths = set(rewound)
        if not all(_may_be_there(path) for path in rewound):
            # Stored under another spelling than its own: see `stored_path`.
            paths.update(p for p in self._work_queue.finished() if stored_path(p) in paths)
        for path in paths:
            self._work_queue.reopen(path)
            self._work_queue.add_fresh(path)

    def has_unread(self, session: UUID) -> bool:
        """Whether files of the session have lines that are not in the log; they are next then."""
        waiting = False
        for seen in transcripts_of(self._roots, str(session)):
            if seen.path in self._quarantine:
                waiting = waiting or self._quarantine.tries(seen.path) < PATIENT_TRIES
                continue
            if self._work_queue.add_seen(seen):
                self._work_queue.add_fresh(seen.path)
                waiting = True
            waiting = waiting or seen.path in self._unfinished
        return waiting

    def _wait_for_database(self, error: DatabaseUnavailable) -> None:
        """Reading stops; the files keep what they have."""
        reason = str(error)
        self._heartbeat.become("waiting", reason)
        if reason != self._waiting_for:
            logger.warning("waiting: %s", reason)
            self._waiting_for = reason
        self._generation = 0
        logger.debug("held for %.1f s: %s", self._hold, error)
        self._pause(self._hold)
        self._hold = min(self._hold * 2, LONGEST_HOLD_SECONDS)


def _may_be_there(path: str) -> bool:
    """Whether there is a file at the path, as far as that can be told."""
    try:
        return look(path) is not None
    except OSError:
        return True
