"""The watcher's signs of life: a heartbeat for the guard, and a status file for everybody."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from claude_headspace.health.status import State, WatcherStatus, write_status
from claude_headspace.watcher.heartbeat import Heartbeat

logger = logging.getLogger(__name__)

# A little less than the longest wait of the loop, which would else miss every second turn.
STATUS_SECONDS = 0.9


class Vitals:
    """`beat` is called from the loop that does the work and from every wait of it."""

    def __init__(
        self,
        heartbeat: Heartbeat,
        path: Path,
        snapshot: Callable[[State, str | None], WatcherStatus],
    ) -> None:
        self._heartbeat = heartbeat
        self._path = path
        self._snapshot = snapshot
        self._next = 0.0
        self._state: State = "starting"
        self._reason: str | None = None
        self._complained = False

    def beat(self) -> None:
        """Cheap enough for the inside of any loop."""
        self._heartbeat.beat()
        if time.monotonic() >= self._next:
            self.tell()

    def become(self, state: State, reason: str | None = None) -> None:
        """Enter a state; a new one is told at once."""
        changed = (state, reason) != (self._state, self._reason)
        self._state, self._reason = state, reason
        if changed:
            self.tell()

    def tell(self) -> None:
        """Write the status file now. A full disk does not stop the capture."""
        self._next = time.monotonic() + STATUS_SECONDS
        try:
            write_status(self._path, self._snapshot(self._state, self._reason))
            self._complained = False
        except OSError as error:
            if not self._complained:
                logger.warning("the status file %s cannot be written: %s", self._path, error)
            self._complained = True
