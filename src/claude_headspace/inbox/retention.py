"""Consumed files of the inbox: kept for a while in case a failover loses them, then deleted.

There is a directory for each minute, so that the oldest are found without listing all files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

DONE = "done"
_MINUTE = 60
_PRUNE_INTERVAL_SECONDS = 5.0
# The most files to delete at once.
_SLICE = 256


class DoneFiles:
    """The directory `done/` of an inbox, limited in time and size.

    Files are kept for `seconds` (0: not at all); beyond `most_bytes` the oldest are deleted.
    """

    def __init__(
        self,
        inbox: Path,
        seconds: float,
        most_bytes: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._directory = inbox / DONE
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._now = now
        self._sizes: dict[str, int] = {}
        self._next_prune = 0.0

    def __str__(self) -> str:
        return str(self._directory)

    def prepare(self) -> None:
        """Create the directory, private to its owner, and read what is in it."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = sorted(path.name for path in self._directory.iterdir())
        self._sizes = {name: self._size(name) for name in names if name.isdecimal()}

    def _size(self, minute: str) -> int:
        try:
            with os.scandir(self._directory / minute) as entries:
                return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
        except OSError:
            return 0

    def keep(self, path: Path, content: bytes | None = None) -> None:
        """Move a file here, or write `content` instead, if given. Raises OSError."""
        if self._seconds <= 0:
            path.unlink(missing_ok=True)
            return
        minute = f"{int(self._now()) // _MINUTE:012d}"
        # Somebody may have deleted it to free space.
        (self._directory / minute).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sizes.setdefault(minute, 0)
        target = self._directory / minute / path.name
        with suppress(FileNotFoundError):
            if content is None:
                # Their order is that in which they were consumed.
                os.utime(path)
                path.replace(target)
            else:
                _write(target, content)
                path.unlink()
            self._sizes[minute] += target.stat().st_size

    def newest_first(self) -> Iterator[list[Path]]:
        """The files, minute by minute, the last consumed one first."""
        for minute in sorted(self._sizes, reverse=True):
            yield self._latest_first(self._directory / minute)

    def _latest_first(self, directory: Path) -> list[Path]:
        try:
            with os.scandir(directory) as entries:
                found = [(e.stat().st_mtime_ns, e.name) for e in entries]
        except OSError:
            return []
        return [directory / name for _, name in sorted(found, reverse=True)]

    def prune(self) -> None:
        """Delete some of the files that are too old or too many, if any."""
        now = time.monotonic()
        if now < self._next_prune:
            return
        oldest = min(self._sizes, default=None)
        if oldest is not None and self._is_over(oldest):
            self._remove_some(oldest)
            return
        self._next_prune = now + _PRUNE_INTERVAL_SECONDS

    def _is_over(self, minute: str) -> bool:
        if sum(self._sizes.values()) > self._most_bytes:
            return True
        return self._now() - _MINUTE - int(minute) * _MINUTE > self._seconds

    def _remove_some(self, minute: str) -> None:
        directory, removed = self._directory / minute, False
        for path in self._latest_first(directory)[: -_SLICE - 1 : -1]:
            with suppress(OSError):
                path.unlink()
                removed = True
        with suppress(OSError):
            directory.rmdir()
        self._sizes[minute] = self._size(minute)
        # What cannot be removed must not keep what can.
        if not removed or not directory.exists():
            del self._sizes[minute]


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
