"""Directories without notifications: a new name changes the directory's time."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from claude_headspace.discovery.listing import Look
from claude_headspace.discovery.walk import Budget
from claude_headspace.transcripts.checkpoint import as_stored

# The share of a core for these checks.
CORE_SECONDS = 0.0007


class UnwatchedDirectories:
    """Knows when each directory last changed, and checks some of them at a time."""

    def __init__(self, look_at: Look = os.stat) -> None:
        self._look_at = look_at
        self._changed_at: dict[str, int] = {}
        self._turn: Iterator[str] = iter(())

    @property
    def known(self) -> Collection[str]:
        """All of these directories."""
        return self._changed_at

    def note(self, directory: str, mtime_ns: int) -> None:
        """Record that a directory was listed, with its time of change."""
        self._changed_at[directory] = mtime_ns

    def forget(self, directory: str) -> None:
        """Forget a directory that is watched now, or gone."""
        self._changed_at.pop(directory, None)

    def clear(self) -> None:
        """Forget all, because all are watched."""
        self._changed_at.clear()

    def changed(self) -> Iterator[tuple[str, bool]]:
        """Check some in turn; returns the changed ones with True, unreadable ones with False."""
        budget = Budget(CORE_SECONDS)
        for _ in range(len(self._changed_at)):
            directory = next(self._turn, None)
            if directory is None:
                self._turn = iter(list(self._changed_at))
                continue
            if (seen := self._look(directory)) is not None:
                yield directory, seen
            if budget.spent:
                return

    def _look(self, directory: str) -> bool | None:
        known = self._changed_at.get(directory)
        try:
            found = self._look_at(directory)
        except OSError:
            return False
        return True if known is not None and as_stored(found.st_mtime_ns) != known else None
