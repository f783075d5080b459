"""What the watcher has measured since its start: counts by kind, and durations.

Light to import, because the watcher's process imports it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias

import msgspec

from claude_headspace.events.dead_letter_reasons import REASONS

WRITE_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
LAG_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(slots=True)
class Histogram:
    """A histogram of durations in seconds.

    `counts` are of one bucket each, up to and including its bound; the last has no bound.
    """

    bounds: tuple[float, ...]
    counts: list[Count] = field(default_factory=list)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)
        if list(self.bounds) != sorted(set(self.bounds)) or not math.isfinite(self.sum):
            raise ValueError("the bounds of a histogram must increase, and its sum must be finite")
        if len(self.counts) != len(self.bounds) + 1:
            raise ValueError("a histogram needs one bucket more than bounds")

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def bound_of(self, share: float) -> float | None:
        """The bound that this share of all did not exceed; None without values or bound."""
        wanted = share * sum(self.counts)
        reached = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            reached += count
            if reached and reached >= wanted:
                return bound
        return None


@dataclass(slots=True)
class Measures:
    """Events written by type, dead letters by reason, and two durations.

    `write_seconds` is of whole batches, from the first try until they are durable. `lag_seconds` is
    of live events, from their own time until they are durable.
    """

    written: dict[str, Count] = field(default_factory=dict)
    rejected: dict[str, Count] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    write_seconds: Histogram = field(default_factory=lambda: Histogram(WRITE_BOUNDS))
    lag_seconds: Histogram = field(default_factory=lambda: Histogram(LAG_BOUNDS))

    @classmethod
    def from_json(cls, value: Any) -> Measures | None:
        """The measures in this JSON; None for anything else, which is not an error."""
        try:
            return msgspec.convert(value, cls)
        except msgspec.ValidationError:
            return None
