"""A listing in slices."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from claude_headspace.discovery.listing import Listing, Sighting

# The longest time of a slice, and the share of a core for slices.
SLICE_SECONDS = 0.01
SLICE_CORE_SECONDS = 0.0015


class Walk:
    """A listing in progress."""

    def __init__(self, directories: Sequence[str], listing: Listing, *, deep: bool) -> None:
        self._directories = directories
        self._deep = deep
        self.listing = listing
        self._slices = iter(listing)

    def next(self) -> list[Sighting] | None:
        """The next slice; None at the end."""
        return next(self._slices, None)

    def covers(self, path: str) -> bool:
        """Whether the listing includes this path."""
        if path in self._directories:
            return True
        return self._deep and any(
            path.startswith(directory.rstrip(os.sep) + os.sep) for directory in self._directories
        )


class Budget:
    """Limits work to a share of a core and a short time."""

    def __init__(self, core_seconds: float) -> None:
        self._core_end = time.thread_time() + core_seconds
        self._end = time.monotonic() + SLICE_SECONDS

    @property
    def spent(self) -> bool:
        """Whether the time is up."""
        return time.thread_time() > self._core_end or time.monotonic() > self._end
