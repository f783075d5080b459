"""A cache of what was read about sessions, valid until their next line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

MOST_KEPT = 5000

Key = TypeVar("Key")
Value = TypeVar("Value")


class LineCache(Generic[Key, Value]):
    """Values by keys that contain the time of the session's last line."""

    def __init__(self) -> None:
        self._known: dict[Key, Value] = {}

    def of(
        self, keys: Sequence[Key], read: Callable[[list[Key]], Mapping[Key, Value]]
    ) -> dict[Key, Value]:
        """The value of each key; `read` returns those that are not known."""
        known = {key: self._known[key] for key in keys if key in self._known}
        new = [key for key in keys if key not in known]
        fresh = read(new) if new else {}
        if len(self._known) > MOST_KEPT:
            self._known = {}
        self._known.update(fresh)
        return {**known, **fresh}
