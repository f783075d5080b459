"""What was worked on, done and spent, today or over a longer time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import click

from claude_headspace.cli.access import configured, open_reader
from claude_headspace.cli.command import Declare, command, filters, json_output, parse_moment
from claude_headspace.cli.naming import SHORT_ID, project_ids
from claude_headspace.cli.sessions import short_path, state_of
from claude_headspace.cli.terminal import fit, print_json, print_lines, table
from claude_headspace.web.words import counted, short, waited

if TYPE_CHECKING:
    from claude_headspace.read.connection import Reader
    from claude_headspace.read.sessions import Session
    from claude_headspace.read.usage import DailyWork

    Row = Mapping[Any, Any]
    # Titles of columns, with the name of the figure, or a function that prints one.
    Columns = Mapping[str, str | Callable[[Row], str]]

ADDING_SECONDS = 60
_OF_WORK: Columns = {
    "time": lambda row: waited(row["seconds"]),
    **{name: name for name in ("sessions", "prompts", "turns", "calls", "failed")},
    "tokens out": "tokens_out",
}
_OF_MODELS = {
    "replies": "replies",
    "input": "input_tokens",
    "output": "output_tokens",
    "cache read": "cache_read_tokens",
    "cache write": "cache_write_tokens",
}
_OF_TOOLS: Columns = {
    "calls": "calls",
    **{name: name for name in ("ok", "error", "denied", "interrupted", "unanswered")},
    "seconds each": lambda row: (
        f"{(row['seconds'] or 0) / ended:.1f}"
        if (ended := row["calls"] - row["unanswered"])
        else "-"
    ),
}


def _by(default: str, *choices: str) -> Declare:
    told = f"group by (default: {default})"
    return click.option("--by", type=click.Choice(choices), default=default, help=told)


@command("today", "claude-headspace today")
@json_output("one JSON object per session")
def today(*, in_json: bool) -> int:
    """Show today's work: projects, sessions, time and tokens.

    Time runs from the first to the last event of a session, without pauses of more than ten
    minutes.
    """
    with open_reader(configured()) as reader:
        worked, known = _worked(reader, parse_moment("today"))
    if in_json:
        print_json(_fields(each, known[each.agent_id]) for each in worked)
        return 0
    for path in dict.fromkeys(known[each.agent_id].project for each in worked):
        mine = [each for each in worked if known[each.agent_id].project == path]
        print(fit(f"{short_path(path)}, {_length(mine)}", bold=True))
        print_lines(line for each in mine for line in _session(each, known[each.agent_id]))
        print()
    print(fit(_together(worked)) if worked else "No work was recorded today.")
    return 0


def _session(each: DailyWork, session: Session) -> list[str]:
    told = [f"  {session.uuid[:SHORT_ID]}", _length([each]), state_of(session),
            counted(each.prompts, "prompt"), counted(each.calls, "call"),
            f"{short(each.tokens_out)} tokens"]  # fmt: skip
    return [fit("  ".join(told)), fit(f"    {session.title or '-'}")]


def _together(worked: Sequence[DailyWork]) -> str:
    total = reduce(add, worked)
    sessions = counted(len({each.agent_id for each in worked}), "session")
    told = f"{sessions}, {_length(worked)}, {counted(total.prompts, 'prompt')}"
    return f"{told}, {counted(total.calls, 'call')}, {short(total.tokens_out)} tokens"


@command("report", "claude-headspace report --since 30d --by project")
@filters("since", "work")
@_by("day", "day", "project", "model")
@json_output("one JSON object per row")
def report(since: datetime | None, by: str, *, in_json: bool) -> int:
    """Show the work of the last seven days, or since a time, by day, project or model.

    Time runs from the first to the last event of a session in a day, without pauses of more than
    ten minutes. Days are in this machine's time zone.
    """
    start = since or parse_moment(str(date.today() - timedelta(days=6)))
    with open_reader(configured()) as reader:
        rows = _of_models(reader, start) if by == "model" else _grouped(by, reader, start)
    if rows or in_json:
        columns = _OF_MODELS if by == "model" else _OF_WORK
        _print_figures("total", rows, by, columns, in_json=in_json)
    else:
        print("No work was recorded in that time.")
    return 0


def _grouped(by: str, reader: Reader, start: datetime) -> list[dict[str, Any]]:
    worked, known = _worked(reader, start)
    groups: dict[str, list[DailyWork]] = {}
    for each in worked:
        name = str(each.day) if by == "day" else known[each.agent_id].project
        groups.setdefault(name, []).append(each)
    return [{by: name, **_sums(members)} for name, members in sorted(groups.items())]


def _sums(worked: Sequence[DailyWork]) -> dict[str, Any]:
    total = reduce(add, worked)
    return {
        "seconds": total.seconds, "sessions": len({each.agent_id for each in worked}),
        "prompts": total.prompts, "turns": total.turns, "calls": total.calls,
        "failed": total.failed, "tokens_out": total.tokens_out,
    }  # fmt: skip


def _of_models(reader: Reader, start: datetime) -> list[dict[str, Any]]:
    from claude_headspace.read.usage import add_up

    rows = add_up(reader, "model", "total", since=start, project_ids=())
    return [{name: row[name] for name in ("model", *_OF_MODELS.values())} for row in rows]


def _worked(reader: Reader, since: datetime) -> tuple[list[DailyWork], Mapping[int, Session]]:
    from claude_headspace.read.sessions import find_sessions
    from claude_headspace.read.usage import work_between

    worked = work_between(reader, since, datetime.now(UTC))
    known = find_sessions(reader, (each.agent_id for each in worked))
    return [each for each in worked if each.agent_id in known], known


def _fields(each: DailyWork, session: Session) -> dict[str, Any]:
    sums = {name: value for name, value in _sums([each]).items() if name != "sessions"}
    return {
        "session": session.uuid, "title": session.title, "project": session.project,
        "state": session.state.kind, **sums, "resume": session.resume,
    }  # fmt: skip


def _length(worked: Iterable[DailyWork]) -> str:
    return waited(sum(each.seconds for each in worked))


@command("usage", "claude-headspace usage --since 30d --by project")
@_by("day", "day", "project", "session", "total")
@filters("project host since", "tokens")
@json_output("one JSON object per line")
def usage(by: str, *, in_json: bool, **chosen: Any) -> int:
    """Show the tokens that models used, by day and model.

    Each reply counts once, even if several sessions contain it. Days are in this machine's time
    zone. With `prices` in config.yaml the cost is shown, too.
    """
    from claude_headspace.read.usage import cost

    prices = configured().prices
    rows = [{**row, "cost": cost(prices, row)} for row in _added("model", by, **chosen)]
    columns: dict[str, str | Callable[[Row], str]] = {**_OF_MODELS}
    if prices:
        columns["cost"] = lambda row: "-" if row["cost"] is None else f"{row['cost']:,.2f}"
    _print_figures(by, rows, "model", columns, in_json=in_json)
    return 0


@command("tools", "claude-headspace tools --project my-project --since 7d")
@_by("total", "day", "project", "session", "total")
@filters("project host since", "calls")
@json_output("one JSON object per line")
def tools(by: str, *, in_json: bool, **chosen: Any) -> int:
    """Show which tools were called, and how the calls ended.

    A call that a forked session repeats counts once. Days are in this machine's time zone.
    """
    _print_figures(by, _added("tool", by, **chosen), "tool", _OF_TOOLS, in_json=in_json)
    return 0


def _added(
    what: str, by: str, project: str | None, host: str | None, since: datetime | None
) -> list[dict[str, Any]]:
    from claude_headspace.read.usage import add_up

    with open_reader(configured(), ADDING_SECONDS) as reader:
        chosen = project_ids(reader, project, host)
        return add_up(reader, what, by, since=since, project_ids=chosen)


def _print_figures(
    by: str, rows: Sequence[Row], what: str, columns: Columns, *, in_json: bool
) -> None:
    """Print figures, aligned to the right, before the name of what they count."""
    if in_json:
        print_json(rows)
        return
    groups = {"total": [], "session": ["session_uuid"]}.get(by, [by])
    told = [[*columns, *([by] if groups else []), what]]
    for row in rows:
        figures = (f"{row[f]:,}" if isinstance(f, str) else f(row) for f in columns.values())
        told.append([*figures, *(str(row[name] or "-") for name in groups), row[what]])
    print_lines(table(told, *range(len(columns))))
