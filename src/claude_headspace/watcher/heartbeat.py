"""Signs of life on standard output, in the form supervisord hands to its event listeners."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Protocol

INTERVAL_SECONDS = 1.0
TOKEN = b"<!--XSUPERVISOR:BEGIN-->beat<!--XSUPERVISOR:END-->"


class HasFileno(Protocol):
    """Anything with a file descriptor."""

    def fileno(self) -> int:
        """The descriptor to write to."""
        ...


class Heartbeat:
    """Beats once an interval on average, and only under supervisord; never blocks, never raises.

    It belongs in the loop that does the work and in its waits: a thread of its own would go on
    beating for a loop that hangs.
    """

    def __init__(
        self,
        stream: HasFileno,
        interval_seconds: float = INTERVAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._interval = interval_seconds
        self._clock = clock
        self._enabled = "SUPERVISOR_ENABLED" in os.environ
        self._next = clock()

    def beat(self) -> None:
        """Cheap enough for the inside of any loop."""
        if not self._enabled or (now := self._clock()) < self._next:
            return
        # On a grid: a loop that comes by once an interval, a little early now and then, would
        # otherwise miss every second beat.
        self._next = max(self._next + self._interval, now + self._interval / 2)
        self._send()

    def _send(self) -> None:
        try:
            descriptor = self._stream.fileno()
            # A pipe that is writable takes PIPE_BUF bytes at once, so this write cannot block,
            # and the descriptor keeps its mode for whoever else writes to it.
            _, writable, _ = select.select((), (descriptor,), (), 0)
            if writable:
                os.write(descriptor, TOKEN)
        except (OSError, ValueError):
            return
