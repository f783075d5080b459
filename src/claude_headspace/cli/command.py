"""How a command is declared: `@command`, shared options, and the types of their values."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from claude_headspace.cli.naming import complete_project, complete_session
from claude_headspace.cli.terminal import wrapped

Declare = Callable[[Any], Any]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DAYS_AGO = {"today": 0, "yesterday": 1}


class Command(click.Command):
    """Its help ends with examples, which are not wrapped."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Every command accepts `--debug`; only the main help lists it."""
        debug = click.Option(["--debug"], is_flag=True, hidden=True, expose_value=False)
        return [*super().get_params(ctx), debug]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """A usage error names the help of this command."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def get_short_help_str(self, _limit: int = 45) -> str:
        """The first sentence, uncut: the list of commands wraps it."""
        summary = " ".join((self.help or "").partition("\n\n")[0].split()).rstrip(".")
        return summary[:1].lower() + summary[1:]

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples are not wrapped, so that they can be copied; the text before them is."""
        told, example, examples = (self.epilog or "").rpartition("example:")
        for line in told.splitlines():
            hang = 6 if line.startswith(" ") else 0
            formatter.write("\n".join(wrapped(line, formatter.width, hang=hang)) + "\n")
        formatter.write(f"\n{example}{examples}\n")


class CommandGroup(Command, click.Group):
    """A command with subcommands."""

    command_class = Command


def command(name: str, *examples: str, of: click.Group | None = None, **settings: Any) -> Declare:
    """Make a function a command: its docstring is the help, its result the exit status."""
    declare: Callable[..., Declare] = of.command if of else click.command
    return declare(name, cls=Command, epilog=_told(examples), **settings)


def group(name: str, *examples: str, **settings: Any) -> Declare:
    """The same for a command with subcommands; declare those with `of=`."""
    told = _told(examples)
    return click.group(name, CommandGroup, epilog=told, no_args_is_help=False, **settings)


def _told(examples: tuple[str, ...]) -> str:
    return "\n".join(["example:", *(f"  {example}" for example in examples)])


def parse_moment(text: str) -> datetime:
    """A point in time: ISO 8601 (local time unless it has a zone), an age (90s, 10m, 2h, 3d, 1w),
    or the start of `today` or `yesterday`.
    """
    try:
        if ago := re.fullmatch(r"(\d{1,9})([smhdw])", text):
            return datetime.now(UTC) - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
        if text in _DAYS_AGO:
            day = datetime.now().date() - timedelta(days=_DAYS_AGO[text])
            return datetime(day.year, day.month, day.day).astimezone()
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError) as error:
        raise click.BadParameter(
            f"{text!r} is not a time: give 2026-08-22T14:00, yesterday, or an age such as 10m, 2h,"
            " 3d, 1w"
        ) from error


def count(text: str) -> int | None:
    """A number of rows; None for `all`."""
    if text == "all":
        return None
    if not re.fullmatch(r"\d{1,12}", text):
        raise click.BadParameter(f"{text!r} is not a number of rows: give a number or all")
    return int(text)


def option(name: str, shown: str, told: str, *variable: str, **settings: Any) -> Declare:
    """An option with a value; `shown` names the value in the help."""
    return click.option(name, *variable, metavar=shown, help=told, **settings)


def flag(name: str, told: str, *variable: str, **settings: Any) -> Declare:
    """An option without a value."""
    return click.option(name, *variable, is_flag=True, help=told, **settings)


def limit(default: int | str = 50) -> Declare:
    """`--limit`."""
    told = f"show only the newest N, or `all` (default: {default})"
    return option("--limit", "N", told, type=count, default=str(default))


def json_output(shape: str) -> Declare:
    """`--json`, which the function receives as `in_json`."""
    return flag("--json", f"print {shape}", "in_json")


# Several words make one name.
named_session = click.argument(
    "session", metavar="SESSION", nargs=-1, required=True, shell_complete=complete_session,
    callback=lambda _ctx, _parameter, words: " ".join(words),
    help="its id, the start of its id, or words of its title",
)  # fmt: skip
yes = flag("--yes", "do not ask")

_TIME = "since then: 2026-08-22T14:00, yesterday, or an age such as 10m, 2h, 3d, 1w"
_SESSION = "only this session: its id, the start of its id, or words of its title"
_PROJECT = "only this project; the end of its path is enough"
_PROJECTS = "only projects whose path ends with PATH"
_FILTERS: dict[str, Callable[[str], Declare]] = {
    "session": lambda _: option("--session", "ID", _SESSION, shell_complete=complete_session),
    "project": lambda _: option("--project", "PATH", _PROJECT, shell_complete=complete_project),
    "projects": lambda _: option("--project", "PATH", _PROJECTS, shell_complete=complete_project),
    "host": lambda _: option("--host", "NAME", "only this host"),
    "since": lambda what: option("--since", "TIME", f"only {what} {_TIME}", type=parse_moment),
    "until": lambda what: option(
        "--until", "TIME", f"only {what} before this time", type=parse_moment
    ),
}


def filters(names: str, what: str = "rows") -> Declare:
    """Some of the options --session, --project, --host, --since and --until."""

    def declare(run: Any) -> Any:
        for name in reversed(names.split()):
            run = _FILTERS[name](what)(run)
        return run

    return declare
