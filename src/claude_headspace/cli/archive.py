"""The archive: restoring, forgetting, backing up."""

from __future__ import annotations

import re
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click

from claude_headspace.cli.access import configured, inbox_of, open_reader
from claude_headspace.cli.command import command, flag, named_session, option, parse_moment
from claude_headspace.cli.naming import absolute, project_ids, session_by_name, session_id
from claude_headspace.cli.terminal import announce, print_wrapped, printable
from claude_headspace.errors import EmbeddedServerError
from claude_headspace.health.units import format_bytes

if TYPE_CHECKING:
    from claude_headspace.config import Config
    from claude_headspace.store.connection import Database

_FILE = click.argument("file", type=absolute, metavar="FILE")


@command(
    "restore",
    "claude-headspace restore 6f1d0a7e",
    "claude-headspace restore 6f1d0a7e --to ~/session",
)
@named_session
@option("--to", "DIR", "write below this folder instead of the original place", type=absolute)
@flag("--missing", "skip files that exist, even if they differ")
def restore(session: str, to: str | None, *, missing: bool) -> int:
    """Restore the files of a session from the archive.

    Writes them byte for byte where Claude Code looks for them, so that `claude --resume` works.
    Never overwrites a file that differs. Exit status 1: a file differs or is not archived.
    """
    config = configured()
    return restore_files(config, session_id(config, session), to, missing=missing)


def restore_files(config: Config, session: UUID, to: str | None = None, *, missing: bool) -> int:
    """Write the files of a session; 1 if one differs or is not archived."""
    from claude_headspace.archive.restore import Restore

    worst = 0
    roots = [str(root) for root in config.claude.projects_path]
    with closing(_database(config)) as database:
        for each in Restore(database, roots, to, missing_only=missing).run(session):
            marks = ", with secrets overwritten" if each.redacted else ""
            print(printable(f"{each.fate}{marks}: {each.path}"))
            worst = max(worst, each.fate in ("differs", "not archived"))
    return worst


@command(
    "forget",
    "claude-headspace forget 6f1d0a7e --yes",
    "claude-headspace forget --before 365d --keep-turns",
)
@click.argument("names", metavar="[SESSION|PROJECT]...", nargs=-1)
@option("--before", "DATE", "all sessions without lines since then", type=parse_moment)
@flag("--keep-turns", "delete only the archive of their files")
@flag("--yes", "delete (default: only show what would be deleted)")
def forget(names: tuple[str, ...], before: datetime | None, *, keep_turns: bool, yes: bool) -> int:
    """Delete everything stored about sessions, for good.

    Shows what would be deleted; --yes deletes it. The watcher may run meanwhile. A forgotten
    session does not come back from its files, the archive or another host, unless you `register`
    it. Claude Code's own files are not touched.
    """
    from claude_headspace.archive.forget import Forget, forget_messages

    if bool(names) == bool(before):
        raise click.UsageError("give sessions or projects, or --before")
    config = configured()
    sessions = _chosen(config, names, before)
    with closing(_database(config)) as database:
        job = Forget(database, sessions, keep_turns=keep_turns)
        found = job.run() if yes else job.plan()
    if yes and not keep_turns:
        found["files of the inbox"] = forget_messages(inbox_of(config), sessions)
    did = "forgotten" if yes else "that would be deleted (use --yes)"
    counts = [f"  {name}: {number}" for name, number in found.items()]
    print_wrapped([f"sessions {did}: {len(sessions)}", *counts])
    return 0


def _chosen(config: Config, names: tuple[str, ...], before: datetime | None) -> list[UUID]:
    from claude_headspace.read.selection import sessions_of, sessions_silent_since

    with open_reader(config) as reader:
        if before:
            return [UUID(each) for each in sessions_silent_since(reader, before)]
        found = [
            (session_by_name(reader, name).uuid,)
            if re.fullmatch(r"[0-9a-f-]{1,36}", name.lower())
            else sessions_of(reader, project_ids(reader, name))
            for name in names
        ]
    return [UUID(session) for session in dict.fromkeys(each for some in found for each in some)]


@command("redact", "claude-headspace redact --existing")
@flag("--existing", "everything stored so far", required=True)
def redact(*, existing: bool) -> int:  # noqa: ARG001 - required, so that nobody redacts by mistake
    """Overwrite secrets in the stored log and archive.

    Uses the built-in patterns and `privacy.patterns`, whether or not `privacy.redact` is on.
    """
    from claude_headspace.archive.redact_existing import RedactExisting
    from claude_headspace.events.redaction import make_redactor

    config = configured()
    announce("Reading everything that is stored. This takes a while.")
    with closing(_database(config)) as database:
        changed = RedactExisting(database, make_redactor(config.privacy.patterns)).run()
    told = ", ".join(f"{name} {number}" for name, number in changed.items())
    print(f"changed: {told or 'nothing'}")
    return 0


@command("backup", "claude-headspace backup headspace.dump")
@_FILE
def backup(file: str) -> int:
    """Write the whole log to one file.

    Uses the pg_dump that fits the server. Capture continues meanwhile.
    """
    from claude_headspace.archive import backup as files
    from claude_headspace.embedded.location import database_url

    config = configured()
    server = files.LogServer(database_url(config))
    clients = files.find_clients(server.version, _bundled(config))
    announce("Writing the backup.")
    size = files.backup(server, clients, Path(file))
    print(printable(f"{file}: {format_bytes(size)}"))
    return 0


@command("restore-backup", "claude-headspace restore-backup headspace.dump")
@_FILE
def restore_backup(file: str) -> int:
    """Restore a backup into an empty database.

    The server may have any supported version. Stop the watcher first. The next watcher continues
    from the backup and reads newer lines from the files.
    """
    from claude_headspace import migrate
    from claude_headspace.archive import backup as files
    from claude_headspace.embedded.location import database_url

    config = configured()
    url = database_url(config)
    server = files.LogServer(url)
    clients = files.find_clients(server.version, _bundled(config), newest=True)
    announce("Restoring the backup.")
    files.restore_backup(server, clients, Path(file))
    migrate.upgrade(url)
    print("the backup is restored; the next watcher continues from it")
    return 0


def _bundled(config: Config) -> list[Path]:
    """The folders of the programs that came with the embedded server."""
    from claude_headspace.embedded.binaries import installed
    from claude_headspace.embedded.location import server_record

    record = server_record(config.state.directory)
    found = [record.bin] if record else []
    with suppress(EmbeddedServerError):
        found.append(installed().directory)
    return found


def _database(config: Config) -> Database:
    from claude_headspace.embedded.location import database_url
    from claude_headspace.store.connection import Database
    from claude_headspace.store.patience import Patience
    from claude_headspace.store.version import require_schema

    return Database(
        lambda: database_url(config),
        application_name="claude-headspace",
        patience=Patience(answer_seconds=600.0),
        prepare=require_schema,
    )
