"""Sums of model calls and tool calls: by day, project or session, or in total."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from claude_headspace.config.settings import Price
from claude_headspace.read.buckets import DAY_OF, days_between
from claude_headspace.read.connection import Reader

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
    days = days_between(first, now + timedelta(days=1)) if by == "day" else []
    names, sums = [*GROUPS[by], what], _SUMS[what]
    keys = ", ".join(str(number + 1) for number in range(len(names)))
    columns = ", ".join([*(_COLUMNS.get(name, name) for name in names), *sums.values()])
    rows = reader.rows(
        f"SELECT {columns} FROM {what}_usage WHERE started_at >= %(first)s"
        " AND (%(projects)s::int[] IS NULL OR project_id = ANY (%(projects)s))"
        f" GROUP BY {keys} ORDER BY {keys}",
        {
            "first": first,
            "projects": list(project_ids) or None,
            "edges": days,
            "days": [day.date() for day in days],
        },
    )
    return [dict(zip([*names, *sums], row, strict=True)) for row in rows]


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
