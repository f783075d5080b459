"""The watcher's heartbeat: beats for the guard, and the status file."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from claude_headspace.health.status_file import WatcherState, WatcherStatus, write_status
from claude_headspace.watcher.liveness import Liveness

logger = logging.getLogger(__name__)

# Slightly less than the longest wait of the loop, which would otherwise miss every second pass.
STATUS_SECONDS = 0.9
REPEAT_SECONDS = 1.5
FINISH_SECONDS = 0.5


class StatusWriter:
    """Writes the status file in a separate thread, so that a hanging disk does not block work.

    Without news it repeats the last status, with the current time and the current work.
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
        """Start writing."""
        self._thread.start()

    def write(self, status: WatcherStatus) -> None:
        """Write this status soon, without waiting for it."""
        self._latest = status.frozen()
        self._wake.set()

    def finish(self, seconds: float = FINISH_SECONDS) -> None:
        """Write the last status and end; wait for that at most this long."""
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
        now = self._liveness.current()
        status = replace(
            status, beat_at=time.time(), doing=now.doing, doing_seconds=round(now.seconds, 3),
            doing_limit=now.limit,
        )  # fmt: skip
        try:
            write_status(self._path, status)
            self._complained = False
        except OSError as error:
            if not self._complained:
                logger.warning("the status file %s cannot be written: %s", self._path, error)
            self._complained = True


class Heartbeat:
    """`beat` is called by the working loop and in all of its waits."""

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
        """Start sending heartbeats."""
        self._liveness.start()
        self._writer.start()

    def beat(self) -> None:
        """Report progress. Cheap enough for the inside of any loop."""
        self._liveness.beat()
        if time.monotonic() >= self._next:
            self.tell()

    def doing(self, what: str, seconds: float) -> AbstractContextManager[None]:
        """Do work that may take this long; a beat inside restarts the time."""
        return self._liveness.doing(what, seconds)

    def become(self, state: WatcherState, reason: str | None = None) -> None:
        """Enter a state; a new one is reported at once."""
        changed = (state, reason) != (self._state, self._reason)
        self._state, self._reason = state, reason
        if changed:
            self.tell()

    def tell(self) -> None:
        """Write the status file now. A full disk does not stop capture."""
        self._next = time.monotonic() + STATUS_SECONDS
        self._writer.write(self._snapshot(self._state, self._reason))

    def finish(self) -> None:
        """Write the last status, if the disk responds."""
        self._writer.finish()
