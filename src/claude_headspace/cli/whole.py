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
        "Reads the transcripts again. Exit status 0: nothing is missing and nothing differs.",
        "claude-headspace verify --repair",
    )  # fmt: skip
    parser.add_argument(
        "--session", metavar="UUID", help="only this session; the first characters are enough"
    )
    parser.add_argument(
        "--repair", action="store_true",
        help="show what is missing, ask, and write it; read files with wrong checkpoints again",
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="repair without asking")
    parser.add_argument("--all", action="store_true", help="also list complete sessions")
    add_json(parser, "one JSON object with every session")


def verify(arguments: Namespace) -> int:
    """Check, and repair if asked to."""
    from claude_headspace.cli.access import open_log
    from claude_headspace.config import load_config
    from claude_headspace.store.selection import find_session
    from claude_headspace.verify.command import run_verify
    from claude_headspace.verify.options import VerifyOptions

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
