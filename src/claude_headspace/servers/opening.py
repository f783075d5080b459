"""Opens a plain connection to the log's server, for programs that may block in the driver."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psycopg2

from claude_headspace.address import libpq_url, told_by_driver
from claude_headspace.errors import DatabaseUnavailable, ReplacedServer
from claude_headspace.servers.asking import asking, finished
from claude_headspace.servers.hosts import CONNECT_SECONDS, Host, hosts_of
from claude_headspace.servers.identity import (
    QUESTION,
    Server,
    require_current,
    require_unshared,
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


def _found(url: str, options: dict[str, Any]) -> tuple[Host, Any]:
    hosts = hosts_of(libpq_url(url))
    problems = []
    for host in hosts:
        seconds = int(host.seconds or CONNECT_SECONDS)
        try:
            connection = psycopg2.connect(host.dsn, connect_timeout=seconds, **options)
            return host, _checked(connection, host, url)
        except (psycopg2.OperationalError, ReplacedServer) as error:
            if len(hosts) == 1:
                raise
            problems.append(told_by_driver(error))
    told = "; ".join(dict.fromkeys(problems))
    raise DatabaseUnavailable(f"the database cannot be reached: {told}")


def _checked(connection: Any, host: Host, url: str) -> Any:
    try:
        connection.autocommit = True
        server = _asked(connection)
        require_current(server, url)
        if server.backend != connection.info.backend_pid:
            _require_session(connection, server, host, url)
    except BaseException:
        connection.close()
        raise
    return connection


def _asked(connection: Any) -> Server:
    with connection.cursor() as cursor:
        cursor.execute(QUESTION)
        return Server.of(cursor.fetchone())


def _require_session(connection: Any, server: Server, host: Host, url: str) -> None:
    """Require that the pooler does not give our idle server connection to anybody else."""
    with suppress(psycopg2.Error):
        beside = finished(asking(host.dsn, url), CONNECT_SECONDS)
        require_unshared(ours=beside is None or beside.backend != server.backend)
    require_unshared(ours=_asked(connection).backend == server.backend)
