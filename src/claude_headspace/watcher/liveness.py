"""Reports what the work does and how long that may take, in a thread that does nothing else.

The work makes announcements; the thread sends them to the guard. Only a silent thread or an overdue
announcement is a hang: a slow disk is not.
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
class Activity:
    """What is done, for how long now, and for how long it may be done at most."""

    doing: str
    seconds: float
    limit: float

    @property
    def is_overdue(self) -> bool:
        """Whether it takes longer than was announced."""
        return self.seconds > self.limit


class Liveness:
    """Announcements are for the one thread that works; `beat` and `doing` are cheap."""

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
        """Begin to beat, if there is anybody to hear it."""
        if self._send is not None:
            threading.Thread(target=self._run, name="beat", daemon=True).start()

    def stop(self) -> None:
        """End the beats; the guard takes that for a hang unless the process ends as well."""
        self._ended.set()

    def beat(self) -> None:
        """The work goes on: what was announced last may take its whole time from now on."""
        doing, limit, _ = self._current
        self._current = (doing, limit, self._clock())

    def doing(self, what: str, seconds: float) -> AbstractContextManager[None]:
        """Announce something that may take so long, until it ends or `beat` is called again."""
        return _Doing(self, what, seconds)

    def announced(self) -> Activity:
        """What is announced at this moment."""
        doing, limit, since = self._current
        return Activity(doing, self._clock() - since, limit)

    def tell(self) -> None:
        """Send one beat. Overdue counts at the second look only: the process may have slept."""
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
        """Announce; returns what was announced before."""
        before = self._current
        self._current = (what, seconds, self._clock())
        return before

    def leave(self, before: tuple[str, float, float]) -> None:
        """Go back to what was announced before, with its whole time."""
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
