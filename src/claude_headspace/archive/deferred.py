"""A bounded queue of work that is due some time after it was added, earliest first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

# The most entries. The round finds what does not fit.
MOST = 1000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Deferred(Generic[K, V]):
    """Each key is due once, `delay` seconds after it was added."""

    def __init__(self, delay: float, most: int = MOST) -> None:
        self._delay = delay
        self._most = most
        self._entries: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def add(self, key: K, value: V) -> bool:
        """Add a key unless it is there already; False if there is no room."""
        if key in self._entries:
            return True
        if len(self._entries) >= self._most:
            return False
        self._entries[key] = (value, time.monotonic() + self._delay)
        return True

    def put_first(self, key: K, value: V, since: float | None = None) -> None:
        """Put a key before all others: due now, or since `since`."""
        self._entries[key] = (value, time.monotonic() if since is None else since)
        self._entries.move_to_end(key, last=False)

    def take(self, now: float) -> tuple[K, V, float] | None:
        """A key that is due, its value, and since when; None if none is due."""
        if self.first > now:
            return None
        key, (value, since) = self._entries.popitem(last=False)
        return key, value, since

    @property
    def first(self) -> float:
        """When, on the monotonic clock, the first key is due."""
        return next((due for _, due in self._entries.values()), float("inf"))

    def drop(self, key: K) -> None:
        """Remove a key."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Remove all keys."""
        self._entries.clear()
