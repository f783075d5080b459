"""Recently written files: checked often, those of the last day in turn."""

from __future__ import annotations

import time
from collections import OrderedDict
from itertools import islice

HOT_SECONDS = 600.0
HOT_FILES = 100
WARM_SECONDS = 86_400.0
WARM_FILES = 2_000
# How many of the last day's files are checked each time.
WARM_SHARE = 50


class Recent:
    """Paths with the time of their last write, in epoch seconds."""

    def __init__(self) -> None:
        self._hot: OrderedDict[str, float] = OrderedDict()
        self._warm: OrderedDict[str, float] = OrderedDict()

    def note(self, path: str, when: float | None = None) -> None:
        """Record a write to a path, now or earlier."""
        now = time.time()
        when = now if when is None else min(when, now)
        if now - when > WARM_SECONDS or when <= max(
            self._hot.get(path, 0), self._warm.get(path, 0)
        ):
            return
        self._warm.pop(path, None)
        if now - when <= HOT_SECONDS:
            self._hot[path] = when
            self._hot.move_to_end(path)
        else:
            self._warm[path] = when
        self._keep_few()

    def _keep_few(self) -> None:
        while len(self._hot) > HOT_FILES:
            path, when = self._hot.popitem(last=False)
            self._warm[path] = when
        while len(self._warm) > WARM_FILES:
            self._warm.popitem(last=False)

    def discard(self, path: str) -> None:
        """Drop a path that no longer exists."""
        self._hot.pop(path, None)
        self._warm.pop(path, None)

    def take(self) -> list[str]:
        """The files to check this time."""
        now = time.time()
        for path, when in [(p, w) for p, w in self._hot.items() if now - w > HOT_SECONDS]:
            del self._hot[path]
            self._warm[path] = when
        self._keep_few()
        warm = list(islice(self._warm, WARM_SHARE))
        for path in warm:
            if now - self._warm[path] > WARM_SECONDS:
                del self._warm[path]
            else:
                self._warm.move_to_end(path)
        return [*self._hot, *warm]
