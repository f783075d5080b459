"""What the watcher measures since its start: counts by kind, and how long things took.

Standard library only: the watcher's own process imports this.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WRITE_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
LAG_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
REJECTION_REASONS = ("damaged", "identity", "poison", "refused", "timestamp", "too_long")


@dataclass(slots=True)
class Histogram:
    """How often something took how many seconds.

    `counts` are of one bucket each, up to and including its bound; the last has no bound.
    """

    bounds: Sequence[float]
    counts: list[int] = field(default_factory=list)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def bound_of(self, share: float) -> float | None:
        """The bound that this share of all did not exceed; None for nothing, or beyond all."""
        wanted = share * sum(self.counts)
        reached = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            reached += count
            if reached and reached >= wanted:
                return bound
        return None

    @classmethod
    def from_json(cls, value: Any) -> Histogram:
        """Raises ValueError for anything but a histogram."""
        found = _mapping(value)
        bounds = [_number(bound) for bound in _list(found.get("bounds"))]
        counts = [_count(count) for count in _list(found.get("counts"))]
        if bounds != sorted(set(bounds)) or len(counts) != len(bounds) + 1:
            raise ValueError("a histogram whose buckets do not fit")
        return cls(tuple(bounds), counts, _number(found.get("sum")))


@dataclass(slots=True)
class Measures:
    """Events written by type, dead letters by reason, and two durations.

    `write_seconds` is of whole batches, from the first try to what is durable. `lag_seconds` is
    of live events, from their own time to when they are durable.
    """

    written: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REJECTION_REASONS, 0))
    write_seconds: Histogram = field(default_factory=lambda: Histogram(WRITE_BOUNDS))
    lag_seconds: Histogram = field(default_factory=lambda: Histogram(LAG_BOUNDS))

    @classmethod
    def from_json(cls, value: Any) -> Measures | None:
        """What was written as JSON; None for anything else, which is no reason to worry."""
        try:
            found = _mapping(value)
            return cls(
                _counts(found.get("written")),
                _counts(found.get("rejected")),
                Histogram.from_json(found.get("write_seconds")),
                Histogram.from_json(found.get("lag_seconds")),
            )
        except ValueError:
            return None


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"not an object: {value!r:.40}")  # noqa: TRY004  one kind of refusal
    return value


def _counts(value: Any) -> dict[str, int]:
    return {kind: _count(count) for kind, count in _mapping(value).items()}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"not a list: {value!r:.40}")  # noqa: TRY004  as above
    return value


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"not a count: {value!r:.40}")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"not a number: {value!r:.40}")
    return float(value)
