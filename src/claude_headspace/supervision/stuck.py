"""Whether a process that was beating has fallen silent."""

from __future__ import annotations

SILENCE_SECONDS = 3.0
FIRST_BEAT_SECONDS = 30.0
STARVED_SECONDS = 1.0


class SilenceTimer:
    """Armed by a beat; times are seconds of one monotonic clock.

    A new process has much longer for its first beat, and no limit at all until some process has
    been heard: without that, silence may only mean that nobody passes the beats on.
    """

    def __init__(self) -> None:
        self.deadline: float | None = None
        self._heard = False
        self._silence = SILENCE_SECONDS

    @property
    def limit_seconds(self) -> float:
        """The silence that counts as stuck at present."""
        return self._silence

    def started(self, now: float) -> None:
        """A new process."""
        self._silence = FIRST_BEAT_SECONDS
        self.deadline = now + self._silence if self._heard else None

    def beat(self, now: float) -> None:
        """A sign of life."""
        self._heard = True
        self._silence = SILENCE_SECONDS
        self.deadline = now + self._silence

    def gone(self) -> None:
        """The process ended or is being stopped."""
        self.deadline = None

    def forgive(self, now: float) -> None:
        """Begin the wait anew, because it was ourselves who were not listening."""
        if self.deadline is not None:
            self.deadline = now + self._silence

    def is_silent(self, now: float) -> bool:
        """Whether the process has been silent for too long."""
        return self.deadline is not None and now >= self.deadline
