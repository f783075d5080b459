"""Scanning without an index: from the newest back, for a limited time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from claude_headspace.errors import QuestionTooLong
from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import Item, Key, Looked, Page, page_of, write_cursor
from claude_headspace.store.connection import Row

SEARCH_SECONDS = 1.0
STATEMENT_SECONDS = 0.5
SHORTEST = timedelta(minutes=15)
LONGEST = timedelta(days=16)
# After a faster stretch the next one is longer, after a slower one it is shorter.
_QUICK, _SLOW = 0.05, 0.2
_GROWTH = 4
_INSTANT = timedelta(microseconds=1)
_BOUNDS = (
    "SELECT least(min(timestamp), (SELECT min(started_at) FROM tool_calls)),"
    " greatest(max(timestamp), (SELECT max(last_seen_at) FROM agents)) FROM events"
)


class Stretches:
    """(begin, end) of stretches of time, from the newest back.

    `reached` is how far back the scan was complete; `unfinished` says whether the time was up
    before the scan was.
    """

    def __init__(
        self,
        reader: Reader,
        newest: datetime,
        oldest: datetime,
        seconds: float,
        first: timedelta,
    ) -> None:
        self._reader = reader
        self._until = time.monotonic() + seconds
        self._span = max(first, SHORTEST)
        self._oldest = oldest
        self._failed = False
        self._growth: float | None = None
        self.reached = newest
        self.unfinished = False

    def rows(self, statement: str, values: Mapping[str, Any]) -> list[Row]:
        """Rows of a statement about the current stretch; none if it takes too long. The next
        stretch is then the newer part of the same one.
        """
        try:
            return self._reader.rows(statement, values, STATEMENT_SECONDS)
        except QuestionTooLong:
            if self._span <= SHORTEST:
                raise
            self._failed = True
            return []

    def page(
        self,
        limit: int,
        look: Callable[[dict[str, Any]], list[Row]],
        make: Callable[[Row], Item],
        key: Callable[[Item], Key],
        least: int | str = 0,
    ) -> Page[Item]:
        """A page of what `look` finds between `lo` and `hi`, at most `rows`.

        `least` comes before the second part of every key: the next page begins at a moment.
        """
        found: list[Row] = []
        for lo, hi in self:
            found += look({"lo": lo, "hi": hi, "rows": limit + 1 - len(found)})
            if len(found) > limit:
                break
        page = page_of(list(map(make, found)), limit, key)
        if page.next or not self.unfinished:
            return page
        return Page(page.rows, write_cursor((self.reached, least)), Looked(back_to=self.reached))

    def grow(self, factor: float) -> None:
        """Make the next stretch this many times as long, however long this one took."""
        self._growth = factor

    def __iter__(self) -> Iterator[tuple[datetime, datetime]]:
        """Stretches until the time is up; at least one."""
        while self.reached > self._oldest:
            began = time.monotonic()
            begin = max(self._oldest, self.reached - self._span)
            yield begin, self.reached
            took = time.monotonic() - began
            if not self._failed:
                self.reached = begin
            self._adapt(took)
            if time.monotonic() > self._until:
                self.unfinished = self.reached > self._oldest
                return

    def _adapt(self, took: float) -> None:
        if self._growth and not self._failed:
            self._span *= min(self._growth, (self.reached - self._oldest) / self._span + 1)
        elif self._failed or took > _SLOW:
            self._span = max(min(self._span, LONGEST) / _GROWTH, SHORTEST)
        elif took < _QUICK:
            self._span = min(self._span * _GROWTH, LONGEST)
        self._failed, self._growth = False, None


def stretches_of(
    reader: Reader,
    asked: Mapping[str, Any],
    seconds: float = SEARCH_SECONDS,
    *,
    whole: bool = False,
    bounds: str = _BOUNDS,
) -> Stretches:
    """The stretches from `since` to `until`, back from the moment `at` (included).

    With `whole`, the first stretch is the whole time. `bounds` returns the oldest and the newest
    moment, and may return where the first stretch begins, which ends at %(end)s.
    """
    ends = [end for end in (asked["until"], asked["at"] and asked["at"] + _INSTANT) if end]
    oldest, newest, *begin = reader.rows(bounds, {"end": min(ends, default=None)})[0]
    if oldest is None or newest is None:
        oldest = newest = datetime.fromtimestamp(0, UTC)
    end, oldest = min([newest + _INSTANT, *ends]), max(oldest, asked["since"] or oldest)
    first = oldest if whole else next(filter(None, begin), end)
    return Stretches(reader, end, oldest, seconds, end - first)
