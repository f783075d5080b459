"""Sums of tool calls and model calls by day, project, session and more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Float, Select, cast, column, func, select, table

from claude_headspace.config.settings import Price

TOKENS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
)
# The possible groupings, and their columns.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "day": ("day",),
    "project": ("host", "project"),
    "session": ("session_uuid", "project"),
    "total": (),
}
_PLACE = ("started_at", "day", "host", "project", "project_id", "session_uuid")
_model_usage = table("model_usage", *map(column, (*_PLACE, "model", *TOKENS)))
_tool_usage = table(
    "tool_usage", *map(column, (*_PLACE, "tool", "outcome", "seconds", "result_bytes"))
)


def usage(
    connection: Connection, by: str, *, since: datetime | None, project_ids: Sequence[int]
) -> Sequence[Mapping[Any, Any]]:
    """Replies and tokens by one of GROUPS and by model."""
    view = _model_usage.c
    sums = [cast(func.sum(view[name]), BigInteger).label(name) for name in TOKENS]
    names = (*GROUPS[by], "model")
    chosen = select(*(view[name] for name in names), func.count().label("replies"), *sums)
    return _rows(connection, chosen, _model_usage.c, names, since, project_ids)


def tools(
    connection: Connection, by: str, *, since: datetime | None, project_ids: Sequence[int]
) -> Sequence[Mapping[Any, Any]]:
    """Calls by one of GROUPS and by tool: how they ended, and how long they took."""
    view = _tool_usage.c
    names = (*GROUPS[by], "tool")
    ended = [
        func.count().filter(view.outcome == outcome).label(outcome)
        for outcome in ("ok", "error", "denied", "interrupted")
    ]
    chosen = select(
        *(view[name] for name in names), func.count().label("calls"), *ended,
        func.count().filter(view.outcome.is_(None)).label("unanswered"),
        cast(func.sum(view.seconds), Float).label("seconds"),
        cast(func.sum(view.result_bytes), BigInteger).label("result_bytes"),
    )  # fmt: skip
    return _rows(connection, chosen, view, names, since, project_ids)


def _rows(
    connection: Connection,
    chosen: Select[Any],
    view: Any,
    names: Sequence[str],
    since: datetime | None,
    project_ids: Sequence[int],
) -> Sequence[Mapping[Any, Any]]:
    if since is not None:
        chosen = chosen.where(view.started_at >= since)
    if project_ids:
        chosen = chosen.where(view.project_id.in_(project_ids))
    columns = [view[name] for name in names]
    return connection.execute(chosen.group_by(*columns).order_by(*columns)).mappings().all()


def cost(prices: Mapping[str, Price], row: Mapping[Any, Any]) -> float | None:
    """The cost of a row of `usage`; None if its model has no price."""
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
