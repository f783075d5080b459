"""What was done and spent: tool calls and tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from claude_headspace.cli.access import configured, open_reader
from claude_headspace.cli.command import Declare, command, filters, json_output
from claude_headspace.cli.naming import project_ids
from claude_headspace.cli.terminal import as_json, print_lines, table

ADDING_SECONDS = 60
BY = ("day", "project", "session", "total")
TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache read": "cache_read_tokens",
    "cache write": "cache_write_tokens",
}
_ENDS = ("ok", "error", "denied", "interrupted", "unanswered")


def _by(default: str) -> Declare:
    told = f"group by (default: {default})"
    return click.option("--by", type=click.Choice(BY), default=default, help=told)


@command("usage", "claude-headspace usage --since 30d --by project")
@_by("day")
@filters("project host since", "tokens")
@json_output("one JSON object per line")
def usage(by: str, *, in_json: bool, **chosen: Any) -> int:
    """Show the tokens that models used, by day and model.

    Each reply counts once, even if several sessions contain it. Days are in this machine's time
    zone. With `prices` in config.yaml the cost is shown, too.
    """
    from claude_headspace.read.usage import cost

    prices = configured().prices
    rows = [{**row, "cost": cost(prices, row)} for row in _asked("model", by, **chosen)]
    columns: dict[str, Callable[[Mapping[Any, Any]], str]] = {
        "replies": lambda row: f"{row['replies']:,}",
        **{title: number(name) for title, name in TOKENS.items()},
    }
    if prices:
        columns["cost"] = lambda row: "-" if row["cost"] is None else f"{row['cost']:,.2f}"
    print_figures(by, rows, "model", columns, in_json=in_json)
    return 0


@command("tools", "claude-headspace tools --project my-project --since 7d")
@_by("total")
@filters("project host since", "calls")
@json_output("one JSON object per line")
def tools(by: str, *, in_json: bool, **chosen: Any) -> int:
    """Show which tools were called, and how the calls ended.

    A call that a forked session repeats counts once. Days are in this machine's time zone.
    """
    columns = {
        "calls": number("calls"),
        **{name: number(name) for name in _ENDS},
        "seconds each": _seconds_each,
    }
    print_figures(by, _asked("tool", by, **chosen), "tool", columns, in_json=in_json)
    return 0


def _asked(
    what: str, by: str, project: str | None, host: str | None, since: datetime | None
) -> list[dict[str, Any]]:
    from claude_headspace.read.usage import add_up

    with open_reader(configured(), ADDING_SECONDS) as reader:
        chosen = project_ids(reader, project, host)
        return add_up(reader, what, by, since=since, project_ids=chosen)


def number(name: str) -> Callable[[Mapping[Any, Any]], str]:
    """A function that prints this figure of a row."""
    return lambda row: f"{row[name]:,}"


def _seconds_each(row: Mapping[Any, Any]) -> str:
    ended = row["calls"] - row["unanswered"]
    return f"{(row['seconds'] or 0) / ended:.1f}" if ended else "-"


def print_figures(
    by: str,
    rows: Sequence[Mapping[Any, Any]],
    what: str,
    columns: Mapping[str, Callable[[Mapping[Any, Any]], str]],
    *,
    in_json: bool,
) -> None:
    """Print figures, aligned to the right, before the name of what they count."""
    if in_json:
        for row in rows:
            print(as_json(dict(row)))
        return
    groups = [] if by == "total" else [by]
    head = [*columns, *groups, what]
    told = [
        [*(shown(row) for shown in columns.values()), *(_group(name, row) for name in groups),
         row[what]]
        for row in rows
    ]  # fmt: skip
    print_lines(table([head, *told], *range(len(columns))))


def _group(by: str, row: Mapping[Any, Any]) -> str:
    return str(row["session_uuid" if by == "session" else by] or "-")
