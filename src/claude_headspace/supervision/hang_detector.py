"""Whether a process hangs: its heartbeats stopped, or report that it is overdue."""

from __future__ import annotations

from claude_headspace.supervision.beats import Beat

SILENCE_SECONDS = 3.0
FIRST_BEAT_SECONDS = 30.0
STARVED_SECONDS = 1.0


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
        self._begin(FIRST_BEAT_SECONDS, now)

    def beat(self, beat: Beat, now: float) -> None:
        """A heartbeat has arrived."""
        self.armed(now)
        self.last = beat

    def armed(self, now: float) -> None:
        """Whether the process has sent a beat."""
        self.ever_heard = True
        self._limit = SILENCE_SECONDS
        self.deadline = now + self._limit

    def gone(self) -> None:
        """The process has ended or is being stopped."""
        self._begin(SILENCE_SECONDS, None)

    def forgive(self, now: float) -> None:
        """Start the wait again, because beats were not received."""
        self.last = None
        if self.deadline is not None:
            self.deadline = now + self._limit

    def is_stuck(self, now: float) -> bool:
        """Whether the process has been silent, or has done one thing, for too long."""
        return self.is_overdue or (self.deadline is not None and now >= self.deadline)

    @property
    def is_overdue(self) -> bool:
        """Whether the last beat reported that the work takes longer than announced."""
        return self.last is not None and self.last.overdue

    def explain(self) -> str:
        """What is wrong with a stuck process."""
        beat = self.last
        if beat is not None and beat.overdue:
            return f"stuck: {beat.doing} has taken {beat.seconds:.1f} s (limit: {beat.limit:g} s)"
        doing = f"; last activity: {beat.doing}" if beat is not None else ""
        return f"stuck: no heartbeat for {self._limit:g} s{doing}"

    def _begin(self, limit: float, now: float | None) -> None:
        self.last = None
        self._limit = limit
        self.deadline = None if now is None else now + limit
