"""Calls of tools and usage of models as flat rows, for programs; their names stay."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from claude_headspace.read.connection import Reader
from claude_headspace.read.listed import Name, Path
from claude_headspace.read.paging import (
    PAGE_ROWS,
    Cursor,
    Limit,
    Moment,
    Page,
    Until,
    page_of,
    read_cursor,
)
from claude_headspace.read.selection import find_projects, find_session


@dataclass(frozen=True, slots=True)
class ToolQuestion:
    """Which calls of tools; what is None or empty does not matter."""

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
    """One call; `outcome` is None while it is out. `input` is JSON, of a long one the beginning."""

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
    """A page, newest first; a call that a fork repeats is there once."""
    conditions, values = _placed(reader, asked)
    if asked.session is not None:
        conditions.append("session_uuid = %(session)s::uuid")
        values["session"] = find_session(reader, asked.session).uuid
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


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """What models were used for, added up."""

    by: Literal["day", "project", "session", "model"] = "day"
    project: Path | None = None
    host: str | None = None
    since: Moment | None = None
    until: Until | None = None
    cursor: Cursor | None = None
    limit: Limit = PAGE_ROWS


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums of one model in one day (of UTC), project or session; what it is not by is None."""

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


_GROUPS = {
    "day": ("day::text", "day, NULL, NULL, NULL"),
    "project": ("coalesce(project, '')", "NULL::date, project, host, NULL"),
    "session": ("session_uuid::text", "NULL::date, project, host, session_uuid::text"),
    "model": ("model", "NULL::date, NULL, NULL, NULL"),
}


def list_usage(reader: Reader, asked: UsageQuestion) -> Page[Usage]:
    """A page; by day the newest first."""
    conditions, values = _placed(reader, asked)
    skip = read_cursor(asked.cursor, int)[0] if asked.cursor else 0
    key, columns = _GROUPS[asked.by]
    sql = (
        f"SELECT {columns}, model, count(*), sum(input_tokens)::bigint,"
        " sum(output_tokens)::bigint, sum(cache_read_tokens)::bigint,"
        f" sum(cache_write_tokens)::bigint FROM model_usage WHERE {' AND '.join(conditions)}"
        f" GROUP BY {key}, 1, 2, 3, 4, model ORDER BY {key} DESC, 3, model"
        " OFFSET %(skip)s LIMIT %(rows)s"
    )
    rows = reader.fetch(Usage, sql, {**values, "skip": skip, "rows": asked.limit + 1})
    return page_of(rows, asked.limit, lambda _: (skip + asked.limit,))


def _placed(
    reader: Reader, asked: ToolQuestion | UsageQuestion
) -> tuple[list[str], dict[str, Any]]:
    """The filters that calls and usage share."""
    conditions, values = ["true"], dict[str, Any]()
    if asked.project is not None or asked.host is not None:
        conditions.append("project_id = ANY (%(projects)s)")
        values["projects"] = list(find_projects(reader, asked.project, asked.host))
    if asked.since is not None:
        conditions.append("started_at >= %(since)s")
        values["since"] = asked.since
    if asked.until is not None:
        conditions.append("started_at < %(until)s")
        values["until"] = asked.until
    return conditions, values
