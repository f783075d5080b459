"""Charts that the server draws: geometry for SVG; each bar links to a filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from claude_headspace.read.buckets import DAY, Buckets
from claude_headspace.web.words import clock, day, minute

WIDTH = 1000.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One part of the time: its count, and where it is drawn."""

    label: str
    count: int
    href: str
    x: float
    width: float
    height: float
    bad: float = 0
    on: bool = False


@dataclass(frozen=True, slots=True)
class Bars:
    """A histogram; `selected` is (x, width) of the filtered stretch of time."""

    bars: tuple[Bar, ...]
    ticks: list[str]
    most: int
    start: str
    end: str
    selected: tuple[float, float] | None = None


Link = Callable[[datetime, datetime], str]
Chosen = tuple[datetime | None, datetime | None]
ANY_TIME = (None, None)


def bars_of(
    buckets: Buckets,
    counts: Sequence[int],
    link: Link,
    *,
    failed: Sequence[int] | None = None,
    chosen: Chosen = ANY_TIME,
    height: float = 52,
) -> Bars:
    """The parts as bars, the tallest of this height; every bar that is not empty is visible."""
    most = max(counts, default=0)
    scale = height / most if most else 0
    bars = []
    for number, count in enumerate(counts):
        start, end = buckets.edges[number : number + 2]
        left, right = buckets.share(start) * WIDTH, buckets.share(end) * WIDTH
        bad = max(2.0, failed[number] * scale) if failed and failed[number] else 0.0
        bars.append(
            Bar(
                _label(start, end), count, link(start, end), round(left + 0.75, 1),
                round(max(1.0, right - left - 1.5), 1), round(max(3.0, count * scale), 1),
                round(bad, 1), _within(start, end, chosen),
            )
        )  # fmt: skip
    return Bars(
        tuple(bars), ticks_of(buckets, 4), most, buckets.start.isoformat(), buckets.end.isoformat(),
        _selected(buckets, chosen),
    )  # fmt: skip


def _within(start: datetime, end: datetime, chosen: Chosen) -> bool:
    since, until = chosen
    return chosen != ANY_TIME and (not since or end > since) and (not until or start < until)


def _selected(buckets: Buckets, chosen: Chosen) -> tuple[float, float] | None:
    since, until = chosen
    if chosen == ANY_TIME:
        return None
    left = buckets.share(since) * WIDTH if since else 0.0
    right = buckets.share(until) * WIDTH if until else WIDTH
    return round(left, 1), round(max(2.0, right - left), 1)


def _label(start: datetime, end: datetime) -> str:
    if end - start >= timedelta(seconds=DAY - 3700):
        return day(start)
    return f"{day(start)}, {minute(start)}" if start.second == 0 else clock(start)


def ticks_of(buckets: Buckets, parts: int) -> list[str]:
    """The labels of a time axis with so many equal parts, one more than parts."""
    whole = buckets.end - buckets.start
    days = whole > timedelta(days=2)
    moments = [(buckets.start + whole * n / parts).astimezone() for n in range(parts + 1)]
    return [f"{at.day} {at:%b}" if days else f"{at:%H:%M}" for at in moments]
