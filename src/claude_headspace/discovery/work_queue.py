"""What is to be read next: what just changed first, then the newest of what waits."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from claude_headspace.discovery.listing import Sighting


@dataclass(frozen=True, slots=True)
class UnreadFile:
    """A file with unread bytes, as far as is known, and when it was written to last.

    `since` is the moment, in epoch seconds, from which on it has waited.
    """

    mtime_ns: int
    unread: int
    since: float = field(default_factory=time.time)


class WorkQueue:
    """Paths to visit. A path is in it once, however often it is added."""

    def __init__(self) -> None:
        self._fresh: dict[str, None] = {}
        self._backlog: dict[str, UnreadFile] = {}
        self._heap: list[tuple[int, str]] = []
        self._in_flight: UnreadFile | None = None
        self._path_in_flight: str | None = None
        # What a file looked like when it had been read to its end.
        self._finished: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._fresh or self._backlog)

    @property
    def backlog_files(self) -> int:
        """Files known to have unread bytes."""
        return len(self._backlog) + (self._in_flight is not None)

    @property
    def backlog_bytes(self) -> int:
        """Bytes known to be unread."""
        in_flight = self._in_flight.unread if self._in_flight else 0
        return in_flight + sum(waiting.unread for waiting in self._backlog.values())

    @property
    def waiting_since(self) -> float | None:
        """From which moment on, in epoch seconds, the file that waits longest has waited."""
        moments = [waiting.since for waiting in self._backlog.values()]
        if self._in_flight is not None:
            moments.append(self._in_flight.since)
        return min(moments, default=None)

    @property
    def files(self) -> int:
        """Files that were read to their end."""
        return len(self._finished)

    def is_known(self, path: str) -> bool:
        """Whether the path was read, or waits for that."""
        return path in self._finished or self.expects(path)

    def expects(self, path: str) -> bool:
        """Whether the path is in the work queue already."""
        return path in self._fresh or path in self._backlog

    def is_done(self, seen: Sighting) -> bool:
        """Whether the file is as it was when it was read to its end."""
        return self._finished.get(seen.path) == seen.stamp

    def below(self, directory: str) -> list[str]:
        """The files in this directory, or below it, that are known."""
        start = directory.rstrip(os.sep) + os.sep
        known = (*self._finished, *self._backlog)
        return list(dict.fromkeys(path for path in known if path.startswith(start)))

    def add_fresh(self, path: str) -> None:
        """Something just happened at this path."""
        self._fresh[path] = None

    def add_seen(self, seen: Sighting, committed_bytes: int = 0) -> bool:
        """Queue a file with something to be done about it; whether it was queued.

        None is as it was when read to its end, or empty and never read.
        """
        if self.is_done(seen):
            return False
        if not (seen.size or committed_bytes or self.is_known(seen.path)):
            self.finish(seen.path, seen.stamp)
            return False
        self.add_backlog(seen.path, UnreadFile(seen.mtime_ns, max(0, seen.size - committed_bytes)))
        return True

    def add_backlog(self, path: str, waiting: UnreadFile) -> None:
        """Queue a file that has (more) unread bytes."""
        known = self._backlog.get(path)
        before = known or (self._in_flight if path == self._path_in_flight else None)
        self._backlog[path] = replace(waiting, since=before.since) if before else waiting
        if known is None or known.mtime_ns != waiting.mtime_ns:
            heapq.heappush(self._heap, (-waiting.mtime_ns, path))

    def take_fresh(self) -> str | None:
        """Take a path at which something just happened."""
        if not self._fresh:
            return None
        path = next(iter(self._fresh))
        del self._fresh[path]
        self._in_flight = self._backlog.pop(path, None) or UnreadFile(0, 1)
        self._path_in_flight = path
        return path

    def take_backlog(self) -> str | None:
        """Take the newest of the files that wait."""
        while self._heap:
            mtime_ns, path = heapq.heappop(self._heap)
            waiting = self._backlog.get(path)
            if waiting is not None and waiting.mtime_ns == -mtime_ns:
                self._in_flight = self._backlog.pop(path)
                self._path_in_flight = path
                return path
        return None

    def put_down(self) -> None:
        """What was taken last has been dealt with."""
        self._in_flight = None
        self._path_in_flight = None

    def finish(self, path: str, stamp: int) -> None:
        """The file was read to its end."""
        self._finished[path] = stamp

    def reopen(self, path: str) -> None:
        """What is known of the file no longer holds."""
        self._finished.pop(path, None)

    def finished(self) -> Iterator[str]:
        """The paths of the files that were read to their end."""
        return iter(list(self._finished))

    def forget(self) -> None:
        """Nothing is known of any file."""
        self._fresh.clear()
        self._backlog.clear()
        self._heap.clear()
        self._in_flight = None
        self._path_in_flight = None
        self._finished.clear()
