"""A stretch of time cut into equal parts of the calendar, for charts whose bars are filters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

# Round steps in seconds; from a day on they are days.
STEPS = (10, 30, 60, 180, 600, 1800, 3600, 3 * 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400)
DAY = 86400
EARLIEST = datetime(2024, 1, 1, tzinfo=UTC)
# In SQL the local day of a column, given the `edges` of days and the `days` that begin there.
DAY_OF = "(%(days)s::date[])[width_bucket({at}, %(edges)s::timestamptz[])]"


@dataclass(frozen=True, slots=True)
class Buckets:
    """Edges in the local time zone, one more than there are parts."""

    edges: tuple[datetime, ...]

    @property
    def start(self) -> datetime:
        """The first edge."""
        return self.edges[0]

    @property
    def end(self) -> datetime:
        """The last edge."""
        return self.edges[-1]

    @property
    def step(self) -> timedelta:
        """How long the first part is."""
        return self.edges[1] - self.edges[0]

    def spread(self, rows: Iterable[Sequence[Any]]) -> list[int]:
        """Counts per part, from rows of (number of the part from 1, count)."""
        counts = [0] * (len(self.edges) - 1)
        for number, count in rows:
            if 1 <= number <= len(counts):
                counts[number - 1] += int(count)
        return counts

    def share(self, moment: datetime) -> float:
        """The position of a moment, 0 at the start and 1 at the end."""
        whole = (self.end - self.start).total_seconds()
        return min(1.0, max(0.0, (moment - self.start).total_seconds() / whole))


def days_between(since: datetime, until: datetime) -> list[datetime]:
    """The edges of the days, local ones, from one moment to another."""
    edges, midnight = [since.astimezone()], _floor(since.astimezone(), DAY)
    while (midnight := _next(midnight, DAY)) < until:
        edges.append(midnight)
    return [*edges, until.astimezone()]


def buckets_between(start: datetime, end: datetime, most: int = 60) -> Buckets:
    """The stretch from start to end in about this many parts, with edges on round local times.

    It does not begin before there were transcripts, nor end long after now.
    """
    latest = datetime.now(UTC) + timedelta(days=366)
    start, end = (min(max(each, EARLIEST), latest) for each in (start, end))
    seconds = max(1.0, (end - start).total_seconds())
    step = next((step for step in STEPS if seconds / step <= most), STEPS[-1])
    edges = [_floor(start.astimezone(), step)]
    while len(edges) == 1 or (edges[-1] < end and len(edges) <= 4 * most):
        edges.append(_next(edges[-1], step))
    return Buckets(tuple(edges))


def _floor(moment: datetime, step: int) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if step >= DAY:
        return midnight
    return midnight + timedelta(seconds=(moment - midnight).total_seconds() // step * step)


def _next(edge: datetime, step: int) -> datetime:
    """The next edge; for days, at the same local time."""
    if step < DAY:
        return edge + timedelta(seconds=step)
    return (edge.replace(tzinfo=None) + timedelta(seconds=step)).astimezone()
