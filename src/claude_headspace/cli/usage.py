"""What was done and spent: calls of tools, and tokens of models."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from claude_headspace.cli.access import open_log
from claude_headspace.cli.command import add, add_json, moment
from claude_headspace.cli.terminal import as_json, print_table

if TYPE_CHECKING:
    from claude_headspace.cli.command import Commands

BY = ("day", "project", "session", "total")
_TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache read": "cache_read_tokens",
    "cache write": "cache_write_tokens",
}
_ENDS = ("ok", "error", "denied", "interrupted", "unanswered")


def configure(commands: Commands) -> None:
    """Declare the commands."""
    _add(
        commands, "usage", usage, "show the tokens that models took, by day and model",
        "Each reply counts once, in whichever sessions it stands. Days are those of UTC. With\n"
        "`prices` in config.yaml it says what that has cost.",
        "claude-headspace usage --since 30d --by project",
    )  # fmt: skip
    _add(
        commands, "tools", tools, "show the tools that were called, and how that ended",
        "A call that a forked session repeats counts once. Days are those of UTC.",
        "claude-headspace tools --project my-project --since 7d",
        by="total",
    )  # fmt: skip


def _add(commands: Commands, name: str, run: Any, *texts: str, by: str = "day") -> None:
    parser = add(commands, name, run, *texts)
    parser.add_argument("--by", choices=BY, default=by, help=f"rows for each (default: {by})")
    parser.add_argument("--project", metavar="PATH", help="of this project; the end is enough")
    parser.add_argument(
        "--since", type=moment, metavar="TIME",
        help="not older than this: 2026-08-22T14:00, or so long ago as 10m, 2h, 3d",
    )  # fmt: skip
    add_json(parser, "one JSON object a line")


def usage(arguments: Namespace) -> int:
    """Print tokens."""
    from claude_headspace.config import load_config
    from claude_headspace.store.usage import cost
    from claude_headspace.store.usage import usage as ask

    prices = load_config().prices
    rows = [{**row, "cost": cost(prices, row)} for row in _asked(arguments, ask)]
    columns: dict[str, Callable[[Mapping[Any, Any]], str]] = {
        "replies": lambda row: f"{row['replies']:,}",
        **{title: _number(name) for title, name in _TOKENS.items()},
    }
    if prices:
        columns["cost"] = lambda row: "-" if row["cost"] is None else f"{row['cost']:,.2f}"
    _show(arguments, rows, "model", columns)
    return 0


def tools(arguments: Namespace) -> int:
    """Print calls of tools."""
    from claude_headspace.store.usage import tools as ask

    columns = {
        "calls": _number("calls"),
        **{name: _number(name) for name in _ENDS},
        "seconds each": _seconds_each,
    }
    _show(arguments, _asked(arguments, ask), "tool", columns)
    return 0


def _asked(arguments: Namespace, ask: Callable[..., Any]) -> Sequence[Mapping[Any, Any]]:
    from claude_headspace.config import load_config
    from claude_headspace.store.selection import find_projects

    with open_log(load_config()) as connection:
        chosen = find_projects(connection, arguments.project) if arguments.project else ()
        rows: Sequence[Mapping[Any, Any]] = ask(
            connection, arguments.by, since=arguments.since, project_ids=chosen
        )
    return rows


def _number(name: str) -> Callable[[Mapping[Any, Any]], str]:
    return lambda row: f"{row[name]:,}"


def _seconds_each(row: Mapping[Any, Any]) -> str:
    ended = row["calls"] - row["unanswered"]
    return f"{(row['seconds'] or 0) / ended:.1f}" if ended else "-"


def _show(
    arguments: Namespace,
    rows: Sequence[Mapping[Any, Any]],
    what: str,
    columns: Mapping[str, Callable[[Mapping[Any, Any]], str]],
) -> None:
    """Numbers to the right, then what they are of."""
    if arguments.json:
        for row in rows:
            print(as_json(dict(row)))
        return
    numbers = [[title, *(shown(row) for row in rows)] for title, shown in columns.items()]
    widths = [max(map(len, cells)) for cells in numbers]
    by = [] if arguments.by == "total" else [arguments.by]
    of = [[*by, what], *([_group(name, row) for name in by] + [row[what]] for row in rows)]
    print_table([
        [*(cells[n].rjust(width) for cells, width in zip(numbers, widths, strict=True)), *names]
        for n, names in enumerate(of)
    ])  # fmt: skip


def _group(by: str, row: Mapping[Any, Any]) -> str:
    return str(row["session_uuid" if by == "session" else by] or "-")
