"""Reports the current work and how long it may take, in a separate thread.

The working thread makes announcements; this one sends them to the guard. Only a silent thread or an
overdue announcement is a hang; a slow disk is not.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

from claude_headspace.supervision.beats import Beat

INTERVAL_SECONDS = 0.5
WORK = "work"
WORK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class CurrentWork:
    """The current work, how long it has taken, and how long it may take."""

    doing: str
    seconds: float
    limit: float

    @property
    def is_overdue(self) -> bool:
        """Whether it takes longer than announced."""
        return self.seconds > self.limit


class Liveness:
    """Only the working thread makes announcements; `beat` and `doing` are cheap."""

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
        """Report progress: the last announcement may take its whole time again."""
        doing, limit, _ = self._current
        self._current = (doing, limit, self._clock())

    def doing(self, what: str, seconds: float) -> AbstractContextManager[None]:
        """Announce work that may take this long, until it ends or `beat` is called again."""
        return _Doing(self, what, seconds)

    def announced(self) -> CurrentWork:
        """The current announcement."""
        doing, limit, since = self._current
        return CurrentWork(doing, self._clock() - since, limit)

    def tell(self) -> None:
        """Send one beat. Overdue must be seen twice, because the process may have slept."""
        current = self._current
        doing, limit, since = current
        seconds = self._clock() - since
        late = seconds > limit
        overdue = late and self._doubted is current
        self._doubted = current if late else None
        if self._send is not None:
            self._send(
                Beat(pid=os.getpid(), doing=doing, seconds=seconds, limit=limit, overdue=overdue)
            )

    def enter(self, what: str, seconds: float) -> tuple[str, float, float]:
        """Announce; returns the previous announcement."""
        before = self._current
        self._current = (what, seconds, self._clock())
        return before

    def leave(self, before: tuple[str, float, float]) -> None:
        """Return to the previous announcement, with its whole time."""
        self._current = (before[0], before[1], self._clock())

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self.tell()
        while not self._ended.wait(self._interval):
            self.tell()


class _Doing:
    __slots__ = ("_before", "_liveness", "_seconds", "_what")

    def __init__(self, liveness: Liveness, what: str, seconds: float) -> None:
        self._liveness = liveness
        self._what = what
        self._seconds = seconds
        self._before: tuple[str, float, float] | None = None

    def __enter__(self) -> None:
        self._before = self._liveness.enter(self._what, self._seconds)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            self._liveness.leave(self._before)
