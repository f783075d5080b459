"""What was rejected, and trying it again."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from claude_headspace.cli.access import open_log
from claude_headspace.cli.command import USAGE_ERROR, add, add_json, add_limit
from claude_headspace.cli.log import JSON_LINES, PAGE_ROWS
from claude_headspace.cli.terminal import as_json, cut, local_time, terminal_width

if TYPE_CHECKING:
    from claude_headspace.cli.command import Commands

SHOWN_CONTENT_BYTES = 200


def configure(commands: Commands) -> None:
    """Declare the commands."""
    parser = add(
        commands, "rejected", rejected, "show what was rejected, and why",
        "These are damaged lines, and events that break the rules of their type.",
        "claude-headspace rejected --limit 10",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="also show what has been resolved")
    add_limit(parser)
    add_json(parser, JSON_LINES)
    _configure_retry(parser.add_subparsers(metavar="[retry]", title="commands"))


def _configure_retry(commands: Commands) -> None:
    parser = add(
        commands, "retry", retry, "try rejected lines and events again, after a fix",
        "What is accepted now is marked as resolved. Exit status 1: something is still rejected.",
        "claude-headspace rejected retry 17 18",
    )  # fmt: skip
    parser.add_argument(
        "ids", metavar="ID", type=int, nargs="*", help="an ID that `rejected` shows"
    )
    parser.add_argument("--all", action="store_true", help="everything that is unresolved")
    add_json(parser, "one JSON object per line")


def rejected(arguments: Namespace) -> int:
    """Print what was not taken."""
    from claude_headspace.config import load_config
    from claude_headspace.store.queries import newest_dead_letters

    page = newest_dead_letters(
        resolved_too=arguments.all,
        limit=arguments.limit,
        content_bytes=None if arguments.json else SHOWN_CONTENT_BYTES,
    )
    with open_log(load_config()) as connection:
        stream = connection.execution_options(yield_per=PAGE_ROWS)
        number = 0
        for number, row in enumerate(stream.execute(page).mappings(), 1):  # noqa: B007
            if arguments.json:
                print(as_json(dict(row)))
            else:
                _print_dead_letter(row)
    if not arguments.json and not number:
        print("Nothing was rejected.")
    return 0


def _print_dead_letter(row: Mapping[Any, Any]) -> None:
    width = terminal_width()
    resolved = f", resolved {local_time(row['resolved_at'])}" if row["resolved_at"] else ""
    content = bytes(row["content"]).decode("utf-8", "backslashreplace")
    more = "…" if row["content_bytes"] > len(row["content"]) else ""
    told = f"{row['reason']}: {row['detail']}{resolved}"
    print(cut(f"{row['id']}  {local_time(row['recorded_at'])}  {told}", width))
    print(cut(f"  at byte {row['source_offset']} of {row['path'] or 'an unknown file'}", width))
    print(cut(f"  {row['content_bytes']} bytes: {content}{more}", width))


def retry(arguments: Namespace) -> int:
    """Try again what was named, or all of it."""
    import sys

    from claude_headspace.config import load_config
    from claude_headspace.verify.retry import run_retry

    if bool(arguments.ids) == arguments.all:
        print("claude-headspace rejected retry: give either IDs or --all", file=sys.stderr)
        return USAGE_ERROR
    config = load_config()
    ids = None if arguments.all else arguments.ids
    with open_log(config):
        return run_retry(config, ids, as_json=arguments.json)
