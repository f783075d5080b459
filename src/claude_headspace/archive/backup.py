"""`claude-headspace backup` and `restore-backup`: the whole log in one file, and back.

The file is an archive of pg_dump. A pg_restore of the same version or newer reads it, and psql
executes it, because older servers do not know all settings with which a newer pg_restore begins.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

from psycopg2.extensions import make_dsn, parse_dsn

from claude_headspace.address import SECRETS
from claude_headspace.errors import HeadspaceError
from claude_headspace.store.connection import Database, Row
from claude_headspace.store.leases import HELD_LEASES
from claude_headspace.store.opener import current_address

_PROGRAMS = ("pg_dump", "pg_restore", "psql")
_SYSTEM = Path("/usr/lib/postgresql")
_TABLES = (
    "SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p')"
    " AND c.relnamespace = current_schema()::regnamespace"
)
_EMPTY = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"


class BackupImpossible(HeadspaceError):
    """A backup cannot be made or restored."""


class LogServer:
    """The server of the log, as the client programs reach it."""

    def __init__(self, url: str) -> None:
        server = parse_dsn(current_address(url))
        self._url = url
        self.dsn = make_dsn(**{name: text for name, text in server.items() if name not in SECRETS})
        self._password = server.get("password")
        self.version = int(self.ask("SHOW server_version_num")[0][0]) // 10000

    def ask(self, statement: str) -> list[Row]:
        """The rows of one statement. Raises DatabaseError."""
        database = Database(lambda: self._url, application_name="claude-headspace")
        with closing(database):
            return database.execute(statement)

    def environment(self) -> Mapping[str, str]:
        """The environment with the password: other users could see a command line."""
        own = {name: text for name, text in os.environ.items() if not name.startswith("PG")}
        return {**own, "PGPASSWORD": self._password} if self._password else own


def find_clients(at_least: int, more: Iterable[Path], *, newest: bool = False) -> Path:
    """The folder of the oldest sufficient client programs, in `more`, on PATH, or of the system.

    `newest`: the newest instead. Raises BackupImpossible if there are none.
    """
    named = [Path(found).parent for found in (shutil.which("pg_dump"),) if found]
    found = [*named, *more, *_SYSTEM.glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    whole = [d for d in found if all(os.access(d / name, os.X_OK) for name in _PROGRAMS)]
    fit = [(version, d) for d in whole if (version := _version(d)) >= at_least]
    if not fit:
        raise BackupImpossible(
            f"there are no pg_dump, pg_restore and psql of version {at_least} or newer here:"
            " install PostgreSQL's client programs of that version"
        )
    choose = max if newest else min
    return choose(fit, key=lambda found: found[0])[1]


def _version(directory: Path) -> int:
    told = subprocess.run(
        [directory / "pg_dump", "--version"], capture_output=True, text=True, check=False
    ).stdout.split()
    digits = told[2].split(".")[0] if len(told) > 2 else ""
    return int(digits) if digits.isdecimal() else 0


def backup(server: LogServer, clients: Path, target: Path) -> int:
    """Write the log to a private file, completely or not at all; returns its size."""
    if not target.absolute().parent.is_dir():
        raise BackupImpossible(f"{target.absolute().parent} is not a folder: create it first")
    descriptor, fresh = tempfile.mkstemp(prefix=".backup-", dir=target.absolute().parent)
    try:
        with os.fdopen(descriptor, "wb") as out:
            command: list[str | Path] = [
                clients / "pg_dump", "--format=custom", "--compress=1", "--no-owner",
                "--no-privileges", "--dbname", server.dsn,
            ]  # fmt: skip
            done = subprocess.run(
                command, env=server.environment(), stdout=out, stderr=subprocess.PIPE, check=False
            )
            if done.returncode:
                raise BackupImpossible(_last_words(done.stderr))
            out.flush()
            os.fsync(out.fileno())
        Path(fresh).replace(target)
    finally:
        with suppress(FileNotFoundError):
            Path(fresh).unlink()
    return target.stat().st_size


def restore_backup(server: LogServer, clients: Path, source: Path) -> None:
    """Restore a backup into an empty database, in one transaction.

    Raises BackupImpossible, without changes, if the database is not empty or a watcher runs.
    """
    if server.ask(HELD_LEASES):
        raise BackupImpossible(
            "a watcher writes to this database: `claude-headspace supervisorctl stop watcher`"
        )
    tables = [str(row[0]) for row in server.ask(_TABLES)]
    for table in tables:
        if table != "alembic_version" and server.ask(f'SELECT 1 FROM "{table}" LIMIT 1'):  # noqa: S608
            raise BackupImpossible(
                f"the database is not empty ({table} has rows): name an empty one"
            )
    with tempfile.TemporaryFile() as told:
        read = subprocess.Popen(
            [clients / "pg_restore", "--no-owner", "--no-privileges", "--file=-", source],
            stdout=subprocess.PIPE, stderr=told,
        )  # fmt: skip
        write = subprocess.Popen(
            [
                clients / "psql", "--no-psqlrc", "--quiet", "--single-transaction",
                "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--dbname", server.dsn,
            ],
            env=server.environment(), stdin=subprocess.PIPE, stderr=told,
        )  # fmt: skip
        _hand_over(read, write, f"{_EMPTY};\n".encode() if tables else b"")
        if read.returncode or write.wait():
            told.seek(0)
            raise BackupImpossible(_last_words(told.read()))


def _hand_over(read: subprocess.Popen[bytes], write: subprocess.Popen[bytes], first: bytes) -> None:
    """Make one program execute the output of the other: all of it, or nothing."""
    if read.stdout is None or write.stdin is None:
        raise BackupImpossible("the programs of PostgreSQL's client cannot be connected")
    with suppress(BrokenPipeError), write.stdin, read.stdout:
        write.stdin.write(first)
        for line in _fitting(read.stdout):
            write.stdin.write(line)
        # psql commits at the end of its input.
        if read.wait():
            write.kill()
    read.wait()


def _fitting(script: Iterable[bytes]) -> Iterator[bytes]:
    """The script without settings that older servers do not know; data is not changed."""
    begun = False
    for line in script:
        begun = begun or line.startswith((b"CREATE ", b"COPY "))
        if begun or not line.startswith(b"SET transaction_timeout"):
            yield line


def _last_words(told: bytes) -> str:
    return " ".join(told.decode("utf-8", "replace").split())[-500:] or "it printed no message"
