"""Opens a plain connection to the log's server, for programs that may block in the driver."""

from __future__ import annotations

from typing import Any

import psycopg2

from claude_headspace.address import libpq_url
from claude_headspace.errors import ReplacedServer
from claude_headspace.servers.address_hosts import (
    CONNECT_SECONDS,
    AddressHost,
    hosts_of,
    open_first,
)
from claude_headspace.servers.identity import QUESTION, Server, require_current, require_unshared
from claude_headspace.store.opener import require_session
from claude_headspace.store.patience import Patience


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
