"""The restart limit, at most `limit` restarts in any window, and its record on disk."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from claude_headspace.health.status_file import write_private
from claude_headspace.machine import boot_id

WINDOW_SECONDS = 60.0
FILE_NAME = "guard.json"


class RestartLimit:
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


class SavedRestarts:
    """The restarts on disk, which outlive the guard's death and a reload.

    Moments of the monotonic clock, stored so that a later process can check and convert them.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        boot: Callable[[], str] = boot_id,
    ) -> None:
        self._path = path
        self._clock = clock
        self._wall_clock = wall_clock
        self._boot = boot

    def save(self, moments: Iterable[float]) -> None:
        """Raises OSError when the file cannot be written."""
        offset = self._wall_clock() - self._clock()
        saved = {"boot": self._boot(), "wall_offset": offset, "restarts": list(moments)}
        write_private(self._path, json.dumps(saved) + "\n")

    def load(self) -> tuple[float, ...]:
        """The moments in this process's clock; none if they cannot be trusted."""
        try:
            saved = json.loads(self._path.read_text("utf-8"))
            moments = [float(moment) for moment in saved["restarts"]]
            shift = self._shift(str(saved["boot"]), float(saved["wall_offset"]))
        except (OSError, ValueError, KeyError, TypeError):
            return ()
        now = self._clock()
        return tuple(moment + shift for moment in moments if moment + shift <= now)

    def _shift(self, boot: str, wall_offset: float) -> float:
        """Seconds to add: 0 within one boot, else the difference of the wall clocks."""
        if boot and boot == self._boot():
            return 0.0
        return wall_offset - (self._wall_clock() - self._clock())
