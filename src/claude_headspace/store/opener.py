"""Opens connections to the right server that are shared with nobody.

Every connection uses UTF-8, whatever the environment and the server say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg2
from msgspec import Struct

from claude_headspace.address import libpq_url, told_by_driver
from claude_headspace.errors import DatabaseUnavailable, ReplacedServer, WrongEncoding
from claude_headspace.servers import (
    CONNECT_SECONDS,
    QUESTION,
    AddressHost,
    Server,
    asking,
    hosts_of,
    open_first,
    require_current,
    require_unshared,
)
from claude_headspace.store.failures import DriverError, translate
from claude_headspace.store.name_resolution import Names
from claude_headspace.store.patience import Patience

# Overrides the address, PGCLIENTENCODING, PGOPTIONS and the role's settings.
CLIENT_ENCODING = {"client_encoding": "UTF8"}
_SETTINGS = {
    # Commits wait for the disk only where requested: see write_events and EventWriter.
    "synchronous_commit": "off",
    "timezone": "UTC",
    "lock_timeout": "10s",
    # Every wait has a limit of our own; one of the server's would come again at each try.
    "statement_timeout": "0",
    "idle_session_timeout": "0",
    # Lets a server notice a client that vanished, and release its lock.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_SET = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SETTINGS.items())


class Opened(NamedTuple):
    """`pooled`: there is a pooler, which may share our connection at any time."""

    connection: Any
    server: Server
    pooled: bool
    url: str


class Opener(Struct, frozen=True):
    """Opens connections to an address; `patience` limits every wait."""

    url: Callable[[], str]
    application_name: str
    patience: Patience
    names: Names

    def open(self) -> Opened:
        """Connect to the first host that answers, accepts writes and was not replaced by another.

        Raises DatabaseUnavailable if there is none.
        """
        url = self.url()
        try:
            return open_first(url, lambda host: self._open(url, host), (DatabaseUnavailable,))
        except DriverError as error:
            told = told_by_driver(error)
            raise DatabaseUnavailable(f"the database cannot be reached: {told}") from error

    def require_right(self, opened: Opened) -> None:
        """Raise ReplacedServer if a newer primary was seen since it was opened.

        Raise SharedConnection if another process of the server now serves us.
        """
        require_current(opened.server, opened.url)
        if not opened.pooled:
            return
        (now,) = self._ask(opened.connection, "SELECT pg_backend_pid()")
        require_unshared(ours=now == opened.server.backend)

    def _open(self, url: str, host: AddressHost) -> Opened:
        connection = None
        try:
            address = self.names.resolved(host.dsn, self.patience.look)
            connection = psycopg2.connect(
                address, async_=1, application_name=self.application_name, **CLIENT_ENCODING
            )
            self.patience.wait_for(connection, host.seconds)
            require_utf8(connection)
            return self._meet(connection, url, address, host.seconds)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, DriverError):
                raise DatabaseUnavailable(told_by_driver(error)) from error
            raise

    def _meet(self, connection: Any, url: str, address: str, seconds: float | None) -> Opened:
        """Identify the server, and apply our settings to the connection."""
        backend = connection.info.backend_pid
        # Settings stay for the next client of the connection, so it must be ours alone.
        mine = f"CASE WHEN pg_backend_pid() = {backend} THEN concat({_SET}) END"
        server = Server.of(self._ask(connection, f"{QUESTION}, {mine}", seconds))
        require_current(server, url)
        opened = Opened(connection, server, server.backend != backend, url)
        if opened.pooled:
            require_session(self.patience, address, url, server)
            self.require_right(opened)
            self._ask(connection, f"SELECT {_SET}")
        return opened

    def _ask(
        self, connection: Any, statement: str, seconds: float | None = None
    ) -> tuple[Any, ...]:
        try:
            cursor = connection.cursor()
            cursor.execute(statement)
            self.patience.wait_for(connection, seconds)
            row: tuple[Any, ...] = cursor.fetchone()
        except DriverError as error:
            raise translate(error) from error
        return row


def require_session(patience: Patience, address: str, url: str, ours: Server) -> None:
    """Require that the pooler does not give our idle server connection to anybody else."""
    try:
        beside = patience.finish(asking(address, url), CONNECT_SECONDS)
    except (*DriverError, DatabaseUnavailable) as error:
        import logging

        told = "the pooler has no second connection, its pool is too small: %s"
        logging.getLogger(__name__).warning(told, error)
    else:
        require_unshared(ours=beside.backend != ours.backend)


def require_utf8(connection: Any) -> None:
    """Raise WrongEncoding unless the database behind this connection is encoded in UTF-8."""
    found = connection.get_parameter_status("server_encoding")
    if found not in ("UTF8", None):
        raise WrongEncoding(
            f"the database {connection.info.dbname} is encoded in {found}, and only UTF8 can store"
            " every text: create one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0,"
            " and name it in database.url"
        )


def current_address(url: str) -> str:
    """The address of the one suitable host, for other programs such as psql."""
    if len(hosts_of(url)) == 1:
        return url
    host, connection = _found(url, {})
    connection.close()
    return host.dsn


def open_on(url: str, **options: Any) -> Any:
    """A psycopg2 connection to the first suitable host of the address, in autocommit mode."""
    return _found(url, options)[1]


def _found(url: str, options: dict[str, Any]) -> tuple[AddressHost, Any]:
    def open_host(host: AddressHost) -> tuple[AddressHost, Any]:
        seconds = int(host.seconds or CONNECT_SECONDS)
        connection = psycopg2.connect(host.dsn, connect_timeout=seconds, **options)
        return host, _checked(connection, host, url)

    return open_first(libpq_url(url), open_host, (psycopg2.OperationalError, ReplacedServer))


def _checked(connection: Any, host: AddressHost, url: str) -> Any:
    try:
        connection.autocommit = True
        server = _asked(connection)
        require_current(server, url)
        if server.backend != connection.info.backend_pid:
            require_session(Patience(), host.dsn, url, server)
            require_unshared(ours=_asked(connection).backend == server.backend)
    except BaseException:
        connection.close()
        raise
    return connection


def _asked(connection: Any) -> Server:
    with connection.cursor() as cursor:
        cursor.execute(QUESTION)
        return Server.of(cursor.fetchone())
