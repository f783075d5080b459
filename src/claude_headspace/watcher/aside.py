"""What failed by a fault of its own: left alone, and tried again after pauses that grow."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0

Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True)
class _Fault:
    reason: str
    pause: float
    due: float


class Aside(Generic[Key]):
    """Things by their names, why each was set aside, and when it is tried again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._faults: dict[Key, _Fault] = {}

    def __len__(self) -> int:
        return len(self._faults)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._faults)

    @property
    def first(self) -> tuple[Key, str] | None:
        """The one that was set aside longest ago, and why."""
        return next(((key, fault.reason) for key, fault in self._faults.items()), None)

    @property
    def due(self) -> float | None:
        """When the next one is to be tried again."""
        return min((fault.due for fault in self._faults.values()), default=None)

    def put(self, key: Key, reason: str) -> bool:
        """Set one aside; whether its reason is news."""
        known = self._faults.get(key)
        pause = min(known.pause * 2, LONGEST_PAUSE_SECONDS) if known else FIRST_PAUSE_SECONDS
        self._faults[key] = _Fault(reason, pause, self._clock() + pause)
        return known is None or known.reason != reason

    def waits(self, key: Key) -> bool:
        """Whether it is not yet time to try this one again."""
        fault = self._faults.get(key)
        return fault is not None and fault.due > self._clock()

    def settle(self, key: Key) -> None:
        """It went well, or is gone."""
        self._faults.pop(key, None)

    def keep(self, keys: Collection[Key]) -> None:
        """Of all others nothing is to be tried any more."""
        for key in set(self._faults).difference(keys):
            del self._faults[key]
