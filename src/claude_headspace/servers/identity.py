"""The identity of a server, asked for in steps, and recognising replaced primaries.

A standby that becomes the primary begins a new timeline of the same history. The newest timeline
seen is stored, so that an old primary is recognised when it comes back.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ

from claude_headspace.errors import ReplacedServer, SharedConnection

QUESTION = (
    "SELECT pg_backend_pid(), (SELECT system_identifier::text FROM pg_control_system()),"
    " CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_insert_lsn()) END"
)
_SHARED = (
    "the pooler gives each transaction another connection, but locks, notifications and settings"
    " need one connection: set pool_mode = session for this database, or name the server itself in"
    " database.url"
)


Wait: TypeAlias = tuple[int, bool]
"""A descriptor, and whether to wait until it is writable instead of readable."""
Asking: TypeAlias = Generator[Wait, None, "Server"]


class Server(NamedTuple):
    """`timeline` is None for a standby; `backend` is the process that serves the connection."""

    backend: int
    system: str
    timeline: int | None

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Server:
        """The server from its answer to QUESTION."""
        return cls(row[0], row[1], int(row[2][:8], 16) if row[2] else None)


def asking(address: str, url: str) -> Asking:
    """Connect, ask, and disconnect; `url` is the whole address of which this is one host.

    The caller decides how to wait. Raises psycopg2.Error, and ReplacedServer.
    """
    connection = psycopg2.connect(address, async_=1)
    try:
        yield from finishing(connection)
        cursor = connection.cursor()
        cursor.execute(QUESTION)
        yield from finishing(connection)
        server = Server.of(cursor.fetchone())
        require_current(server, url)
        return server
    finally:
        connection.close()


def finishing(connection: Any) -> Generator[Wait, None, None]:
    """Steps until an asynchronous connection has completed its request."""
    while (wanted := connection.poll()) != POLL_OK:
        yield connection.fileno(), wanted != POLL_READ


def require_unshared(*, ours: bool) -> None:
    """Raise SharedConnection if the server's process serves other clients, too."""
    if not ours:
        raise SharedConnection(_SHARED)


def require_current(server: Server, url: str) -> None:
    """Raise ReplacedServer for a timeline older than one seen before at this address."""
    directory: Path | None = getattr(url, "seen", None)
    if directory is None or server.timeline is None:
        return
    # Each is the name of a file: creating one never undoes another.
    found = [0]
    with suppress(OSError):
        known = directory.glob(f"{server.system}-*")
        found += [int(path.name.rpartition("-")[2]) for path in known]
    newest = max(found)
    if server.timeline < newest:
        raise ReplacedServer(
            f"this is an old primary that was replaced: it is on timeline {server.timeline}, and"
            f" timeline {newest} was seen; stop it, or make it a standby of the new one (if it is"
            f" the right server nevertheless, remove {directory}/{server.system}-*)"
        )
    if server.timeline > newest:
        _remember(directory, server)


def _remember(directory: Path, server: Server) -> None:
    # A reader that cannot write here relies on what the watcher has stored.
    with suppress(OSError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / f"{server.system}-{server.timeline}").touch(mode=0o600)
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
