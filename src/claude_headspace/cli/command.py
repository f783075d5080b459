"""How a command is declared."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from datetime import datetime

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

USAGE_ERROR = 64
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class Parser(argparse.ArgumentParser):
    """Wrong usage has a status of its own: 2 is what `status` says when all is down."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        options.setdefault("allow_abbrev", False)
        super().__init__(*arguments, **options)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line."""
        self.exit(USAGE_ERROR, f"{self.prog}: {message} (see {self.prog} --help)\n")


def add(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    details: str,
    *examples: str,
    **options: Any,
) -> argparse.ArgumentParser:
    """Declare one command; its arguments are added to what this returns."""
    shown = "\n".join(f"  {example}" for example in examples)
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{details}".rstrip(),
        epilog=f"example:\n{shown}",
        **options,
    )
    parser.set_defaults(run=run)
    if options.get("add_help", True):
        parser.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
    return parser


def moment(text: str) -> datetime:
    """A point in time: ISO 8601 (local unless it has a zone), or so long ago: 90s, 10m, 2h, 3d."""
    from datetime import UTC, datetime, timedelta

    try:
        if ago := re.fullmatch(r"(\d{1,9})([smhdw])", text):
            past = timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
            return datetime.now(UTC) - past
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time: give 2026-08-22T14:00 or an age such as 10m, 2h, 3d"
        ) from error


def count(text: str) -> int | None:
    """A number of rows; None for `all`."""
    if text == "all":
        return None
    if not re.fullmatch(r"\d{1,12}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows: give a number or all")
    return int(text)


def path(text: str) -> str:
    """A path, whole, without following links."""
    return os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111


def add_limit(parser: argparse.ArgumentParser, default: int = 50) -> None:
    """`--limit`."""
    parser.add_argument(
        "--limit", type=count, default=default, metavar="N",
        help=f"show only the newest N, or `all` (default: {default})",
    )  # fmt: skip


def add_json(parser: argparse.ArgumentParser, shape: str) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help=f"print {shape}")
