"""The archive: restoring, forgetting, backing up."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from claude_headspace.cli.command import add, path
from claude_headspace.cli.terminal import printable

if TYPE_CHECKING:
    from claude_headspace.cli.command import Commands
    from claude_headspace.config import Config
    from claude_headspace.store.connection import Database


def configure(commands: Commands) -> None:
    """Declare the commands."""
    parser = add(
        commands, "restore", restore, "write the files of a session as they were",
        "Byte for byte, where Claude Code looks for them, never over a file that differs.\n"
        "Then `claude --resume` works. Status 1: a file differs, or is not in the archive.",
        "claude-headspace restore 6f1d0a7e",
        "claude-headspace restore 6f1d0a7e --to /tmp/session",
    )  # fmt: skip
    parser.add_argument("session", metavar="SESSION", help="its uuid; the beginning is enough")
    parser.add_argument("--to", type=path, metavar="DIR", help="write below this folder instead")
    parser.add_argument(
        "--missing", action="store_true", help="leave files that are there alone, whatever they are"
    )


def restore(arguments: Namespace) -> int:
    """Write the files of one session."""
    from claude_headspace.archive.restore import Restore
    from claude_headspace.cli.access import open_log
    from claude_headspace.config import load_config
    from claude_headspace.store.queries import find_session

    config = load_config()
    with open_log(config) as connection:
        session = find_session(connection, arguments.session).uuid
    database = _database(config)
    worst = 0
    try:
        roots = [str(root) for root in config.claude.projects_path]
        job = Restore(database, roots, arguments.to, missing_only=arguments.missing)
        for each in job.run(session):
            marks = ", with secrets overwritten" if each.redacted else ""
            print(printable(f"{each.fate}{marks}: {each.path}"))
            worst = max(worst, each.fate in ("differs", "not archived"))
    finally:
        database.close()
    return worst


def _database(config: Config) -> Database:
    from claude_headspace.embedded.location import database_url
    from claude_headspace.store.connection import Database, Patience

    return Database(
        lambda: database_url(config),
        application_name="claude-headspace",
        patience=Patience(answer_seconds=600.0),
    )
