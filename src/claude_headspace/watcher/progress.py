"""What the watcher's log file says of its progress: a large backlog, and what was written."""

from __future__ import annotations

import logging
import time

from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.store.results import WriteCounters
from claude_headspace.watcher.meter import Meter

logger = logging.getLogger(__name__)

# A smaller backlog is read before anybody could notice it.
WORTH_TELLING_BYTES = 20_000_000
INTERVAL_SECONDS = 5.0


class BacklogProgress:
    """The progress of one backlog; `total_bytes` is None without one."""

    def __init__(self, work_queue: WorkQueue, meter: Meter) -> None:
        self._work_queue = work_queue
        self._meter = meter
        self._started_at = self._next = 0.0
        self._committed_before = 0
        self.total_bytes: float | None = None

    def begin(self) -> None:
        """Start, once everything was seen and the backlog is known."""
        found = self._work_queue.backlog_bytes
        self.total_bytes = float(found) if found >= WORTH_TELLING_BYTES else None
        self._started_at = time.monotonic()
        self._committed_before = self._meter.committed_bytes
        self._next = self._started_at + INTERVAL_SECONDS

    @property
    def rate(self) -> float | None:
        """The rate at which this backlog is read, in bytes per second; None without one."""
        if self.total_bytes is None:
            return None
        return self._read / max(time.monotonic() - self._started_at, 0.001)

    @property
    def _read(self) -> int:
        return self._meter.committed_bytes - self._committed_before

    def advance(self) -> None:
        """Record the progress of capture, and log it at intervals."""
        if self.total_bytes is None:
            return
        if not self._work_queue.backlog_files:
            seconds = time.monotonic() - self._started_at
            logger.info("backlog: %.1f MB read in %.1f s", self._read / 1e6, seconds)
            self.total_bytes = None
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + INTERVAL_SECONDS
            rate, waiting = self.rate or 0.0, self._work_queue.backlog_bytes
            left = f"about {waiting / rate:.0f} s left" if rate else "no end in sight"
            logger.info(
                "backlog: %d files and %.1f MB to read, at %.1f MB/s, %s",
                self._work_queue.backlog_files, waiting / 1e6, rate / 1e6, left,
            )  # fmt: skip


class WriteSummary:
    """Logs what the writer has done since the last summary."""

    def __init__(self, counters: WriteCounters, interval_seconds: float) -> None:
        self._counters = counters
        self._interval = interval_seconds
        self._next = time.monotonic() + interval_seconds
        self._told = (0, 0, 0, 0, 0)

    def tell_if_due(self) -> None:
        """Log once per interval, if anything was written."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._interval
            self.tell()

    def tell(self) -> None:
        """Log now, if anything was written."""
        c = self._counters
        now = (c.written, c.duplicates, c.rejected, c.failed, c.retries)
        if now == self._told:
            return
        since = [after - before for after, before in zip(now, self._told, strict=True)]
        self._told = now
        logger.info(
            "writes: %d written, %d duplicates, %d rejected, %d failed, %d retries"
            " (%d written since the start)",
            *since, c.written,
        )  # fmt: skip
