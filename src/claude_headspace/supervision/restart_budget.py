"""The restart budget: at most `limit` restarts in any window, for whatever reason."""

from __future__ import annotations

from collections.abc import Iterable

WINDOW_SECONDS = 60.0


class RestartBudget:
    """A sliding window over granted restarts; times are seconds of one monotonic clock."""

    def __init__(
        self, limit: int, window_seconds: float = WINDOW_SECONDS, granted: Iterable[float] = ()
    ) -> None:
        self.limit = limit
        self.window_seconds = window_seconds
        self._granted = sorted(granted)

    def used(self, now: float) -> int:
        """Restarts granted in the window that ends now."""
        self._forget(now)
        return len(self._granted)

    def is_spent(self, now: float) -> bool:
        """Whether another restart now would exceed the limit."""
        return self.used(now) >= self.limit

    def grant(self, now: float) -> int:
        """Count a restart; return its number within the window."""
        self._forget(now)
        self._granted.append(now)
        return len(self._granted)

    def granted(self) -> tuple[float, ...]:
        """The restarts in the window, oldest first."""
        return tuple(self._granted)

    def _forget(self, now: float) -> None:
        self._granted = [moment for moment in self._granted if now - moment < self.window_seconds]
