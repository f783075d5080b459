"""The archive: restoring, forgetting, backing up."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from claude_headspace.cli.command import add, moment, path
from claude_headspace.cli.terminal import printable

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

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
    parser = add(
        commands, "forget", forget, "delete all that is kept of sessions, for good",
        "Says what would go; --yes has it go, beside a running watcher. What was forgotten does\n"
        "not come back from files, the archive, or another host; `register` lifts that. Files of\n"
        "Claude Code's own are not touched.",
        "claude-headspace forget 6f1d0a7e --yes",
        "claude-headspace forget --before 365d --keep-turns",
    )  # fmt: skip
    parser.add_argument("names", metavar="SESSION|PROJECT", nargs="*", help="uuid, or project path")
    parser.add_argument("--before", type=moment, metavar="DATE", help="all silent since then")
    parser.add_argument(
        "--keep-turns", action="store_true", help="delete only their files' archive"
    )
    parser.add_argument("--yes", action="store_true", help="do it")
    parser = add(
        commands, "redact", redact, "overwrite secrets in what is stored",
        "By the ready-made patterns and `privacy.patterns`, whether or not `privacy.redact` is on.",
        "claude-headspace redact --existing",
    )  # fmt: skip
    parser.add_argument("--existing", action="store_true", required=True, help="all that is stored")
    parser = add(
        commands, "backup", backup, "write the whole log to one file",
        "With the pg_dump that fits the server. Capture goes on meanwhile.",
        "claude-headspace backup headspace.dump",
    )  # fmt: skip
    parser.add_argument("file", type=path, metavar="FILE")
    parser = add(
        commands, "restore-backup", restore_backup, "put a backup into an empty database",
        "Into a server of any supported version, while no watcher runs. The next watcher goes on\n"
        "from what the backup has, and reads what came since from the files.",
        "claude-headspace restore-backup headspace.dump",
    )  # fmt: skip
    parser.add_argument("file", type=path, metavar="FILE")


def restore(arguments: Namespace) -> int:
    """Write the files of one session."""
    from claude_headspace.archive.restore import Restore
    from claude_headspace.cli.access import open_log
    from claude_headspace.config import load_config
    from claude_headspace.store.selection import find_session

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


def forget(arguments: Namespace) -> int:
    """Tell what would go, or delete it."""
    import sys

    from claude_headspace.archive.forget import Forget, forget_arrivals
    from claude_headspace.cli.access import inbox_of
    from claude_headspace.cli.command import USAGE_ERROR
    from claude_headspace.config import load_config

    if bool(arguments.names) == bool(arguments.before):
        print("claude-headspace forget: give sessions or projects, or --before", file=sys.stderr)
        return USAGE_ERROR
    config = load_config()
    sessions = _chosen(config, arguments)
    database = _database(config)
    try:
        job = Forget(database, sessions, keep_turns=arguments.keep_turns)
        found = job.run() if arguments.yes else job.plan()
    finally:
        database.close()
    if arguments.yes and not arguments.keep_turns:
        found["files of the inbox"] = forget_arrivals(inbox_of(config), sessions)
    did = "forgotten" if arguments.yes else "would be forgotten (--yes does it)"
    print(f"sessions {did}: {len(sessions)}")
    for name, number in found.items():
        print(f"  {name}: {number}")
    return 0


def _chosen(config: Config, arguments: Namespace) -> list[UUID]:
    from claude_headspace.cli.access import open_log
    from claude_headspace.store.selection import sessions_named, sessions_silent_since

    with open_log(config) as connection:
        if arguments.before:
            return sessions_silent_since(connection, arguments.before)
        found = [sessions_named(connection, name) for name in arguments.names]
    return list(dict.fromkeys(session for each in found for session in each))


def redact(_: Namespace) -> int:
    """Overwrite what looks like a secret."""
    from claude_headspace.archive.redact import RedactExisting
    from claude_headspace.config import load_config
    from claude_headspace.events.redaction import make_redactor

    config = load_config()
    database = _database(config)
    try:
        job = RedactExisting(database, make_redactor(config.privacy.patterns))
        changed = job.run()
    finally:
        database.close()
    told = ", ".join(f"{name} {number}" for name, number in changed.items())
    print(f"changed: {told or 'nothing'}")
    return 0


def backup(arguments: Namespace) -> int:
    """Write the log to a file."""
    from pathlib import Path

    from claude_headspace.archive.backup import Server, find_clients
    from claude_headspace.archive.backup import backup as write
    from claude_headspace.config import load_config
    from claude_headspace.embedded.location import database_url
    from claude_headspace.health.words import format_bytes

    config = load_config()
    server = Server(database_url(config))
    size = write(server, find_clients(server.version, _bundled(config)), Path(arguments.file))
    print(printable(f"{arguments.file}: {format_bytes(size)}"))
    return 0


def restore_backup(arguments: Namespace) -> int:
    """Read the log from a file."""
    from pathlib import Path

    from claude_headspace import migrate
    from claude_headspace.archive.backup import Server, find_clients
    from claude_headspace.archive.backup import restore_backup as read
    from claude_headspace.config import load_config
    from claude_headspace.embedded.location import database_url

    config = load_config()
    url = database_url(config)
    server = Server(url)
    read(server, find_clients(server.version, _bundled(config), newest=True), Path(arguments.file))
    migrate.upgrade(url)
    print("the backup is restored; the next watcher goes on from there")
    return 0


def _bundled(config: Config) -> list[Path]:
    """Where the programs are that came with the embedded server."""
    from contextlib import suppress

    from claude_headspace.embedded.binaries import installed
    from claude_headspace.embedded.location import server_record
    from claude_headspace.errors import EmbeddedServerError

    record = server_record(config.state.directory)
    found = [record.bin] if record else []
    with suppress(EmbeddedServerError):
        found.append(installed().directory)
    return found


def _database(config: Config) -> Database:
    from claude_headspace.embedded.location import database_url
    from claude_headspace.store.connection import Database
    from claude_headspace.store.patience import Patience

    return Database(
        lambda: database_url(config),
        application_name="claude-headspace",
        patience=Patience(answer_seconds=600.0),
    )
