"""Finding the log's server: the hosts of its address, and the identity of a server.

libpq can try a list of hosts itself, but on an asynchronous connection without a time limit: it
would wait for ever for a first host that is frozen.

A standby that becomes the primary begins a new timeline of the same history. The newest timeline
seen is stored, so that an old primary is recognised when it comes back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, make_dsn, parse_dsn

from claude_headspace.address import told_by_driver
from claude_headspace.errors import DatabaseUnavailable, ReplacedServer, SharedConnection

Answer = TypeVar("Answer")

# For each of several hosts; an address may say `connect_timeout`.
CONNECT_SECONDS = 5.0
_LISTS = ("host", "hostaddr", "port")
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


class AddressHost(NamedTuple):
    """One host's own address; `seconds`: how long to wait for it, None for no limit."""

    dsn: str
    seconds: float | None = None


def hosts_of(address: str) -> list[AddressHost]:
    """Each host of the address, in order; of several, only one that accepts writes is suitable."""
    given = parse_dsn(address)
    lists = {name: given[name].split(",") for name in _LISTS if given.get(name)}
    count = max((len(lists.get(name, ())) for name in ("host", "hostaddr")), default=0)
    if count < 2:
        return [AddressHost(address)]
    seconds = float(given.get("connect_timeout") or 0) or CONNECT_SECONDS
    shared = {"target_session_attrs": "read-write", **given}
    # A single port applies to all hosts.
    each = {name: of if len(of) > 1 else of * count for name, of in lists.items()}
    parts = ({name: of[number] for name, of in each.items()} for number in range(count))
    return [AddressHost(make_dsn(**{**shared, **own}), seconds) for own in parts]


def open_first(
    address: str, open_host: Callable[[AddressHost], Answer], passed: tuple[type[Exception], ...]
) -> Answer:
    """What `open_host` returns for the first host at which it raises none of `passed`.

    Otherwise raises DatabaseUnavailable with the errors of all hosts, or the error of the only one.
    """
    hosts = hosts_of(address)
    problems: dict[str, None] = {}
    for host in hosts:
        try:
            return open_host(host)
        except passed as error:
            if len(hosts) == 1 and type(error) is not DatabaseUnavailable:
                raise
            problems[told_by_driver(error)] = None
    raise DatabaseUnavailable(f"the database cannot be reached: {'; '.join(problems)}")


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
        known = [path.name.rpartition("-")[2] for path in directory.glob(f"{server.system}-*")]
        found += map(int, filter(str.isdecimal, known))
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
