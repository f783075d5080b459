"""The request to stop, and the time allowed for it."""

from __future__ import annotations

import signal
import time
from types import FrameType

from claude_headspace.discovery.notifier import Waker

# The share of the time allowed for stopping that may be spent waiting for Postgres.
_WRITING_SHARE = 0.6


class Stop:
    """Set by a signal, and checked by everything else."""

    def __init__(self, timeout_seconds: float, waker: Waker) -> None:
        self._timeout = timeout_seconds
        self._waker = waker
        self._requested_at: float | None = None
        self.signal: str | None = None

    @property
    def requested(self) -> bool:
        """Whether a stop was requested."""
        return self._requested_at is not None

    def end(self) -> float | None:
        """The time on the monotonic clock after which waits for Postgres end."""
        if self._requested_at is None:
            return None
        return self._requested_at + self._timeout * _WRITING_SHARE

    def request(self) -> None:
        """Stop at the next opportunity."""
        if self._requested_at is None:
            self._requested_at = time.monotonic()
        self._waker.wake()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self.signal = signal.Signals(number).name
        self.request()

    def listen(self) -> None:
        """Make SIGTERM and SIGINT request a stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
