"""The watcher's loop: what changed is read and written, and nothing is done in between."""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from claude_headspace.config import FileWatcherSettings
from claude_headspace.errors import DatabaseUnavailable
from claude_headspace.source.discovery import (
    TRANSCRIPT_SUFFIX,
    Sighting,
    look,
    sweep,
    transcripts_of,
)
from claude_headspace.source.notifier import Changes, Notifier, Waker
from claude_headspace.store.connection import Database
from claude_headspace.store.positions import Positions, SettledSource, stored_path
from claude_headspace.store.sessions import REGISTRATION_CHANNEL
from claude_headspace.watcher.agenda import Agenda, Waiting
from claude_headspace.watcher.capture import Capture, Step
from claude_headspace.watcher.endings import Endings
from claude_headspace.watcher.intake import Intake
from claude_headspace.watcher.progress import Progress
from claude_headspace.watcher.reader import POISON
from claude_headspace.watcher.reread import Reread
from claude_headspace.watcher.sources import ActiveSource, Sources
from claude_headspace.watcher.stop import Stop, StopRequested
from claude_headspace.watcher.vitals import Vitals

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 1.0
LONGEST_HOLD_SECONDS = 1.0
SHORTEST_HOLD_SECONDS = 0.1
# Every file is looked at once in this time; files written to lately at every rescan.
SWEEP_SECONDS = 60.0
SWEEP_SLICE_SECONDS = 0.005
NOTIFIED_WITHIN_SECONDS = 5.0
RECENT_SECONDS = 600.0
RECENT_FILES = 100
# Without notifications looking must be quick enough by itself.
POLLING_RESCAN_SECONDS = 0.25
POLLING_SWEEP_SECONDS = 0.5
POLLING_SLICE_SECONDS = 0.1


class Loop:
    """Runs until asked to stop. Everything it works with is given to it."""

    def __init__(
        self,
        *,
        settings: FileWatcherSettings,
        roots: Sequence[str],
        database: Database,
        positions: Positions,
        sources: Sources,
        capture: Capture,
        reread: Reread,
        endings: Endings,
        intake: Intake,
        notifier: Notifier,
        agenda: Agenda,
        waker: Waker,
        stop: Stop,
        vitals: Vitals,
        pause: Callable[[float], None],
    ) -> None:
        self._settings = settings
        self._roots = roots
        self._database = database
        self._positions = positions
        self._sources = sources
        self._capture = capture
        self._reread = reread
        self._endings = endings
        self._intake = intake
        self._inbox = str(intake.watched)
        self._notifier = notifier
        self._agenda = agenda
        self._waker = waker
        self._stop = stop
        self._vitals = vitals
        self._pause = pause
        self._generation = 0
        self._waiting_for: str | None = None
        self._hold = SHORTEST_HOLD_SECONDS
        self._next_rescan = 0.0
        self._sweep: Iterator[list[Sighting]] | None = None
        self._next_sweep = 0.0
        self._last_sweep = 0.0
        self._recent: dict[str, float] = {}
        # Files whose end leaves something open, a last line without its newline or a prompt without
        # a line: size when last seen, and when to take them as they are.
        self._unfinished: dict[str, tuple[int, float]] = {}
        self._troubled: dict[str, str] = {}
        self.settled_bytes = 0
        self.settled_lines = 0
        self.poison_lines = 0
        self.advanced_at: float | None = None
        self.progress = Progress()

    def run(self) -> None:
        """Capture until asked to stop."""
        while not self._stop.requested:
            self._vitals.beat()
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
        self._agenda.forget()
        self._endings.reload()
        self._capture.forget()
        self._reread.forget()
        self._intake.forget()
        self._load_positions()
        self.poison_lines = self._positions.unresolved(POISON)
        self._apply_registrations()
        self._generation = self._database.generation
        self._waiting_for = None
        self._vitals.become("capturing")

    def _load_positions(self) -> None:
        """Know which files are as they were, so that only the others are opened."""
        stored = {source.path: source for source in self._positions.settled()}
        for source in stored.values():
            if not source.open:
                self._agenda.settle(source.path, source.stamp)
        for root in self._notifier.renew():
            logger.info("watching %s", root)
        for sightings in sweep(self._roots):
            for seen in sightings:
                known = stored.pop(seen.path, None)
                self._agenda.add_seen(seen, known.size if known else 0)
            self._vitals.beat()
        for source in stored.values():
            self._look_for_renamed(source)
        self._last_sweep = time.monotonic()
        self._next_sweep = self._last_sweep + SWEEP_SECONDS
        self.progress.begin(self._agenda.backlog_bytes, self.settled_bytes)
        logger.info(
            "ready: %d files to read (%d bytes), %d read already",
            self._agenda.backlog_files, self._agenda.backlog_bytes, self._agenda.files,
        )  # fmt: skip

    def _look_for_renamed(self, stored: SettledSource) -> None:
        """A file that no sweep finds: it was given a name that is no transcript's, or is gone."""
        seen = look(stored.path)
        if seen is not None:
            self._agenda.add_seen(seen, stored.size)
        elif stored.recent:
            self._agenda.add_fresh(stored.path)
        else:
            self._agenda.unsettle(stored.path)

    def _work(self) -> None:
        """Whatever is due; waits when nothing is."""
        self._look_for_registrations()
        self._note(self._notifier.take())
        if time.monotonic() >= self._next_rescan:
            self._rescan()
        while self._sources.detached:
            self._read_to_end(self._sources.detached[0])
            self._sources.finish_detached()
        self._take_unfinished()
        # What a hook says of a session comes before the lines that were noticed together with it.
        taken = self._intake.take()
        if (path := self._agenda.take_fresh()) is not None:
            self._visit(path)
            return
        if taken:
            return
        if (path := self._agenda.take_backlog()) is not None:
            self._visit(path)
            return
        if not self._unfinished:
            self._endings.look(unread=self._troubled)
        if self._capture.look_at_copies():
            return
        self._reread.step()
        self._vitals.at_rest()
        self._wait()

    def _note(self, changes: Changes) -> None:
        for path in changes.files:
            if path.startswith(self._inbox):
                self._intake.look_again()
            elif TRANSCRIPT_SUFFIX in path:
                self._agenda.add_fresh(path)
        for directory in changes.directories:
            for sightings in sweep([directory]):
                for seen in sightings:
                    self._agenda.add_fresh(seen.path)

    def _visit(self, path: str) -> None:
        """Take one step with what is at a path."""
        try:
            found = self._sources.open(path)
            for source in found:
                self._advance(source)
        except OSError as error:
            self._agenda.put_down()
            self._trouble(path, error)
            return
        self._agenda.put_down()
        self._troubled.pop(path, None)
        if not found:
            self._agenda.unsettle(path)
            self._recent.pop(path, None)

    @property
    def trouble(self) -> str | None:
        """What cannot be read now, in one sentence."""
        aside = self._intake.trouble or self._endings.trouble
        if aside is not None:
            return aside
        if not self._troubled:
            return None
        path, error = next(iter(self._troubled.items()))
        return f"{len(self._troubled)} files cannot be read, among them {path}: {error}"

    def _trouble(self, path: str, error: OSError) -> None:
        """A file that cannot be opened now is looked at again with every rescan."""
        if self._troubled.get(path) != str(error):
            logger.warning("%s cannot be read now: %s", path, error)
        self._troubled[path] = str(error)

    def _advance(self, source: ActiveSource) -> None:
        step = self._capture.step(source)
        self._count(step)
        self._note_recent(source.path)
        if step.more or source.unread != step.unfinished:
            waiting = Waiting(source.file.stat.st_mtime_ns, source.unread)
            self._agenda.add_backlog(source.path, waiting)
            return
        self._agenda.settle(source.path, source.stamp)
        self._watch_unfinished(source, step)

    def _note_recent(self, path: str) -> None:
        self._recent.pop(path, None)
        self._recent[path] = time.monotonic()
        if len(self._recent) > RECENT_FILES:
            del self._recent[next(iter(self._recent))]

    def _read_to_end(self, source: ActiveSource) -> None:
        while (step := self._capture.step(source)).more:
            self._count(step)
        self._count(step)

    def _count(self, step: Step) -> None:
        self.settled_bytes += step.bytes
        self.settled_lines += step.lines
        if step.bytes:
            self.advanced_at = time.time()
        self.poison_lines += step.set_aside

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
            seen = look(path)
            if seen is None or seen.size != size:
                self._agenda.add_fresh(path)
                continue
            try:
                self._take_final_line(path)
            except OSError as error:
                self._trouble(path, error)

    def _take_final_line(self, path: str) -> None:
        for source in self._sources.open(path):
            for step in (
                self._capture.step_unfinished(source),
                self._capture.step_untold(source),
            ):
                if step is not None:
                    self._count(step)
                    self._agenda.settle(path, source.stamp)

    def _rescan(self) -> None:
        """The net behind the notifications: recently active files, and a slice of the rest."""
        polling = not self._notifier.complete
        now = time.monotonic()
        interval = self._settings.rescan_interval_seconds
        self._next_rescan = now + (min(interval, POLLING_RESCAN_SECONDS) if polling else interval)
        if self._notifier.renew():
            self._sweep = None
            self._next_sweep = now
        self._look_at_recent(now)
        self._intake.look_again()
        for path in self._troubled:
            self._agenda.add_fresh(path)
        if polling:
            self._sweep_slice(now, POLLING_SWEEP_SECONDS, POLLING_SLICE_SECONDS)
        else:
            self._sweep_slice(now, SWEEP_SECONDS, SWEEP_SLICE_SECONDS)

    def _look_at_recent(self, now: float) -> None:
        for path, active_at in list(self._recent.items()):
            if now - active_at > RECENT_SECONDS:
                del self._recent[path]
                continue
            seen = look(path)
            if seen is None:
                self._agenda.add_fresh(path)
                del self._recent[path]
            elif self._agenda.add_seen(seen):
                self._agenda.add_fresh(path)

    def _sweep_slice(self, now: float, interval: float, budget: float) -> None:
        if self._sweep is None:
            if now < min(self._next_sweep, self._last_sweep + interval):
                return
            self._last_sweep = now
            self._next_sweep = now + interval
            self._sweep = sweep(self._roots)
        for sightings in self._sweep:
            for seen in sightings:
                self._add_missed(seen)
            if time.monotonic() - now > budget:
                return
        self._sweep = None

    def _add_missed(self, seen: Sighting) -> None:
        """Queue a file that changed; what should have been notified by now raises a doubt."""
        known = self._agenda.expects(seen.path) or seen.path in self._troubled
        missed = self._agenda.add_seen(seen) and not known
        if missed and time.time() - seen.mtime_ns / 1e9 > NOTIFIED_WITHIN_SECONDS:
            self._notifier.doubt(seen.path)

    def _wait(self) -> None:
        """Until something happens, or the next thing is due."""
        now = time.monotonic()
        due = [self._next_rescan, now + LONGEST_WAIT_SECONDS]
        due += [when for _, when in self._unfinished.values()]
        due += [when for when in (self._reread.due, self._intake.due) if when is not None]
        self._select(max(0.0, min(due) - now))

    def _select(self, seconds: float) -> None:
        sockets = [self._waker.fileno()]
        database = self._database.fileno()
        if database is not None:
            sockets.append(database)
        readable, _, _ = select.select(sockets, [], [], seconds)
        if self._waker.fileno() in readable:
            self._waker.clear()

    def _look_for_registrations(self) -> None:
        notified = REGISTRATION_CHANNEL in self._database.notified()
        if notified or self._endings.retries_registrations:
            self._apply_registrations()

    def _apply_registrations(self) -> None:
        """Sessions that were just registered are read again from their first byte."""
        rewound = self._endings.apply_registrations()
        if not rewound:
            return
        self._sources.forget()
        paths = set(rewound)
        if any(look(path) is None for path in rewound):
            # Stored under another spelling than its own: see `stored_path`.
            paths.update(p for p in self._agenda.settled() if stored_path(p) in paths)
        for path in paths:
            self._agenda.unsettle(path)
            self._agenda.add_fresh(path)

    def has_unread(self, session: UUID) -> bool:
        """Whether files of the session have lines that are not in the log; they are next then."""
        waiting = False
        for seen in transcripts_of(self._roots, str(session)):
            if seen.path in self._troubled:
                continue
            if self._agenda.add_seen(seen):
                self._agenda.add_fresh(seen.path)
                waiting = True
            waiting = waiting or seen.path in self._unfinished
        return waiting

    def _wait_for_database(self, error: DatabaseUnavailable) -> None:
        """Reading stops; the files keep what they have."""
        reason = str(error)
        self._vitals.become("waiting", reason)
        if reason != self._waiting_for:
            logger.warning("waiting: %s", reason)
            self._waiting_for = reason
        self._generation = 0
        logger.debug("held for %.1f s: %s", self._hold, error)
        self._pause(self._hold)
        self._hold = min(self._hold * 2, LONGEST_HOLD_SECONDS)
