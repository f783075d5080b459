"""Reports changes in directories, each watched by inotify."""

from __future__ import annotations

import errno
import heapq
import logging
import os
import time
from collections.abc import Callable

from claude_headspace.discovery.inotify import (
    APPEARED,
    ENDED,
    IS_DIRECTORY,
    MOVED_FROM,
    OVERFLOW,
    Inotify,
    Notice,
)
from claude_headspace.discovery.listing import reason_of
from claude_headspace.discovery.notifier import DOUBT_SECONDS, OF_INTEREST, Changes

logger = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 60.0
# If a directory cannot be watched for one of these reasons, listing it reports that.
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP})
_FULL = frozenset({errno.ENOSPC, errno.ENOMEM})
_ADVICE = "the rest is scanned; raise fs.inotify.max_user_watches or max_user_instances"


class DirectoryNotifier:
    """Watches each directory; if the limit is too low, the most recently written ones."""

    def __init__(
        self,
        *,
        enabled: bool = True,
        doubt_seconds: float = DOUBT_SECONDS,
        make: Callable[[], Inotify] = Inotify,
    ) -> None:
        self._enabled = enabled
        self._doubt_seconds = doubt_seconds
        self._make = make
        self._inotify: Inotify | None = None
        self._watches: dict[str, int] = {}
        self._paths: dict[int, str] = {}
        self._active_at: dict[str, int] = {}
        # Watched directories, the longest silent first, as of when they were added.
        self._silent: list[tuple[int, str]] = []
        self._left_out: set[str] = set()
        self._left_out_before: set[str] = set()
        self._complaint: str | None = None
        self._doubted_until = 0.0
        self._next_try = 0.0
        self._pause = FIRST_RETRY_SECONDS

    @property
    def complete(self) -> bool:
        """Whether every directory is watched; else scanning finds the rest."""
        return self.in_use and "" not in self._left_out_before

    @property
    def in_use(self) -> bool:
        """Whether no directory is known to be left out."""
        left_out = self._left_out or self._left_out_before - {""}
        return self._inotify is not None and not left_out and not self._doubted_until

    def fileno(self) -> int | None:
        """Readable when there are changes to take."""
        return None if self._inotify is None else self._inotify.fileno()

    def take(self) -> Changes:
        """The paths that may have changed since the last call, or some of them."""
        changes = Changes()
        if self._inotify is not None:
            for notice in self._inotify.take():
                self._note(notice, changes)
        return changes

    def _note(self, notice: Notice, changes: Changes) -> None:
        if notice.mask & OVERFLOW:
            changes.lost = True
        directory = self._paths.get(notice.watch)
        if directory is None:
            return
        if notice.mask & ENDED:
            self._drop(directory)
        elif not notice.name:
            changes.directories[directory] = None
        elif notice.mask & IS_DIRECTORY:
            path = os.path.join(directory, os.fsdecode(notice.name))
            changes.directories[path] = None
            if notice.mask & MOVED_FROM:
                self.discard(path)
        else:
            path = os.path.join(directory, os.fsdecode(notice.name))
            if OF_INTEREST in path:
                changes.files[path] = None
            elif notice.mask & APPEARED:
                changes.others[path] = None

    def watch(self, directory: str, active_at: int) -> None:
        """Watch this directory from now on; it was last written at `active_at`."""
        if self._inotify is None:
            return
        try:
            self._add(self._inotify, directory, active_at)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return
            self._left_out.add(directory)
            watched = f"only {len(self._watches)} directories can be watched"
            what = watched if error.errno in _FULL else directory
            self._complain(f"{what}: {reason_of(error)}")

    def _add(self, inotify: Inotify, directory: str, active_at: int) -> None:
        watch = self._watch_with_room(inotify, directory, active_at)
        if self._watches.get(directory, watch) != watch:
            self._drop(directory)
        known_as = self._paths.get(watch)
        if known_as is not None and known_as != directory:
            self._drop(known_as)
        new = directory not in self._watches
        self._watches[directory], self._paths[watch] = watch, directory
        self._active_at[directory] = max(active_at, self._active_at.get(directory, active_at))
        self._left_out.discard(directory)
        if new and self._silent:
            heapq.heappush(self._silent, (self._active_at[directory], directory))

    def _watch_with_room(self, inotify: Inotify, directory: str, active_at: int) -> int:
        try:
            return inotify.add(directory)
        except OSError as error:
            if error.errno not in _FULL or not self._make_room(inotify, active_at):
                raise
        return inotify.add(directory)

    def _make_room(self, inotify: Inotify, active_at: int) -> bool:
        """Drop the watch of the longest silent directory, if this one is more recent."""
        silent = self._longest_silent()
        if silent is None or silent[0] >= active_at:
            return False
        heapq.heappop(self._silent)
        watch = self._watches[silent[1]]
        self._drop(silent[1])
        inotify.remove(watch)
        self._left_out.add(silent[1])
        return True

    def _longest_silent(self) -> tuple[int, str] | None:
        if not self._silent:
            self._silent = [(at, directory) for directory, at in self._active_at.items()]
            heapq.heapify(self._silent)
        while self._silent:
            at, directory = self._silent[0]
            now = self._active_at.get(directory)
            if now == at:
                return at, directory
            heapq.heappop(self._silent)
            if now is not None:
                heapq.heappush(self._silent, (now, directory))
        return None

    def _drop(self, directory: str) -> None:
        watch = self._watches.pop(directory, None)
        if watch is not None:
            self._paths.pop(watch, None)
            self._active_at.pop(directory, None)

    def discard(self, directory: str) -> None:
        """Stop watching this directory and those below it."""
        below = directory + os.sep
        for path in [p for p in self._watches if p == directory or p.startswith(below)]:
            if self._inotify is not None:
                self._inotify.remove(self._watches[path])
            self._drop(path)

    def begin_round(self) -> None:
        """A round begins, in which `watch` is called for every existing directory."""
        self._left_out_before |= self._left_out
        self._left_out = set()

    def end_round(self) -> None:
        """The round has ended: drop directories that it did not name."""
        self._left_out_before = set()
        if self._complaint is not None and self.complete:
            logger.info("file notifications work again")
            self._complaint = None

    def doubt(self, path: str) -> None:
        """A change was found that was not reported; start again after a while.

        Some file systems do not report writes of other machines.
        """
        if self.complete:
            self._complain(f"a change of {path} was not reported")
            self._doubted_until = time.monotonic() + self._doubt_seconds

    def renew(self) -> bool:
        """Start if necessary; True if `watch` must be called again for every directory."""
        now = time.monotonic()
        if self._doubted_until and now > self._doubted_until:
            self._doubted_until = 0.0
            self.stop()
        if not self._enabled or self._inotify is not None or now < self._next_try:
            return False
        try:
            self._inotify = self._make()
        except OSError as error:
            self._complain(reason_of(error))
            self._next_try = now + self._pause
            self._pause = min(2 * self._pause, LAST_RETRY_SECONDS)
            return False
        self._pause = FIRST_RETRY_SECONDS
        # Until a round has ended, it is unknown whether everything is watched.
        self._left_out_before.add("")
        return True

    def stop(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        for known in (self._watches, self._paths, self._active_at, self._silent):
            known.clear()

    def _complain(self, problem: str) -> None:
        if self._complaint is None:
            logger.warning("file notifications are incomplete (%s): %s", problem, _ADVICE)
        self._complaint = problem
