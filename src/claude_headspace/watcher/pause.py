"""Waiting for a time or for something to happen."""

from __future__ import annotations

import select
import time
from collections.abc import Sequence

from claude_headspace.discovery.notifier import Waker
from claude_headspace.errors import StopRequested
from claude_headspace.watcher.heartbeat import Heartbeat
from claude_headspace.watcher.stop_request import Stop

_SLICE_SECONDS = 0.5


class Pause:
    """Waits for the given seconds, with heartbeats; a stop ends the wait."""

    def __init__(self, waker: Waker, stop: Stop, heartbeat: Heartbeat) -> None:
        self._waker = waker
        self._stop = stop
        self._heartbeat = heartbeat

    def __call__(self, seconds: float) -> None:
        """Wait; file changes that are reported meanwhile are not lost."""
        end = time.monotonic() + seconds
        while not self._stop.requested and (left := end - time.monotonic()) > 0:
            self._heartbeat.beat()
            self.until_called(min(left, _SLICE_SECONDS))

    def beat(self) -> None:
        """A heartbeat in long work that stores nothing before its end; raises to end it."""
        self._heartbeat.beat()
        if self._stop.requested:
            raise StopRequested

    def is_called(self, *others: int | None) -> bool:
        """Whether the waker is called or a descriptor is readable."""
        return bool(select.select(self._called_by(others), [], [], 0.0)[0])

    def until_called(self, seconds: float, *others: int | None) -> None:
        """Wait until the waker is called or a descriptor is readable, at most this long."""
        called_by = self._called_by(others)
        if self._waker.fileno() in select.select(called_by, [], [], max(0.0, seconds))[0]:
            self._waker.clear()

    def _called_by(self, others: Sequence[int | None]) -> list[int]:
        return [self._waker.fileno(), *(each for each in others if each is not None)]
