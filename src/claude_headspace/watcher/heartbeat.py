"""The watcher's signs of life: beats for the guard, and a status file for everybody."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from claude_headspace.health.status import WatcherState, WatcherStatus, write_status
from claude_headspace.watcher.liveness import Liveness

logger = logging.getLogger(__name__)

# A little less than the longest wait of the loop, which would else miss every second turn.
STATUS_SECONDS = 0.9
REPEAT_SECONDS = 1.5
FINISH_SECONDS = 0.5


class StatusWriter:
    """Writes the status file in a thread of its own, so that a hanging disk blocks no work.

    Without news from the work it repeats the last status, with the current time and with what the
    work is busy with.
    """

    def __init__(
        self, path: Path, liveness: Liveness, repeat_seconds: float = REPEAT_SECONDS
    ) -> None:
        self._path = path
        self._liveness = liveness
        self._repeat = repeat_seconds
        self._latest: WatcherStatus | None = None
        self._wake = threading.Event()
        self._ended = False
        self._complained = False
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def write(self, status: WatcherStatus) -> None:
        """Have it written at once, without waiting."""
        self._latest = status.frozen()
        self._wake.set()

    def finish(self, seconds: float = FINISH_SECONDS) -> None:
        """Write what was said last and end; wait for it for so long at most."""
        self._ended = True
        self._wake.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        ended = False
        while not ended:
            self._wake.wait(self._repeat)
            self._wake.clear()
            ended = self._ended
            if self._latest is not None:
                self._store(self._latest)

    def _store(self, status: WatcherStatus) -> None:
        announced = self._liveness.announced()
        status = replace(
            status,
            beat_at=time.time(),
            doing=announced.doing,
            doing_seconds=round(announced.seconds, 3),
            doing_limit=announced.limit,
        )
        try:
            write_status(self._path, status)
            self._complained = False
        except OSError as error:
            if not self._complained:
                logger.warning("the status file %s cannot be written: %s", self._path, error)
            self._complained = True


class Heartbeat:
    """`beat` is called from the loop that does the work and from every wait of it."""

    def __init__(
        self,
        liveness: Liveness,
        path: Path,
        snapshot: Callable[[WatcherState, str | None], WatcherStatus],
    ) -> None:
        self._liveness = liveness
        self._writer = StatusWriter(path, liveness)
        self._snapshot = snapshot
        self._next = 0.0
        self._state: WatcherState = "starting"
        self._reason: str | None = None

    def start(self) -> None:
        """Begin to give signs of life."""
        self._liveness.start()
        self._writer.start()

    def beat(self) -> None:
        """The work goes on. Cheap enough for the inside of any loop."""
        self._liveness.beat()
        if time.monotonic() >= self._next:
            self.tell()

    def doing(self, what: str, seconds: float) -> AbstractContextManager[None]:
        """Announce something that may take so long; a beat inside restarts the time."""
        return self._liveness.doing(what, seconds)

    def become(self, state: WatcherState, reason: str | None = None) -> None:
        """Enter a state; a new one is told at once."""
        changed = (state, reason) != (self._state, self._reason)
        self._state, self._reason = state, reason
        if changed:
            self.tell()

    def tell(self) -> None:
        """Have the status file written now. A full disk does not stop the capture."""
        self._next = time.monotonic() + STATUS_SECONDS
        self._writer.write(self._snapshot(self._state, self._reason))

    def finish(self) -> None:
        """The last status, on the disk if that answers."""
        self._writer.finish()
