"""The periodic summary of writes in the watcher's log file."""

from __future__ import annotations

import logging
import time

from claude_headspace.store.results import WriteCounters

logger = logging.getLogger(__name__)


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
