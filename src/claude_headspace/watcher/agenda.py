"""What is to be read next: what just changed first, then the newest of what waits."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from claude_headspace.source.discovery import Sighting


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file with unread bytes, as far as is known, and when it was written to last."""

    mtime_ns: int
    unread: int


class Agenda:
    """Paths to visit. A path stands in it once, however often it is added."""

    def __init__(self) -> None:
        self._fresh: dict[str, None] = {}
        self._backlog: dict[str, Waiting] = {}
        self._heap: list[tuple[int, str]] = []
        # What a file looked like when it had been read to its end.
        self._settled: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._fresh or self._backlog)

    @property
    def backlog_files(self) -> int:
        """Files known to have unread bytes."""
        return len(self._backlog)

    @property
    def backlog_bytes(self) -> int:
        """Bytes known to be unread."""
        return sum(waiting.unread for waiting in self._backlog.values())

    @property
    def oldest_mtime_ns(self) -> int | None:
        """When the longest waiting file was written to."""
        return min((waiting.mtime_ns for waiting in self._backlog.values()), default=None)

    @property
    def files(self) -> int:
        """Files that were read to their end."""
        return len(self._settled)

    def add_fresh(self, path: str) -> None:
        """Something just happened at this path."""
        self._fresh[path] = None

    def add_seen(self, seen: Sighting, settled_bytes: int = 0) -> bool:
        """Queue a file unless it is as it was when read to its end; whether it was queued."""
        if self._settled.get(seen.path) == seen.stamp:
            return False
        self.add_backlog(seen.path, Waiting(seen.mtime_ns, max(0, seen.size - settled_bytes)))
        return True

    def add_backlog(self, path: str, waiting: Waiting) -> None:
        """Queue a file that has (more) unread bytes."""
        known = self._backlog.get(path)
        self._backlog[path] = waiting
        if known is None or known.mtime_ns != waiting.mtime_ns:
            heapq.heappush(self._heap, (-waiting.mtime_ns, path))

    def take_fresh(self) -> str | None:
        """A path at which something just happened; it is no longer in the agenda."""
        if not self._fresh:
            return None
        path = next(iter(self._fresh))
        del self._fresh[path]
        self._backlog.pop(path, None)
        return path

    def take_backlog(self) -> str | None:
        """The newest of the files that wait; it is no longer in the agenda."""
        while self._heap:
            mtime_ns, path = heapq.heappop(self._heap)
            waiting = self._backlog.get(path)
            if waiting is not None and waiting.mtime_ns == -mtime_ns:
                del self._backlog[path]
                return path
        return None

    def settle(self, path: str, stamp: int) -> None:
        """The file was read to its end."""
        self._settled[path] = stamp

    def unsettle(self, path: str) -> None:
        """What is known of the file no longer holds."""
        self._settled.pop(path, None)

    def forget(self) -> None:
        """Nothing is known of any file."""
        self._fresh.clear()
        self._backlog.clear()
        self._heap.clear()
        self._settled.clear()
