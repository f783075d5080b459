"""Proving that the log is whole, and writing what is missing in it."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from claude_headspace.cli.command import add, add_json

if TYPE_CHECKING:
    from claude_headspace.cli.command import Commands


def configure(commands: Commands) -> None:
    """Declare the commands."""
    parser = add(
        commands, "verify", verify, "compare every transcript with the log, line by line",
        "Reads the transcripts again by itself. Status 0: nothing is missing and nothing differs.",
        "claude-headspace verify --repair",
    )  # fmt: skip
    parser.add_argument("--session", metavar="UUID", help="only this one; its beginning is enough")
    parser.add_argument(
        "--repair", action="store_true",
        help="say what is missing, ask, and write it; have wrong checkpoints read again",
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="repair without being asked")
    parser.add_argument("--all", action="store_true", help="list sessions too that are whole")
    add_json(parser, "one JSON object with every session")


def configure_retry(commands: Commands) -> None:
    """Declare `retry` below `rejected`."""
    parser = add(
        commands, "retry", retry, "try again what was not taken, after a fix",
        "What is taken now is marked as resolved. Status 1: something is still rejected.",
        "claude-headspace rejected retry 17 18",
    )  # fmt: skip
    parser.add_argument("ids", metavar="ID", type=int, nargs="*", help="as `rejected` shows them")
    parser.add_argument("--all", action="store_true", help="everything that is not resolved")
    add_json(parser, "one JSON object a line")


def verify(arguments: Namespace) -> int:
    """Check, and repair if asked to."""
    from claude_headspace.cli.access import open_log
    from claude_headspace.config import load_config
    from claude_headspace.store.queries import find_session
    from claude_headspace.verify.command import VerifyOptions, run_verify

    config = load_config()
    session = None
    with open_log(config) as connection:
        if arguments.session:
            session = find_session(connection, arguments.session).uuid
            connection.rollback()
        options = VerifyOptions(
            session, arguments.repair, arguments.yes, arguments.json, arguments.all
        )
        return run_verify(config, options)


def retry(arguments: Namespace) -> int:
    """Try again what was named, or all of it."""
    import sys

    from claude_headspace.cli.access import open_log
    from claude_headspace.cli.command import USAGE_ERROR
    from claude_headspace.config import load_config
    from claude_headspace.verify.retry import run_retry

    if bool(arguments.ids) == arguments.all:
        print("claude-headspace rejected retry: give IDs, or --all", file=sys.stderr)
        return USAGE_ERROR
    config = load_config()
    ids = None if arguments.all else arguments.ids
    with open_log(config):
        return run_retry(config, ids, as_json=arguments.json)
