"""What a server says of itself, and which servers were replaced.

A standby that becomes the primary begins a new timeline of the same history. Who was there keeps
its number, so that the old primary, should it come back as if nothing had happened, is known.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from claude_headspace.errors import ReplacedServer, SharedConnection

QUESTION = (
    "SELECT pg_backend_pid(), (SELECT system_identifier::text FROM pg_control_system()),"
    " CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_insert_lsn()) END"
)


_SHARED = (
    "the pooler in between gives each transaction another connection, and locks, notifications and"
    " settings need one of their own: set pool_mode = session for this database, or name the"
    " server itself in database.url"
)


class Server(NamedTuple):
    """`timeline` is None of a standby; `backend` is the process that serves the connection."""

    backend: int
    system: str
    timeline: int | None

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Server:
        """From the answer to QUESTION."""
        return cls(row[0], row[1], int(row[2][:8], 16) if row[2] else None)


def require_unshared(*, ours: bool) -> None:
    """Raise SharedConnection where the server's end of a connection is not its client's alone."""
    if not ours:
        raise SharedConnection(_SHARED)


def require_current(server: Server, url: str) -> None:
    """Raise ReplacedServer for a timeline that is older than one seen at this address before."""
    directory: Path | None = getattr(url, "seen", None)
    if directory is None or server.timeline is None:
        return
    newest = _newest(directory, server.system)
    if server.timeline < newest:
        raise ReplacedServer(
            f"this is an old primary that was replaced: it is on timeline {server.timeline}, and"
            f" timeline {newest} was seen; stop it, or make it a standby of the new one (if it is"
            f" the right server all the same, remove {directory}/{server.system}-*)"
        )
    if server.timeline > newest:
        _remember(directory, server)


def _newest(directory: Path, system: str) -> int:
    """The names of files say it: whoever makes one takes back no other's."""
    found = [0]
    with suppress(OSError):
        found += [int(path.name.rpartition("-")[2]) for path in directory.glob(f"{system}-*")]
    return max(found)


def _remember(directory: Path, server: Server) -> None:
    # Who may read the log, but not write here, has only what the watcher remembers.
    with suppress(OSError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / f"{server.system}-{server.timeline}").touch(mode=0o600)
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
