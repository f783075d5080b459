"""A progress bar on a terminal, for work that takes long enough to wonder."""

from __future__ import annotations

import time
from typing import TextIO

WIDTH = 30
INTERVAL_SECONDS = 0.1
SILENT_SECONDS = 0.5


class Progress:
    """Counts bytes done of `total`; draws nothing where `stream` is no terminal."""

    def __init__(self, stream: TextIO, total: int, silent_seconds: float = SILENT_SECONDS) -> None:
        self._stream = stream
        self._total = max(total, 1)
        self._done = 0
        self._shown = False
        self._started = time.monotonic()
        self._next = self._started + (silent_seconds if stream.isatty() else float("inf"))

    def advance(self, count: int) -> None:
        """So many bytes more are done."""
        self._done += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + INTERVAL_SECONDS
            self._draw(now)

    def close(self) -> None:
        """Take the bar away."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _draw(self, now: float) -> None:
        self._shown = True
        part = min(1.0, self._done / self._total)
        bar = "█" * round(part * WIDTH)
        left = (now - self._started) * (1 / part - 1) if part else 0
        self._stream.write(
            f"\r\x1b[K{bar:░<{WIDTH}} {part:4.0%} of {self._total / 1e6:.0f} MB, {left:.0f} s left"
        )
        self._stream.flush()
