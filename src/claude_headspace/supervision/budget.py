"""How many restarts are left: at most `limit` in any window, whatever the mix of deaths."""

from __future__ import annotations

from collections.abc import Iterable

WINDOW_SECONDS = 60.0


class RestartBudget:
    """A sliding window over the restarts granted; times are seconds of one monotonic clock."""

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
        """Whether one more restart now would be one too many."""
        return self.used(now) >= self.limit

    def grant(self, now: float) -> int:
        """Count a restart; return its number within the window."""
        self._forget(now)
        self._granted.append(now)
        return len(self._granted)

    def granted(self) -> tuple[float, ...]:
        """The restarts still remembered, oldest first."""
        return tuple(self._granted)

    def _forget(self, now: float) -> None:
        self._granted = [moment for moment in self._granted if now - moment < self.window_seconds]
