"""Receiving the watcher's heartbeats, and killing it when it hangs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from claude_headspace.health.observation import WATCHER
from claude_headspace.supervision.beats import Beat, BeatReceiver
from claude_headspace.supervision.control import Supervisor, SupervisorError

SILENCE_SECONDS = 3.0
FIRST_BEAT_SECONDS = 30.0
STARVED_SECONDS = 1.0

logger = logging.getLogger("claude_headspace.guard")


class HangDetector:
    """The state of one process's heartbeats; times are seconds of one monotonic clock.

    A new process has much longer for its first beat. `ever_heard`: whether any beat ever arrived;
    until then silence may only mean that beats are not delivered.
    """

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.last: Beat | None = None
        self.ever_heard = False
        self._limit = SILENCE_SECONDS

    def started(self, now: float) -> None:
        """A new process has started."""
        self.gone()
        self._limit = FIRST_BEAT_SECONDS
        self.deadline = now + self._limit

    def beat(self, beat: Beat, now: float) -> None:
        """A heartbeat has arrived."""
        self.armed(now)
        self.last = beat

    def armed(self, now: float) -> None:
        """The process has sent beats, the last of them now."""
        self.ever_heard = True
        self._limit = SILENCE_SECONDS
        self.deadline = now + self._limit

    def gone(self) -> None:
        """The process has ended or is being stopped."""
        self.last = None
        self._limit = SILENCE_SECONDS
        self.deadline = None

    def forgive(self, now: float) -> None:
        """Start the wait again, because beats were not received."""
        self.last = None
        if self.deadline is not None:
            self.deadline = now + self._limit

    def is_stuck(self, now: float) -> bool:
        """Whether the process has been silent, or has done one thing, for too long."""
        if self.last is not None and self.last.overdue:
            return True
        return self.deadline is not None and now >= self.deadline

    def explain(self) -> str:
        """What is wrong with a stuck process."""
        beat = self.last
        if beat is not None and beat.overdue:
            return f"stuck: {beat.doing} has taken {beat.seconds:.1f} s (limit: {beat.limit:g} s)"
        doing = f"; last activity: {beat.doing}" if beat is not None else ""
        return f"stuck: no heartbeat for {self._limit:g} s{doing}"


class Hangs:
    """Watches the watcher and kills it when it hangs, which counts as a crash.

    `has_events` says whether supervisord has sent an event that is not handled yet, and
    `has_written` whether a process has written its status: it may live although no beat arrives.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        path: Path,
        has_events: Callable[[], bool],
        has_written: Callable[[int], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._supervisor = supervisor
        self._path = path
        self._has_events = has_events
        self._has_written = has_written
        self._clock = clock
        self._receiver: BeatReceiver | None = None
        self.detector = HangDetector()
        self.ended: tuple[int, str] | None = None
        self.listen()

    def listen(self) -> None:
        """Make sure that the socket exists; silence while it did not exist does not count."""
        try:
            if self._receiver is None:
                self._receiver = BeatReceiver(self._path)
            elif not self._receiver.heal():
                return
            else:
                logger.warning("%s was removed and has been created again", self._path)
            self.detector.forgive(self._clock())
        except OSError as error:
            self._receiver = None
            self.detector.gone()
            logger.error("hangs cannot be detected: %s: %s", self._path, error)  # noqa: TRY400

    def descriptors(self) -> tuple[int, ...]:
        """The descriptors that become readable when a beat arrives."""
        return () if self._receiver is None else (self._receiver.fileno(),)

    def close(self) -> None:
        """Close the socket."""
        if self._receiver is not None:
            self._receiver.close()

    def receive_beats(self) -> None:
        """Read the received beats; call this before handling news of a process, which is newer."""
        if self._receiver is not None:
            for beat in self._receiver.beats():
                self.detector.beat(beat, self._clock())

    def look(self, overslept_seconds: float) -> None:
        """Kill the process if it hangs."""
        self.receive_beats()
        if overslept_seconds > STARVED_SECONDS:
            self.detector.forgive(self._clock())
        elif self.detector.is_stuck(self._clock()):
            self._end_unless_mistaken()

    def _end_unless_mistaken(self) -> None:
        try:
            info = self._supervisor.process(WATCHER)
            if self._has_events():
                return
            if not info.is_running:
                self.detector.gone()
            elif self._is_still_stuck(info.pid):
                self.ended = (info.pid, self.detector.explain())
                logger.error("%s (pid %d) is killed: %s", WATCHER, *self.ended)
                self._supervisor.call("supervisor.signalProcess", WATCHER, "KILL")
                self.detector.gone()
        except SupervisorError as error:
            logger.warning("cannot check %s, which is silent: %s", WATCHER, error)
            self.detector.forgive(self._clock())

    def _is_still_stuck(self, pid: int) -> bool:
        """Check again, after supervisord has answered and the socket is known to exist."""
        self.listen()
        self.receive_beats()
        last = self.detector.last
        if last is not None and last.pid != pid:
            self.detector.forgive(self._clock())
        if not self.detector.ever_heard and self._has_written(pid):
            self.detector.gone()
        return self.detector.is_stuck(self._clock())
