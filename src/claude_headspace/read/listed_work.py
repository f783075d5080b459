"""Tool calls and token usage as flat rows for programs; the names of their fields are stable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from msgspec import Struct

from claude_headspace.errors import BadQuestion
from claude_headspace.read.buckets import DAY_OF, days_between
from claude_headspace.read.connection import Reader
from claude_headspace.read.listed_sessions import Name, Path
from claude_headspace.read.paging import (
    PAGE_ROWS,
    Cursor,
    Limit,
    Moment,
    Page,
    Until,
    page_of,
    read_cursor,
    write_cursor,
)
from claude_headspace.read.selection import filters_of


class ToolQuestion(Struct, frozen=True):
    """A filter of tool calls; None or empty means any."""

    session: Name | None = None
    project: Path | None = None
    host: str | None = None
    tool: tuple[str, ...] = ()
    outcome: tuple[Literal["ok", "error", "denied", "interrupted", "open"], ...] = ()
    since: Moment | None = None
    until: Until | None = None
    cursor: Cursor | None = None
    limit: Limit = PAGE_ROWS


@dataclass(frozen=True, slots=True)
class ListedCall:
    """One call; `outcome` is None until it ends. `input` is JSON, cut if it is long."""

    id: str
    session: str
    project: str | None
    host: str | None
    tool: str
    subagent: str | None
    input: str
    input_bytes: int
    input_whole: bool
    started_at: datetime
    ended_at: datetime | None
    seconds: float | None
    outcome: str | None
    result_bytes: int | None


_CALLS = (
    "SELECT tool_use_id, session_uuid::text, project, host, tool, subagent, input, input_bytes,"
    " input_whole, started_at, ended_at, seconds, outcome, result_bytes FROM tool_usage"
    " WHERE {conditions} ORDER BY started_at DESC, tool_use_id DESC LIMIT %(rows)s"
)


def list_calls(reader: Reader, asked: ToolQuestion) -> Page[ListedCall]:
    """A page, newest first; a call that a fork repeats is listed once."""
    conditions, values = _placed(reader, asked)
    if asked.tool:
        conditions.append("tool = ANY (%(tools)s)")
        values["tools"] = list(asked.tool)
    if asked.outcome:
        conditions.append("coalesce(outcome, 'open') = ANY (%(outcomes)s)")
        values["outcomes"] = list(asked.outcome)
    if asked.cursor is not None:
        conditions.append("(started_at, tool_use_id) < (%(at)s, %(id)s)")
        values["at"], values["id"] = read_cursor(asked.cursor, datetime, str)
    sql = _CALLS.format(conditions=" AND ".join(conditions))
    rows = reader.fetch(ListedCall, sql, {**values, "rows": asked.limit + 1})
    return page_of(rows, asked.limit, lambda call: (call.started_at, call.id))


class UsageQuestion(Struct, frozen=True):
    """A query for sums of token usage."""

    by: Literal["day", "project", "session", "model"] = "day"
    project: Path | None = None
    host: str | None = None
    since: Moment | None = None
    until: Until | None = None
    cursor: Cursor | None = None
    limit: Limit = PAGE_ROWS


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


_DAY = DAY_OF.format(at="started_at")
_GROUPS = {
    "day": (f"({_DAY})::text", f"{_DAY}, NULL, NULL, NULL"),
    "project": ("coalesce(project, '')", "NULL::date, project, host, NULL"),
    "session": ("session_uuid::text", "NULL::date, project, host, session_uuid::text"),
    "model": ("model", "NULL::date, NULL, NULL, NULL"),
}
_USAGE = (
    "SELECT {columns}, model, count(*), sum(input_tokens)::bigint, sum(output_tokens)::bigint,"
    " sum(cache_read_tokens)::bigint, sum(cache_write_tokens)::bigint FROM model_usage"
    " WHERE {conditions} GROUP BY {key}, 1, 2, 3, 4, model ORDER BY {key} DESC, 3, model"
    " OFFSET %(skip)s LIMIT %(rows)s"
)
# So many days are summed per query, from the newest back.
_STRETCH = timedelta(days=32)


def list_usage(reader: Reader, asked: UsageQuestion) -> Page[Usage]:
    """A page; by day, newest first."""
    conditions, values = _placed(reader, asked)
    if asked.by == "day":
        return _by_day(reader, asked, conditions, values)
    skip = read_cursor(asked.cursor, int)[0] if asked.cursor else 0
    sql = _usage_sql(asked, conditions)
    rows = reader.fetch(Usage, sql, {**values, "skip": skip, "rows": asked.limit + 1})
    return page_of(rows, asked.limit, lambda _: (skip + asked.limit,))


def _usage_sql(asked: UsageQuestion, conditions: list[str]) -> str:
    key, columns = _GROUPS[asked.by]
    return _USAGE.format(key=key, columns=columns, conditions=" AND ".join(conditions))


def _by_day(
    reader: Reader, asked: UsageQuestion, conditions: list[str], values: dict[str, Any]
) -> Page[Usage]:
    """The cursor is a day, and how many of its rows were on earlier pages."""
    row = reader.first("SELECT min(started_at), max(started_at) FROM model_calls")
    if row is None or row[0] is None:
        return Page(())
    day, skip = read_cursor(asked.cursor, str, int) if asked.cursor else ("", 0)
    end = _day(day) if day else row[1].astimezone().date()
    sql = _usage_sql(asked, [*conditions, "started_at >= %(lo)s AND started_at < %(hi)s"])
    found: list[Usage] = []
    oldest, hi = row[0].astimezone().date(), end + timedelta(days=1)
    while hi > oldest and len(found) <= asked.limit:
        lo = hi - _STRETCH
        edges = days_between(_midnight(lo), _midnight(hi))
        stretch = {
            "lo": edges[0], "hi": edges[-1], "skip": 0 if found else skip,
            "edges": edges, "days": [edge.date() for edge in edges],
        }  # fmt: skip
        found += reader.fetch(Usage, sql, {**values, **stretch, "rows": asked.limit + 1})
        hi, skip = lo, 0
    page = page_of(found, asked.limit, lambda last: (str(last.day), 0))
    if page.next is None:
        return page
    last = page.rows[-1].day
    before = sum(each.day == last for each in page.rows)
    before += read_cursor(asked.cursor, str, int)[1] if asked.cursor and str(last) == day else 0
    return Page(page.rows, write_cursor((str(last), before)))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadQuestion(
            "cursor", f"{text!r} is not a cursor of this list: start without one"
        ) from error


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day).astimezone()


def _placed(
    reader: Reader, asked: ToolQuestion | UsageQuestion
) -> tuple[list[str], dict[str, Any]]:
    """The filters that calls and usage share."""
    return filters_of(reader, asked, at="started_at", session="session_uuid", project="project_id")
