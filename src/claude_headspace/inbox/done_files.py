"""Files of the inbox that were taken in, kept for a while: a failover may lose what they said.

They lie in directories of one minute each, so that the oldest are found without a list of all.
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
# At most so many files are deleted at once.
_SLICE = 256


class DoneFiles:
    """The directory `done/` of an inbox, bounded in time and in bytes.

    Files are kept for `seconds`, none with 0, and the oldest are given up beyond `most_bytes`.
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
        """Make the directory, for its owner alone, and learn what is in it."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sizes = {p.name: self._size(p.name) for p in sorted(self._directory.iterdir())}

    def _size(self, minute: str) -> int:
        try:
            with os.scandir(self._directory / minute) as entries:
                return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
        except OSError:
            return 0

    def keep(self, path: Path, content: bytes | None = None) -> None:
        """Move a file here; with `content` it is this that is kept. Raises OSError."""
        if self._seconds <= 0:
            path.unlink(missing_ok=True)
            return
        minute = f"{int(self._now()) // _MINUTE:012d}"
        # Somebody may have removed it to make room.
        (self._directory / minute).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sizes.setdefault(minute, 0)
        target = self._directory / minute / path.name
        with suppress(FileNotFoundError):
            if content is None:
                # Their order is that in which they were taken in.
                os.utime(path)
                path.replace(target)
            else:
                _write(target, content)
                path.unlink()
            self._sizes[minute] += target.stat().st_size

    def newest_first(self) -> Iterator[list[Path]]:
        """The files kept, one minute after the other, the last one taken in first."""
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
        """Delete some of what is too old or too large, if anything is."""
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
        age = self._now() - _MINUTE - int(minute) * _MINUTE if minute.isdecimal() else 0
        return age > self._seconds

    def _remove_some(self, minute: str) -> None:
        directory = self._directory / minute
        for path in self._latest_first(directory)[: -_SLICE - 1 : -1]:
            with suppress(OSError):
                path.unlink()
        with suppress(OSError):
            directory.rmdir()
        self._sizes[minute] = self._size(minute)
        if not directory.exists():
            del self._sizes[minute]


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
