"""The work queue: paths that just changed first, then the newest of the backlog."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from claude_headspace.discovery.listing import Sighting


@dataclass(frozen=True, slots=True)
class UnreadFile:
    """A file that is known to have unread bytes, and the time of its last write.

    `since` is the time in epoch seconds since which it has waited.
    """

    mtime_ns: int
    unread: int
    since: float = field(default_factory=time.time)


class WorkQueue:
    """Paths to visit, each at most once."""

    def __init__(self) -> None:
        self._fresh: dict[str, None] = {}
        self._backlog: dict[str, UnreadFile] = {}
        self._heap: list[tuple[int, str]] = []
        # The path taken last.
        self._in_flight: dict[str, UnreadFile] = {}
        # The stamp of each file when it had been read to its end.
        self._finished: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._fresh or self._backlog)

    @property
    def backlog_files(self) -> int:
        """Files known to have unread bytes."""
        return len(self._backlog) + len(self._in_flight)

    @property
    def backlog_bytes(self) -> int:
        """Bytes known to be unread."""
        return sum(waiting.unread for waiting in self._waiting())

    @property
    def waiting_since(self) -> float | None:
        """Since when, in epoch seconds, the longest waiting file has waited."""
        return min((waiting.since for waiting in self._waiting()), default=None)

    def _waiting(self) -> Iterable[UnreadFile]:
        return chain(self._in_flight.values(), self._backlog.values())

    @property
    def files(self) -> int:
        """The number of files read to their end."""
        return len(self._finished)

    def expects(self, path: str) -> bool:
        """Whether the path is in the queue."""
        return path in self._fresh or path in self._backlog

    def is_done(self, seen: Sighting) -> bool:
        """Whether the file has not changed since it was read to its end."""
        return self._finished.get(seen.path) == seen.stamp

    def below(self, directory: str) -> list[str]:
        """The known files in or below this directory."""
        start = directory.rstrip(os.sep) + os.sep
        known = (*self._finished, *self._backlog)
        return list(dict.fromkeys(path for path in known if path.startswith(start)))

    def add_fresh(self, path: str) -> None:
        """Queue a path that just changed."""
        self._fresh[path] = None

    def add_seen(self, seen: Sighting, committed_bytes: int = 0) -> bool:
        """Queue a file, and return whether it was queued.

        A file that is unchanged since it was read, or empty and never read, is not queued.
        """
        if self.is_done(seen):
            return False
        is_known = seen.path in self._finished or self.expects(seen.path)
        if not (seen.size or committed_bytes or is_known):
            self.finish(seen.path, seen.stamp)
            return False
        self.add_backlog(seen.path, UnreadFile(seen.mtime_ns, max(0, seen.size - committed_bytes)))
        return True

    def add_backlog(self, path: str, waiting: UnreadFile) -> None:
        """Queue a file with unread bytes."""
        known = self._backlog.get(path)
        before = known or self._in_flight.get(path)
        self._backlog[path] = replace(waiting, since=before.since) if before else waiting
        if known is None or known.mtime_ns != waiting.mtime_ns:
            heapq.heappush(self._heap, (-waiting.mtime_ns, path))

    def take_fresh(self) -> str | None:
        """Take a path that just changed."""
        if not self._fresh:
            return None
        path = next(iter(self._fresh))
        del self._fresh[path]
        waiting = self._backlog.pop(path, None)
        self._in_flight = {path: waiting or UnreadFile(0, 1)}
        return path

    def take_backlog(self) -> str | None:
        """Take the newest file of the backlog."""
        while self._heap:
            mtime_ns, path = heapq.heappop(self._heap)
            waiting = self._backlog.get(path)
            if waiting is not None and waiting.mtime_ns == -mtime_ns:
                self._in_flight = {path: self._backlog.pop(path)}
                return path
        return None

    def put_down(self) -> None:
        """The path taken last is done."""
        self._in_flight.clear()

    def finish(self, path: str, stamp: int) -> None:
        """Record that the file was read to its end."""
        self._finished[path] = stamp

    def reopen(self, path: str) -> None:
        """The file is no longer read to its end."""
        self._finished.pop(path, None)

    def finished(self) -> Iterator[str]:
        """The paths of the files read to their end."""
        return iter(list(self._finished))

    def clear(self) -> None:
        """Drop everything."""
        self._fresh.clear()
        self._backlog.clear()
        self._heap.clear()
        self._in_flight.clear()
        self._finished.clear()
