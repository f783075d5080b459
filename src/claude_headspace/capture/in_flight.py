"""Remembers which line killed the process.

A line that kills the watcher (by a bug, or for lack of memory) would kill every later watcher. A
memory-mapped file names the line in flight: it costs almost nothing and survives the process.
Deaths are counted per line; a line with two deaths is rejected. Such lines rarely come alone, so
for a while after a death, lines are tried in a child process first.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import struct
import time
from pathlib import Path

from claude_headspace.health.status_file import write_private

logger = logging.getLogger(__name__)

DEATHS_BEFORE_REJECTION = 2
# Longer than the window of the restart limit, so that lines cost at most one restart of it.
CAREFUL_SECONDS = 120.0
_MARKER = struct.Struct("<qq")
_NOTHING = (0, -1)

MarkedLine = tuple[int, int]


class InFlight:
    """The line that is being classified: the id of its source, and its offset."""

    def __init__(self, directory: Path, careful_seconds: float = CAREFUL_SECONDS) -> None:
        """Open the marker of the previous process, and count its death if a line killed it."""
        self._careful_seconds = careful_seconds
        self._deaths_path = directory / "line-deaths.json"
        self._deaths = self._read_deaths()
        self._careful_until = time.monotonic() + careful_seconds - self._since_last_death()
        try:
            self._marker = _mapped(directory / "line-in-flight")
        except OSError as error:
            logger.warning("a line that kills this process will not be known: %s", error)
            self._marker = mmap.mmap(-1, _MARKER.size)
            self.clear()
        self.count_death()

    @property
    def is_careful(self) -> bool:
        """Whether a line has recently killed a process, so that others may, too."""
        return time.monotonic() < self._careful_until

    def mark(self, source_id: int, offset: int) -> None:
        """From here on, a death counts against this line."""
        _MARKER.pack_into(self._marker, 0, source_id, offset)

    def clear(self) -> None:
        """No line is in flight any more; a death counts against none."""
        _MARKER.pack_into(self._marker, 0, *_NOTHING)

    def is_poison(self, source_id: int, offset: int) -> bool:
        """Whether this line has killed the watcher too often."""
        if not self._deaths:
            return False
        return self._deaths.get((source_id, offset), 0) >= DEATHS_BEFORE_REJECTION

    def committed(self, source_id: int, offset: int) -> None:
        """Drop deaths at lines of the source before this offset, which are committed."""
        past = [place for place in self._deaths if place[0] == source_id and place[1] < offset]
        for place in past:
            del self._deaths[place]
        if past:
            self._write_deaths()

    def count_death(self) -> MarkedLine | None:
        """Count the death of the process whose line is in flight, and clear the marker."""
        place: MarkedLine = _MARKER.unpack_from(self._marker, 0)
        self.clear()
        if place == _NOTHING:
            return None
        self._deaths[place] = self._deaths.get(place, 0) + 1
        self._careful_until = time.monotonic() + self._careful_seconds
        logger.warning(
            "a process died with the line at byte %d of source %d in flight (death %d there)",
            place[1], place[0], self._deaths[place],
        )  # fmt: skip
        self._write_deaths()
        return place

    def _since_last_death(self) -> float:
        try:
            return max(0.0, time.time() - self._deaths_path.stat().st_mtime)
        except OSError:
            return self._careful_seconds

    def _read_deaths(self) -> dict[MarkedLine, int]:
        try:
            stored = json.loads(self._deaths_path.read_text("utf-8"))
            return {(int(s), int(o)): int(n) for s, o, n in stored}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError) as error:
            logger.warning("%s cannot be used and is replaced: %s", self._deaths_path, error)
            return {}

    def _write_deaths(self) -> None:
        try:
            listed = [[source, offset, count] for (source, offset), count in self._deaths.items()]
            write_private(self._deaths_path, json.dumps(listed) + "\n")
        except OSError as error:
            logger.warning("%s cannot be written: %s", self._deaths_path, error)


def _mapped(path: Path) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.fstat(descriptor).st_size != _MARKER.size:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, _MARKER.pack(*_NOTHING), 0)
        return mmap.mmap(descriptor, _MARKER.size)
    finally:
        os.close(descriptor)
