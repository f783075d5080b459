"""Waiting for time to pass, with signs of life, until a stop is asked for."""

from __future__ import annotations

import select
import time

from claude_headspace.discovery.notifier import Waker
from claude_headspace.watcher.heartbeat import Heartbeat
from claude_headspace.watcher.stop import Stop

_SLICE_SECONDS = 0.5


class Pause:
    """Called with seconds, it waits for so long; a stop ends it."""

    def __init__(self, waker: Waker, stop: Stop, heartbeat: Heartbeat) -> None:
        self._waker = waker
        self._stop = stop
        self._heartbeat = heartbeat

    def __call__(self, seconds: float) -> None:
        """Changes of files that are notified meanwhile stay noted."""
        end = time.monotonic() + seconds
        while not self._stop.requested and (left := end - time.monotonic()) > 0:
            self._heartbeat.beat()
            if select.select([self._waker], [], [], min(left, _SLICE_SECONDS))[0]:
                self._waker.clear()
