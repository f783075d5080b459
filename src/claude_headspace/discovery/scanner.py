"""Finds the files that may have changed: by notifications, and by looking in small segments."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from claude_headspace.discovery.listing import (
    TRANSCRIPT_SUFFIX,
    Directory,
    Listing,
    Look,
    Sighting,
    look,
)
from claude_headspace.discovery.notifier import Changes, Notifications
from claude_headspace.discovery.recent import Recent
from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.quarantine import Quarantine
from claude_headspace.store.checkpoints import CommittedSource
from claude_headspace.transcripts.checkpoint import as_stored

logger = logging.getLogger(__name__)

# Every file is looked at once in this time; those written to lately at every rescan.
SWEEP_SECONDS = 60.0
NOTIFIED_WITHIN_SECONDS = 5.0
# Without notifications looking must be quick enough by itself, and yet cost little: so much of a
# core goes into one slice, and a slice takes no longer than this.
POLLING_RESCAN_SECONDS = 0.25
POLLING_SWEEP_SECONDS = 0.5
SLICE_CORE_SECONDS = 0.002
DIRECTORIES_CORE_SECONDS = 0.0007
SLICE_SECONDS = 0.01
# At the start what is found waits for so long, so that the newest of all is read first.
START_SECONDS = 1.0
_ALWAYS = 2**63 - 1


class Scanner:
    """Puts what may have changed into the work queue. `unreadable` names what cannot be seen."""

    def __init__(
        self,
        *,
        roots: Sequence[str],
        inbox: str,
        notifier: Notifications,
        work_queue: WorkQueue,
        interval_seconds: float,
        troubled: Callable[[str], bool],
        tell_ready: Callable[[], None],
        look_at: Look = os.stat,
    ) -> None:
        self._roots = roots
        self._inbox = inbox
        self._notifier = notifier
        self._work_queue = work_queue
        self._interval = interval_seconds
        self._troubled = troubled
        self._tell_ready = tell_ready
        self._look_at = look_at
        self.recent = Recent()
        self.due = 0.0
        # Sources that the first listing has not come upon; None once it is through.
        # Each with its committed bytes; negative less one if nothing was read of it for a day.
        self._unseen: dict[str, int] | None = None
        self._started_at = 0.0
        self._round: _Walk | None = None
        self._next_round = 0.0
        self._noted: dict[str, None] = {}
        self._deep: dict[str, None] = {}
        self._walk: _Walk | None = None
        self._identities: dict[str, tuple[int, int] | None] = {}
        # When directories were changed last, as far as there are no notifications.
        self._directories: dict[str, int] = {}
        self._turn: Iterator[str] = iter(())
        self._places: Quarantine[str] = Quarantine()
        # Files of late that are to be looked at in this turn, the last one first.
        self._looks: list[str] = []

    @property
    def ready(self) -> bool:
        """Whether everything was seen once."""
        return self._unseen is None

    @property
    def urgent(self) -> bool:
        """Whether there is something that is to be listed without delay."""
        return bool(not self.ready or self._walk or self._deep or self._noted or self._looks)

    @property
    def unreadable(self) -> Mapping[str, str]:
        """What cannot be seen, and why."""
        return self._places.reasons

    def begin(self, stored: Iterable[CommittedSource]) -> None:
        """Look at everything, knowing what was read when; `step` does it."""
        self._unseen = {}
        for source in stored:
            self._unseen[source.path] = source.size if source.recent else -source.size - 1
            if not source.open:
                self._work_queue.finish(source.path, source.stamp)
        self._started_at = time.monotonic()
        self._walk = None
        self._notifier.renew()
        self._renew_roots()
        self._deep.clear()
        self._noted.clear()
        self._begin_round()

    def _begin_round(self) -> None:
        self._next_round = time.monotonic() + SWEEP_SECONDS
        self._notifier.begin_round()
        self._round = self._new_walk(self._roots, ())

    def _new_walk(self, directories: Sequence[str], known: Collection[str]) -> _Walk:
        listing = Listing(
            directories,
            roots=self._roots,
            known=known,
            enter=self._enter,
            look_at=self._look_at,
        )
        return _Walk(directories, listing, deep=not known)

    def _enter(self, directory: Directory) -> None:
        """A directory is watched before it is listed: nothing gets lost in between."""
        self._notifier.watch(directory.path, directory.mtime_ns)
        if self._notifier.complete:
            self._directories.pop(directory.path, None)
        else:
            self._directories[directory.path] = directory.mtime_ns

    def note(self, changes: Changes) -> None:
        """What was notified comes first."""
        for path in changes.files:
            if TRANSCRIPT_SUFFIX in path:
                self._work_queue.add_fresh(path)
        for directory in changes.directories:
            self._deep[directory] = None
        if changes.lost:
            logger.info("more changed than could be notified: everything is looked at")
        # What a link leads to may be known by another way: only all roots together tell.
        if changes.lost or any(self._is_folder_link(path) for path in changes.others):
            self._list_all()

    def _is_folder_link(self, path: str) -> bool:
        return os.path.dirname(path) in self._roots and os.path.islink(path)

    def _list_all(self) -> None:
        self._deep = dict.fromkeys((*self._roots, *self._deep))

    def step(self) -> bool:
        """List a segment of what is urgent; whether nothing else is to be done before the rest."""
        self._look_at_recent()
        if self._walk is None:
            self._begin_walk()
        if self._walk is not None:
            self._go_on(self._walk)
            return False
        if self.ready:
            return False
        if self._round is not None:
            self._advance_round(self._round)
        else:
            self._look_for_renamed()
        return not self.ready and time.monotonic() - self._started_at < START_SECONDS

    def _begin_walk(self) -> None:
        if self._deep:
            directories, self._deep = list(self._deep), {}
            self._walk = self._new_walk(directories, ())
        elif self._noted:
            directories, self._noted = list(self._noted), {}
            self._walk = self._new_walk(directories, self._directories)

    def _go_on(self, walk: _Walk) -> None:
        segment = walk.next()
        for seen in segment or ():
            if not self._work_queue.is_done(seen):
                self._work_queue.add_fresh(seen.path)
        if segment is None:
            self._walk = None
            self._end(walk)

    def _end(self, walk: _Walk) -> None:
        """Know what could not be seen, and look after what stood in what is gone."""
        for path, reason in walk.listing.unreadable.items():
            if path not in self._places:
                logger.warning("%s cannot be seen: %s", path, reason)
            self._places.fail(path, reason)
        for path in [p for p in self._places.reasons if p not in walk.listing.unreadable]:
            if walk.covers(path):
                self._places.clear(path)
        for directory in walk.listing.gone:
            self._notifier.forget(directory)
            self._directories.pop(directory, None)
            # A root that is missing may be a disk that is not there: its files are not gone.
            for path in () if directory in self._roots else self._work_queue.below(directory):
                self._work_queue.add_fresh(path)

    def _advance_round(self, walk: _Walk) -> bool:
        """List a segment in the round through everything; False at its end."""
        segment = walk.next()
        if segment is None:
            self._end_round(walk)
            return False
        for seen in segment:
            self._see(seen)
        return True

    def _see(self, seen: Sighting) -> None:
        self.recent.note(seen.path, seen.mtime_ns / 1e9)
        if self._unseen is None:
            self._add_missed(seen)
            return
        known = self._unseen.pop(seen.path, 0)
        self._work_queue.add_seen(seen, known if known >= 0 else -known - 1)

    def _add_missed(self, seen: Sighting) -> None:
        """Queue a file that changed; what should have been notified by now raises a doubt."""
        known = self._work_queue.expects(seen.path) or self._troubled(seen.path)
        if not self._work_queue.add_seen(seen) or known:
            return
        if not self._notifier.complete:
            self._notifier.watch(os.path.dirname(seen.path), seen.mtime_ns)
        elif time.time() - seen.mtime_ns / 1e9 > NOTIFIED_WITHIN_SECONDS:
            self._notifier.doubt(seen.path)

    def _end_round(self, walk: _Walk) -> None:
        self._round = None
        self._end(walk)
        self._notifier.end_round()
        if self._notifier.complete:
            self._directories.clear()

    def _look_for_renamed(self) -> None:
        """Files that no round finds: given a name that is no transcript's, or gone."""
        budget = _Budget(SLICE_CORE_SECONDS)
        while self._unseen:
            self._look_for(*self._unseen.popitem())
            if budget.spent:
                return
        self._unseen = None
        logger.info(
            "ready: %d files to read (%d bytes), %d read already",
            self._work_queue.backlog_files, self._work_queue.backlog_bytes, self._work_queue.files,
        )  # fmt: skip
        self._tell_ready()

    def _look_for(self, path: str, known: int) -> None:
        seen = self._look(path)
        if seen is not None:
            self._work_queue.add_seen(seen, known if known >= 0 else -known - 1)
        elif known >= 0:
            self._work_queue.add_fresh(path)
        else:
            self._work_queue.reopen(path)

    def _look(self, path: str) -> Sighting | None:
        """What stands there; whatever cannot be seen is told when its turn to be read comes."""
        try:
            return look(path, self._look_at)
        except OSError:
            return None

    def rescan(self) -> None:
        """The net behind the notifications: files of late, and a slice of the rest."""
        now = time.monotonic()
        if self._notifier.renew():
            self._identities.pop(self._inbox, None)
            self._begin_round()
        self._renew_roots()
        polling = not self._notifier.complete
        self.due = now + (
            min(self._interval, POLLING_RESCAN_SECONDS) if polling else self._interval
        )
        if not self._looks:
            self._looks = list(reversed(self.recent.take()))
        self._deep.update(dict.fromkeys(self._places.due()))
        if polling:
            self._look_at_directories()
        if self.ready:
            self._slice_of_round(now, POLLING_SWEEP_SECONDS if polling else SWEEP_SECONDS)

    def _renew_roots(self) -> None:
        """Roots that have come, gone, or are others now are listed anew."""
        for root in (*self._roots, self._inbox):
            identity = self._identity(root)
            if root in self._identities and self._identities[root] == identity:
                continue
            self._notifier.forget(root)
            self._identities[root] = identity
            if root == self._inbox:
                self._notifier.watch(root, _ALWAYS)
            else:
                self._list_all()

    def _identity(self, root: str) -> tuple[int, int] | None:
        try:
            found = self._look_at(root)
        except OSError:
            return None
        return as_stored(found.st_dev), as_stored(found.st_ino)

    def _look_at_recent(self) -> None:
        budget = _Budget(SLICE_CORE_SECONDS)
        while self._looks and not budget.spent:
            path = self._looks.pop()
            seen = self._look(path)
            # What waits in the backlog has its turn there: reading goes on with one file.
            waits = self._work_queue.expects(path)
            if seen is None:
                self._work_queue.add_fresh(path)
                self.recent.forget(path)
            elif self._work_queue.add_seen(seen) and not waits:
                self._work_queue.add_fresh(path)
                self._notifier.watch(os.path.dirname(path), seen.mtime_ns)

    def _look_at_directories(self) -> None:
        """Some of the directories that are not watched: a new name in one changes its time."""
        budget = _Budget(DIRECTORIES_CORE_SECONDS)
        for _ in range(len(self._directories)):
            directory = next(self._turn, None)
            if directory is None:
                self._turn = iter(list(self._directories))
                continue
            self._look_at_directory(directory)
            if budget.spent:
                return

    def _look_at_directory(self, directory: str) -> None:
        known = self._directories.get(directory)
        try:
            found = self._look_at(directory)
        except OSError:
            if directory not in self._places:
                self._deep[directory] = None
            return
        if known is not None and as_stored(found.st_mtime_ns) != known:
            self._noted[directory] = None

    def _slice_of_round(self, now: float, interval: float) -> None:
        if self._round is None:
            if now < min(self._next_round, self._next_round - SWEEP_SECONDS + interval):
                return
            self._begin_round()
        budget = _Budget(SLICE_CORE_SECONDS)
        while self._round is not None and self._advance_round(self._round):
            if budget.spent:
                return


class _Walk:
    """A listing under way."""

    def __init__(self, directories: Sequence[str], listing: Listing, *, deep: bool) -> None:
        self._directories = directories
        self._deep = deep
        self.listing = listing
        self._segments = iter(listing)

    def next(self) -> list[Sighting] | None:
        """The next segment; None at the end."""
        return next(self._segments, None)

    def covers(self, path: str) -> bool:
        """Whether it would have come upon this path."""
        if path in self._directories:
            return True
        return self._deep and any(
            path.startswith(directory.rstrip(os.sep) + os.sep) for directory in self._directories
        )


class _Budget:
    """So much of a core, and no more than a moment."""

    def __init__(self, core_seconds: float) -> None:
        self._core_end = time.thread_time() + core_seconds
        self._end = time.monotonic() + SLICE_SECONDS

    @property
    def spent(self) -> bool:
        """Whether it is time for something else."""
        return time.thread_time() > self._core_end or time.monotonic() > self._end
