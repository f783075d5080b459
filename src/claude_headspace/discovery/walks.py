"""Chooses the next directories to list: reported ones before the regular round."""

from __future__ import annotations

import os
import time
from collections.abc import Container, Iterable, Iterator, Sequence

from claude_headspace.discovery.listing import Listing, Look, Sighting
from claude_headspace.discovery.notifier import Notifications
from claude_headspace.transcripts.checkpoint import as_stored

# The longest time of a slice, and the share of a core for slices.
SLICE_SECONDS = 0.01
SLICE_CORE_SECONDS = 0.0015
# The share of a core for checks of directories without notifications.
CHECK_CORE_SECONDS = 0.0007


class Budget:
    """Limits work to a share of a core and a short time."""

    def __init__(self, core_seconds: float = SLICE_CORE_SECONDS) -> None:
        self._core_end = time.thread_time() + core_seconds
        self._end = time.monotonic() + SLICE_SECONDS

    @property
    def spent(self) -> bool:
        """Whether the time is up."""
        return time.thread_time() > self._core_end or time.monotonic() > self._end


class Roots:
    """Notices when a root or the inbox appears, disappears or is replaced."""

    def __init__(self, paths: Sequence[str], look_at: Look) -> None:
        self._paths = paths
        self._look_at = look_at
        self._identities: dict[str, tuple[int, int] | None] = {}

    def discard(self, path: str) -> None:
        """Report this path again at the next call of `changed`."""
        self._identities.pop(path, None)

    def changed(self) -> Iterator[str]:
        """The paths whose directory has changed; all of them at first."""
        for path in self._paths:
            try:
                found = self._look_at(path)
                identity = as_stored(found.st_dev), as_stored(found.st_ino)
            except OSError:
                identity = None
            if path not in self._identities or self._identities[path] != identity:
                self._identities[path] = identity
                yield path


class UnwatchedDirectories(dict[str, int]):
    """Directories without notifications, and when each last changed: a new name changes its time.

    Checks some of them at a time.
    """

    def __init__(self, look_at: Look = os.stat) -> None:
        super().__init__()
        self._look_at = look_at
        self._turn: Iterator[str] = iter(())

    def changed(self) -> Iterator[tuple[str, bool]]:
        """Check some in turn; returns the changed ones with True, unreadable ones with False."""
        budget = Budget(CHECK_CORE_SECONDS)
        for _ in range(len(self)):
            directory = next(self._turn, None)
            if directory is None:
                self._turn = iter(list(self))
                continue
            if (seen := self._look(directory)) is not None:
                yield directory, seen
            if budget.spent:
                return

    def _look(self, directory: str) -> bool | None:
        known = self.get(directory)
        try:
            found = self._look_at(directory)
        except OSError:
            return False
        return True if known is not None and as_stored(found.st_mtime_ns) != known else None


class Walks:
    """Starts walks through directories; each directory is watched before it is listed."""

    def __init__(self, roots: Sequence[str], notifier: Notifications, look_at: Look) -> None:
        self._roots = roots
        self._notifier = notifier
        self._look_at = look_at
        self.unwatched = UnwatchedDirectories(look_at)
        # Directories to list with everything below, and without.
        self._deep: dict[str, None] = {}
        self._flat: dict[str, None] = {}

    @property
    def pending(self) -> bool:
        """Whether anything must be listed without delay."""
        return bool(self._deep or self._flat)

    def clear(self) -> None:
        """Drop all, because a round through everything begins."""
        self._deep.clear()
        self._flat.clear()

    def add(self, directories: Iterable[str], *, deep: bool = True) -> None:
        """List these soon; `deep`: with everything below."""
        (self._deep if deep else self._flat).update(dict.fromkeys(directories))

    def add_roots(self) -> None:
        """List everything soon, roots first."""
        self._deep = dict.fromkeys((*self._roots, *self._deep))

    def next(self) -> Listing | None:
        """A walk through the directories to list now, if there are any."""
        if self._deep:
            directories, self._deep = list(self._deep), {}
            return self._begin(directories)
        if self._flat:
            directories, self._flat = list(self._flat), {}
            return self._begin(directories, self.unwatched)
        return None

    def round(self) -> Listing:
        """A walk through everything."""
        return self._begin(self._roots)

    def _begin(self, directories: Sequence[str], known: Container[str] = ()) -> Listing:
        return Listing(
            directories, roots=self._roots, known=known, enter=self._enter, look_at=self._look_at
        )

    def _enter(self, directory: Sighting) -> None:
        """Watch a directory before it is listed, so that no change is missed."""
        self._notifier.watch(directory.path, directory.mtime_ns)
        if self._notifier.complete:
            self.unwatched.pop(directory.path, None)
        else:
            self.unwatched[directory.path] = directory.mtime_ns

    def is_folder_link(self, path: str) -> bool:
        """Whether it is a symbolic link beside the projects' folders."""
        return os.path.dirname(path) in self._roots and os.path.islink(path)
