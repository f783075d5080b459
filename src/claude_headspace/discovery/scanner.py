"""Finds files that may have changed, by notifications and by scanning in small slices."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from claude_headspace.discovery.first_look import FirstLook
from claude_headspace.discovery.listing import TRANSCRIPT_SUFFIX, Listing, Look, Sighting, look
from claude_headspace.discovery.notifier import Changes, Notifications
from claude_headspace.discovery.recent_files import Recent
from claude_headspace.discovery.walks import Budget, Roots, Walks
from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.quarantine import Quarantine
from claude_headspace.store.checkpoints import CommittedSource

logger = logging.getLogger(__name__)

# Every file is checked once in this time, and recently written ones at every rescan.
SWEEP_SECONDS = 60.0
NOTIFIED_WITHIN_SECONDS = 5.0
# Without notifications, scanning alone must be quick enough.
POLLING_RESCAN_SECONDS = 0.25
POLLING_SWEEP_SECONDS = 0.5
_ALWAYS = 2**63 - 1


class Scanner:
    """Puts paths that may have changed into the work queue. `unreadable` names unreadable ones."""

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
        self._look_at = look_at
        self.recent = Recent()
        self.due = 0.0
        self._first = FirstLook(work_queue, self._look, tell_ready)
        self._round: Listing | None = None
        self._next_round = 0.0
        self._walk: Listing | None = None
        self._known_roots = Roots((*roots, inbox), look_at)
        self._walks = Walks(roots, notifier, look_at)
        self._unreadable: Quarantine[str] = Quarantine()
        # Recent files still to check in this pass, last one first.
        self._looks: list[str] = []

    @property
    def urgent(self) -> bool:
        """Whether there is something to list without delay."""
        return bool(not self._first.done or self._walk or self._walks.pending or self._looks)

    @property
    def unreadable(self) -> Mapping[str, str]:
        """The paths that cannot be read, and why."""
        return self._unreadable.reasons

    def begin(self, stored: Iterable[CommittedSource]) -> None:
        """Start to scan everything, knowing what was read before; `step` does it."""
        self._first.begin(stored)
        if self._walk is not None:
            self._walk.close()
            self._walk = None
        self._notifier.renew()
        self._renew_roots()
        self._walks.clear()
        self._begin_round()

    def _begin_round(self) -> None:
        self._next_round = time.monotonic() + SWEEP_SECONDS
        self._notifier.begin_round()
        if self._round is not None:
            self._round.close()
        self._round = self._walks.round()

    def note(self, changes: Changes) -> None:
        """Queue reported changes first."""
        for path in changes.files:
            if TRANSCRIPT_SUFFIX in path:
                self._work_queue.add_fresh(path)
        self._walks.add(changes.directories)
        if changes.lost:
            logger.info("file notifications overflowed: all files are scanned")
        # A link's target may be known under another path: list all roots to find out.
        if changes.lost or any(self._walks.is_folder_link(path) for path in changes.others):
            self._walks.add_roots()

    def step(self) -> bool:
        """List an urgent slice; returns whether the rest must also be listed first."""
        self._look_at_recent()
        if self._walk is None:
            self._walk = self._walks.next()
        if (walk := self._walk) is not None:
            found = walk.next()
            for seen in found or ():
                if self._work_queue.add_seen(seen):
                    self._work_queue.add_fresh(seen.path)
            if found is None:
                self._walk = None
                self._end(walk)
            return False
        if self._first.done:
            return False
        if self._round is not None:
            self._advance_round(self._round)
        else:
            self._first.look_for_renamed()
        return self._first.comes_first

    def _end(self, walk: Listing) -> None:
        """Record unreadable paths, and queue the files of directories that are gone."""
        for path, reason in walk.unreadable.items():
            if path not in self._unreadable:
                logger.warning("%s cannot be read: %s", path, reason)
            self._unreadable.put(path, reason)
        for path in [p for p in self._unreadable.reasons if p not in walk.unreadable]:
            if walk.covers(path):
                self._unreadable.release(path)
        for directory in walk.gone:
            self._notifier.discard(directory)
            self._walks.unwatched.pop(directory, None)
            # A missing root may be an unmounted disk: its files are not deleted.
            for path in () if directory in self._roots else self._work_queue.below(directory):
                self._work_queue.add_fresh(path)

    def _advance_round(self, walk: Listing) -> bool:
        """List a slice of the round through everything; False at its end."""
        found = walk.next()
        if found is None:
            self._round = None
            self._end(walk)
            self._notifier.end_round()
            if self._notifier.complete:
                self._walks.unwatched.clear()
            return False
        for seen in found:
            self._see(seen)
        return True

    def _see(self, seen: Sighting) -> None:
        if not self._first.done:
            self.recent.note(seen.path, seen.mtime_ns / 1e9)
            self._first.see(seen)
        elif not self._work_queue.is_done(seen):
            self._add_missed(seen)

    def _add_missed(self, seen: Sighting) -> None:
        """Queue a changed file; doubt the notifications if they should have reported it."""
        self.recent.note(seen.path, seen.mtime_ns / 1e9)
        known = self._work_queue.expects(seen.path) or self._troubled(seen.path)
        if not self._work_queue.add_seen(seen) or known:
            return
        if not self._notifier.complete:
            self._notifier.watch(os.path.dirname(seen.path), seen.mtime_ns)
        elif time.time() - seen.mtime_ns / 1e9 > NOTIFIED_WITHIN_SECONDS:
            self._notifier.doubt(seen.path)

    def _look(self, path: str) -> Sighting | None:
        """The file at a path; an unreadable one is reported when it is read."""
        try:
            return look(path, self._look_at)
        except OSError:
            return None

    def rescan(self) -> None:
        """Find what notifications missed: check recent files, and a slice of the rest."""
        now = time.monotonic()
        if self._notifier.renew():
            self._known_roots.discard(self._inbox)
            self._begin_round()
        self._renew_roots()
        polling = not self._notifier.complete
        self.due = now + (
            min(self._interval, POLLING_RESCAN_SECONDS) if polling else self._interval
        )
        if not self._looks:
            self._looks = list(reversed(self.recent.take()))
        self._walks.add(self._unreadable.due())
        if polling:
            for directory, seen in self._walks.unwatched.changed():
                if seen or directory not in self._unreadable:
                    self._walks.add([directory], deep=not seen)
        if self._first.done:
            self._slice_of_round(now, POLLING_SWEEP_SECONDS if polling else SWEEP_SECONDS)

    def _renew_roots(self) -> None:
        """List roots again that have appeared, disappeared or changed."""
        for root in self._known_roots.changed():
            self._notifier.discard(root)
            if root == self._inbox:
                self._notifier.watch(root, _ALWAYS)
            else:
                self._walks.add_roots()

    def _look_at_recent(self) -> None:
        budget = Budget()
        while self._looks and not budget.spent:
            path = self._looks.pop()
            seen = self._look(path)
            # Files in the backlog wait there: one file is read at a time.
            waits = self._work_queue.expects(path)
            if seen is None:
                self._work_queue.add_fresh(path)
                self.recent.discard(path)
            elif self._work_queue.add_seen(seen) and not waits:
                self._work_queue.add_fresh(path)
                self._notifier.watch(os.path.dirname(path), seen.mtime_ns)

    def _slice_of_round(self, now: float, interval: float) -> None:
        if self._round is None:
            if now < min(self._next_round, self._next_round - SWEEP_SECONDS + interval):
                return
            self._begin_round()
        budget = Budget()
        while self._round is not None and self._advance_round(self._round):
            if budget.spent:
                return
