"""How far the capture of a large backlog is: for the log, and for whoever asks."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger(__name__)

# A smaller backlog is gone before anybody could read about it.
WORTH_TELLING_BYTES = 20_000_000
INTERVAL_SECONDS = 5.0


class Progress:
    """Follows one backlog from its discovery to its end; rates are in bytes per second."""

    def __init__(self) -> None:
        self._started_at = 0.0
        self._committed_before = 0
        self._read = 0
        self._next = 0.0
        self.total_bytes: float | None = None

    def begin(self, backlog_bytes: int, committed_bytes: int) -> None:
        """A backlog of so many bytes was found, when so many had been committed before."""
        self.total_bytes = None
        if backlog_bytes >= WORTH_TELLING_BYTES:
            self.total_bytes = float(backlog_bytes)
            self._started_at = time.monotonic()
            self._committed_before = self._read = committed_bytes
            self._next = self._started_at + INTERVAL_SECONDS

    @property
    def rate(self) -> float | None:
        """How fast this backlog is being read, on the whole; None when there is none."""
        if self.total_bytes is None:
            return None
        seconds = time.monotonic() - self._started_at
        return (self._read - self._committed_before) / max(seconds, 0.001)

    def advance(self, backlog_bytes: int, backlog_files: int, committed_bytes: int) -> None:
        """Take note of where capture is; tells of it now and then."""
        if self.total_bytes is None:
            return
        self._read = committed_bytes
        if not backlog_files:
            self._finish()
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + INTERVAL_SECONDS
            self._tell(backlog_bytes, backlog_files)

    def _tell(self, backlog_bytes: int, backlog_files: int) -> None:
        rate = self.rate or 0.0
        left = f"about {backlog_bytes / rate:.0f} s left" if rate else "no end in sight"
        logger.info(
            "backlog: %d files and %.1f MB to read, at %.1f MB/s, %s",
            backlog_files, backlog_bytes / 1e6, rate / 1e6, left,
        )  # fmt: skip

    def _finish(self) -> None:
        logger.info(
            "backlog: %.1f MB read in %.1f s",
            (self._read - self._committed_before) / 1e6, time.monotonic() - self._started_at,
        )  # fmt: skip
        self.total_bytes = None
