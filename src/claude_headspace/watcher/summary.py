"""The periodic line in the log that says what was written."""

from __future__ import annotations

import logging
import time

from claude_headspace.store.results import WriteCounters

logger = logging.getLogger(__name__)


class Summary:
    """Tells what the writer did since it last told."""

    def __init__(self, counters: WriteCounters, interval_seconds: float) -> None:
        self._counters = counters
        self._interval = interval_seconds
        self._next = time.monotonic() + interval_seconds
        self._told = (0, 0, 0, 0, 0)

    def tell_if_due(self) -> None:
        """Tell once an interval, and only if something was done."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._interval
            self.tell()

    def tell(self) -> None:
        """Tell now, unless nothing was done."""
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
