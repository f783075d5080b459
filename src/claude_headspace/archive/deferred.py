"""What is to be done a while after it was asked for, the earliest first; no more than so much."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

# As many entries are held. What finds no room is found by the round.
MOST = 1000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Deferred(Generic[K, V]):
    """Each key comes up once, `delay` seconds after it was added; every step takes one time."""

    def __init__(self, delay: float, most: int = MOST) -> None:
        self._delay = delay
        self._most = most
        self._entries: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def add(self, key: K, value: V) -> bool:
        """Have it come up, unless it is there already; False where there is no room."""
        if key in self._entries:
            return True
        if len(self._entries) >= self._most:
            return False
        self._entries[key] = (value, time.monotonic() + self._delay)
        return True

    def put_first(self, key: K, value: V, since: float | None = None) -> None:
        """Have it come up before all others: now, or as what had come up at `since`."""
        self._entries[key] = (value, time.monotonic() if since is None else since)
        self._entries.move_to_end(key, last=False)

    def take(self, now: float) -> tuple[K, V, float] | None:
        """What has come up, what was given for it, and since when; None where nothing has."""
        if self.first > now:
            return None
        key, (value, since) = self._entries.popitem(last=False)
        return key, value, since

    @property
    def first(self) -> float:
        """When, on the monotonic clock, the first comes up."""
        return next((due for _, due in self._entries.values()), float("inf"))

    def drop(self, key: K) -> None:
        """Have it not come up."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Drop all."""
        self._entries.clear()
