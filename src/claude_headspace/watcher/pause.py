"""Waiting for a time or for something to happen, and the request to stop, which ends all waits."""

from __future__ import annotations

import select
import signal
import time
from collections.abc import Sequence
from types import FrameType

from claude_headspace.discovery.notifier import Waker
from claude_headspace.errors import StopRequested
from claude_headspace.watcher.heartbeat import Heartbeat

# The share of the time allowed for stopping that may be spent waiting for Postgres.
_WRITING_SHARE = 0.6
_SLICE_SECONDS = 0.5


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
        return bool(self._callers(0.0, others))

    def until_called(self, seconds: float, *others: int | None) -> None:
        """Wait until the waker is called or a descriptor is readable, at most this long."""
        if self._waker.fileno() in self._callers(max(0.0, seconds), others):
            self._waker.clear()

    def _callers(self, seconds: float, others: Sequence[int | None]) -> list[int]:
        watched = [self._waker.fileno(), *(each for each in others if each is not None)]
        return select.select(watched, [], [], seconds)[0]
