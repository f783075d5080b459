"""The guard's record of restarts on disk, which survives its death and a reload."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from claude_headspace.health.status_file import write_private
from claude_headspace.machine import boot_id

FILE_NAME = "guard.json"


class RestartMemory:
    """Moments of the monotonic clock, stored so that a later process can check and convert them."""

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
