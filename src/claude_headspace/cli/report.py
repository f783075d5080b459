"""What was worked on, today or over a longer time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any

import click

from claude_headspace.cli.access import configured, open_reader
from claude_headspace.cli.command import command, filters, json_output, moment
from claude_headspace.cli.naming import SHORT_ID
from claude_headspace.cli.sessions import short_path, state_of
from claude_headspace.cli.terminal import as_json, cut, paint, print_lines, terminal_width
from claude_headspace.cli.usage import TOKENS, number, print_figures
from claude_headspace.web.words import counted, short, waited

if TYPE_CHECKING:
    from claude_headspace.read.connection import Reader
    from claude_headspace.read.sessions import Session
    from claude_headspace.read.usage import DailyWork

_OF_WORK: dict[str, Callable[[Mapping[Any, Any]], str]] = {
    "time": lambda row: waited(row["seconds"]),
    **{name: number(name) for name in ("sessions", "prompts", "turns", "calls", "failed")},
    "tokens out": number("tokens_out"),
}
_OF_MODELS = {"replies": number("replies")} | {title: number(n) for title, n in TOKENS.items()}


@command("today", "claude-headspace today")
@json_output("one JSON object per session")
def today(*, in_json: bool) -> int:
    """Show today's work: projects, sessions, time and tokens.

    Time runs from the first to the last event of a session, without pauses of more than ten
    minutes.
    """
    with open_reader(configured()) as reader:
        worked, known = _asked(reader, moment("today"))
    if in_json:
        for each in worked:
            print(as_json(_fields(each, known[each.agent_id])))
        return 0
    for path in dict.fromkeys(known[each.agent_id].project for each in worked):
        mine = [each for each in worked if known[each.agent_id].project == path]
        print(paint(cut(f"{short_path(path)}, {_length(mine)}", terminal_width()), bold=True))
        print_lines(line for each in mine for line in _session(each, known[each.agent_id]))
        print()
    print(_together(worked) if worked else "No work was recorded today.")
    return 0


def _session(each: DailyWork, session: Session) -> list[str]:
    told = [f"  {session.uuid[:SHORT_ID]}", _length([each]), state_of(session),
            counted(each.prompts, "prompt"), counted(each.calls, "call"),
            f"{short(each.tokens_out)} tokens"]  # fmt: skip
    width = terminal_width()
    return [cut("  ".join(told), width), cut(f"    {session.title or '-'}", width)]


def _together(worked: Sequence[DailyWork]) -> str:
    total = reduce(lambda one, other: one + other, worked)
    sessions = counted(len({each.agent_id for each in worked}), "session")
    told = f"{sessions}, {_length(worked)}, {counted(total.prompts, 'prompt')}"
    return cut(
        f"{told}, {counted(total.calls, 'call')}, {short(total.tokens_out)} tokens",
        terminal_width(),
    )


@command("report", "claude-headspace report --since 30d --by project")
@filters("since", "work")
@click.option(
    "--by", type=click.Choice(("day", "project", "model")), default="day",
    help="group by (default: day)",
)  # fmt: skip
@json_output("one JSON object per row")
def report(since: datetime | None, by: str, *, in_json: bool) -> int:
    """Show the work of the last seven days, or since a time, by day, project or model.

    Time runs from the first to the last event of a session in a day, without pauses of more than
    ten minutes. Days are in this machine's time zone.
    """
    start = since or moment(str(date.today() - timedelta(days=6)))
    with open_reader(configured()) as reader:
        rows = _by_model(reader, start) if by == "model" else _by(by, reader, start)
    if rows or in_json:
        columns = _OF_MODELS if by == "model" else _OF_WORK
        print_figures("total", rows, by, columns, in_json=in_json)
    else:
        print("No work was recorded in that time.")
    return 0


def _by(by: str, reader: Reader, start: datetime) -> list[dict[str, Any]]:
    worked, known = _asked(reader, start)
    groups: dict[str, list[DailyWork]] = {}
    for each in worked:
        name = str(each.day) if by == "day" else known[each.agent_id].project
        groups.setdefault(name, []).append(each)
    return [{by: name, **_sums(members)} for name, members in sorted(groups.items())]


def _sums(worked: Sequence[DailyWork]) -> dict[str, Any]:
    total = reduce(lambda one, other: one + other, worked)
    return {
        "seconds": total.seconds, "sessions": len({each.agent_id for each in worked}),
        "prompts": total.prompts, "turns": total.turns, "calls": total.calls,
        "failed": total.failed, "tokens_out": total.tokens_out,
    }  # fmt: skip


def _by_model(reader: Reader, start: datetime) -> list[dict[str, Any]]:
    from claude_headspace.read.usage import add_up

    names = ("model", "replies", *TOKENS.values())
    rows = add_up(reader, "model", "total", since=start, project_ids=())
    return [{name: row[name] for name in names} for row in rows]


def _asked(reader: Reader, since: datetime) -> tuple[list[DailyWork], Mapping[int, Session]]:
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
