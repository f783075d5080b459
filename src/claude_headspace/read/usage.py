"""What was done and spent: sums of model calls and tool calls, and work by day and session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from claude_headspace.config.settings import Price
from claude_headspace.read.buckets import DAY_OF, days_between
from claude_headspace.read.connection import Reader
from claude_headspace.read.outline import PAUSE_SECONDS
from claude_headspace.read.paging import Page, Placed, page_of, read_cursor
from claude_headspace.read.selection import filters_of

TOKENS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
)
ENDS = ("ok", "error", "denied", "interrupted")
# The possible groupings, and their columns.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "day": ("day",),
    "project": ("host", "project"),
    "session": ("session_uuid", "project"),
    "total": (),
}
_COLUMNS = {"day": DAY_OF.format(at="started_at"), "session_uuid": "session_uuid::text"}
_SUMS: Mapping[str, Mapping[str, str]] = {
    "model": {"replies": "count(*)", **{name: f"sum({name})::bigint" for name in TOKENS}},
    "tool": {
        "calls": "count(*)",
        **{name: f"count(*) FILTER (WHERE outcome = '{name}')" for name in ENDS},
        "unanswered": "count(*) FILTER (WHERE outcome IS NULL)",
        "seconds": "sum(seconds)::float8",
        "result_bytes": "sum(result_bytes)::bigint",
    },
}


def add_up(
    reader: Reader, what: str, by: str, *, since: datetime | None, project_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Replies and tokens of each `model`, or calls of each `tool`, by one of GROUPS."""
    now = datetime.now(UTC)
    first = since or reader.value(f"SELECT min(started_at) FROM {what}_calls") or now
    asked = {
        "since": first, "until": "infinity", "projects": list(project_ids) or None,
        "skip": None, "rows": None, **_days(first, now + timedelta(days=1)),
    }  # fmt: skip
    order = ", ".join(str(number) for number in range(1, len(GROUPS[by]) + 2))
    return _sums(reader, what, GROUPS[by], order, asked)


def _sums(
    reader: Reader, what: str, groups: Sequence[str], order: str, asked: Mapping[str, Any]
) -> list[dict[str, Any]]:
    names, sums = [*groups, what], _SUMS[what]
    columns = ", ".join([*(_COLUMNS.get(name, name) for name in names), *sums.values()])
    keys = ", ".join(str(number + 1) for number in range(len(names)))
    rows = reader.rows(
        f"SELECT {columns} FROM {what}_usage"
        " WHERE started_at >= %(since)s AND started_at < %(until)s"
        " AND (%(projects)s::int[] IS NULL OR project_id = ANY (%(projects)s))"
        f" GROUP BY {keys} ORDER BY {order} OFFSET %(skip)s LIMIT %(rows)s",
        asked,
    )
    return [dict(zip([*names, *sums], row, strict=True)) for row in rows]


def _days(since: datetime, until: datetime) -> dict[str, Any]:
    edges = days_between(since, until)
    return {"edges": edges, "days": [edge.date() for edge in edges]}


def cost(prices: Mapping[str, Price], row: Mapping[str, Any]) -> float | None:
    """What a row of a model has cost; None where no price is given for it."""
    names = [name for name in prices if f"{row['model']}-".startswith(f"{name}-")]
    if not names:
        return None
    price = prices[max(names, key=len)]
    for_an_hour: int = row["cache_write_1h_tokens"]
    paid: float = (
        price.input * row["input_tokens"]
        + price.output * row["output_tokens"]
        + price.cache_read * row["cache_read_tokens"]
        + price.cache_write * (row["cache_write_tokens"] - for_an_hour)
        + price.cache_write_1h * for_an_hour
    )
    return paid / 1e6


class UsageQuestion(Placed, frozen=True):
    """A query for sums of token usage."""

    by: Literal["day", "project", "session", "model"] = "day"


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums of one model in one day (a local one), project or session; the other fields are None."""

    day: date | None
    project: str | None
    host: str | None
    session: str | None
    model: str
    replies: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int


_FIELDS = ("day", "project", "host", "session_uuid", "model", "replies", *TOKENS[:4])
# The columns of each grouping, and its order.
_LISTED = {
    "day": (("day",), '1 DESC, model COLLATE "C"'),
    "project": (("project", "host"), "coalesce(project, '') DESC, host, model"),
    "session": (("session_uuid", "project", "host"), "1 DESC, host, model"),
    "model": ((), "model DESC"),
}
# So many days are summed per query, from the newest back.
_STRETCH = timedelta(days=32)


def list_usage(reader: Reader, asked: UsageQuestion) -> Page[Usage]:
    """A page; by day, newest first."""
    filters = filters_of(reader, asked, None)
    if asked.by == "day":
        return _by_day(reader, asked, filters)
    skip = read_cursor(asked.cursor, int)[0] if asked.cursor else 0
    filters |= {"since": asked.since or "-infinity", "until": asked.until or "infinity"}
    rows = _usage(reader, asked.by, filters | {"skip": skip})
    return page_of(rows, asked.limit, lambda _: (skip + asked.limit,))


def _usage(reader: Reader, by: str, asked: Mapping[str, Any]) -> list[Usage]:
    rows = _sums(reader, "model", *_LISTED[by], asked)
    found: list[tuple[Any, ...]] = [tuple(map(row.get, _FIELDS)) for row in rows]
    return [Usage(*row) for row in found]


def _by_day(reader: Reader, asked: UsageQuestion, filters: Mapping[str, Any]) -> Page[Usage]:
    first, last = reader.rows("SELECT min(started_at), max(started_at) FROM model_calls")[0]
    if first is None:
        return Page(())
    first, last = (max(first, asked.since or first).astimezone().date(), last.astimezone().date())
    day, model = read_cursor(asked.cursor, date, str) if asked.cursor else (last, "")
    found: list[Usage] = []
    end = min(day, last) + timedelta(days=1)
    while end > first and len(found) <= asked.limit:
        begin = end - _STRETCH
        lo, hi = (datetime(each.year, each.month, each.day).astimezone() for each in (begin, end))
        since, until = max(lo, asked.since or lo), min(hi, asked.until or hi)
        stretch = {"since": since, "until": until, "skip": None, "rows": None, **_days(lo, hi)}
        rows = _usage(reader, "day", {**filters, **stretch})
        found += [row for row in rows if row.day != day or row.model > model]
        end = begin
    return page_of(found, asked.limit, lambda row: (row.day, row.model))


_MOMENTS = """
SELECT agent_id AS agent, timestamp AS at, 1 AS turn, (payload->>'actor' = 'user')::int AS prompt,
 0 AS called, 0 AS failed, 0 AS tokens FROM events WHERE event_type = 'turn_detected'
 AND retracted_at IS NULL AND NOT annotations ? 'copy_of' AND agent_id IS NOT NULL
 AND timestamp >= %(start)s AND timestamp < %(end)s
UNION ALL SELECT a.id, c.started_at, 0, 0, 1, (c.outcome IS NOT DISTINCT FROM 'error')::int, 0
 FROM tool_calls c JOIN agents a ON a.session_uuid = c.session_uuid
 WHERE c.copy_of IS NULL AND c.started_at >= %(start)s AND c.started_at < %(end)s
UNION ALL SELECT a.id, c.ended_at, 0, 0, 0, 0, 0
 FROM tool_calls c JOIN agents a ON a.session_uuid = c.session_uuid
 WHERE c.copy_of IS NULL AND c.started_at >= %(start)s AND c.ended_at < %(end)s
UNION ALL SELECT a.id, m.started_at, 0, 0, 0, 0, m.output_tokens
 FROM model_calls m JOIN agents a ON a.session_uuid = m.session_uuid
 WHERE m.started_at >= %(start)s AND m.started_at < %(end)s
"""
# The time between two happenings was work, unless it was a pause.
_WORKED = f"""
SELECT {DAY_OF.format(at="at")} AS day, agent, sum(turn), sum(prompt),
 sum(called), sum(failed), sum(tokens)::bigint,
 coalesce(sum(gap) FILTER (WHERE gap <= %(pause)s), 0)::float8
FROM (SELECT *, extract(epoch FROM at - lag(at) OVER (PARTITION BY agent ORDER BY at)) AS gap
 FROM ({_MOMENTS}) moment) step GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class DailyWork:
    """One session on one local day; `seconds` excludes longer pauses."""

    day: date
    agent_id: int
    turns: int = 0
    prompts: int = 0
    calls: int = 0
    failed: int = 0
    tokens_out: int = 0
    seconds: float = 0.0

    def __add__(self, other: DailyWork) -> DailyWork:
        """The sum of both."""
        names = ("turns", "prompts", "calls", "failed", "tokens_out", "seconds")
        sums = (getattr(self, name) + getattr(other, name) for name in names)
        return DailyWork(self.day, self.agent_id, *sums)


def work_between(reader: Reader, since: datetime, until: datetime) -> list[DailyWork]:
    """The work between two moments."""
    asked = {"start": since, "end": until, "pause": PAUSE_SECONDS, **_days(since, until)}
    return reader.fetch(DailyWork, _WORKED, asked)
