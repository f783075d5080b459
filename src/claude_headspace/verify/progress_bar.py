"""How far a check is, on a terminal, for work that takes long enough to wonder."""

from __future__ import annotations

import time
from typing import TextIO

INTERVAL_SECONDS = 0.1
SILENT_SECONDS = 0.5


class Progress:
    """Counts bytes done of `total`; says nothing where `stream` is no terminal."""

    def __init__(self, stream: TextIO, total: int, silent_seconds: float = SILENT_SECONDS) -> None:
        self._stream = stream
        self._total = max(total, 1)
        self._done = 0
        self._shown = False
        self._next = time.monotonic() + silent_seconds if stream.isatty() else float("inf")

    def advance(self, count: int) -> None:
        """So many bytes more are done."""
        self._done += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + INTERVAL_SECONDS
            self._shown = True
            part = min(1.0, self._done / self._total)
            self._stream.write(f"\r\x1b[K{part:4.0%} of {self._total / 1e6:.0f} MB")
            self._stream.flush()

    def close(self) -> None:
        """Take it away."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
