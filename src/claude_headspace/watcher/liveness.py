"""Reports the current work and how long it may take, in a separate thread.

The working thread says what it does; this one tells the guard. Only a silent thread or overdue
work is a hang; a slow disk is not.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from claude_headspace.supervision.beats import Beat

INTERVAL_SECONDS = 0.5
WORK = "work"
WORK_SECONDS = 3.0


class Liveness:
    """Only the working thread sets the current work; `beat` and `doing` are cheap."""

    def __init__(
        self,
        send: Callable[[Beat], None] | None,
        interval_seconds: float = INTERVAL_SECONDS,
        work_seconds: float = WORK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._interval = interval_seconds
        self._clock = clock
        # What is being done, how long it may take, and since when.
        self._current = (WORK, work_seconds, clock())
        self._doubted: tuple[str, float, float] | None = None
        self._ended = threading.Event()

    def start(self) -> None:
        """Start sending beats, if there is a receiver."""
        if self._send is not None:
            threading.Thread(target=self._run, name="beat", daemon=True).start()

    def stop(self) -> None:
        """Stop sending beats; the guard takes that for a hang unless the process ends, too."""
        self._ended.set()

    def beat(self) -> None:
        """Report progress: the current work may take its whole time again."""
        self._current = (*self._current[:2], self._clock())

    @contextmanager
    def doing(self, what: str, seconds: float) -> Iterator[None]:
        """Do work that may take this long, until it ends or `beat` is called again."""
        before = self._current
        self._current = (what, seconds, self._clock())
        try:
            yield
        finally:
            self._current = (*before[:2], self._clock())

    def current(self) -> Beat:
        """The current work, how long it has taken, and how long it may take."""
        return self._beat(*self._current)

    def _beat(self, doing: str, limit: float, since: float) -> Beat:
        return Beat(pid=os.getpid(), doing=doing, seconds=self._clock() - since, limit=limit)

    def tell(self) -> None:
        """Send one beat. Overdue must be seen twice, because the process may have slept."""
        current = self._current
        beat = self._beat(*current)
        is_late = beat.seconds > beat.limit
        overdue = is_late and self._doubted is current
        self._doubted = current if is_late else None
        if self._send is not None:
            self._send(replace(beat, overdue=overdue))

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self.tell()
        while not self._ended.wait(self._interval):
            self.tell()
