"""Asks a server for its identity in steps, so that the caller decides how to wait."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ

from claude_headspace.servers.identity import QUESTION, Server, require_current

Wait: TypeAlias = tuple[int, bool]
"""A descriptor, and whether to wait until it is writable instead of readable."""
Asking: TypeAlias = Generator[Wait, None, Server]


def asking(address: str, url: str) -> Asking:
    """Connect, ask, and disconnect; `url` is the whole address of which this is one host.

    Raises psycopg2.Error, and ReplacedServer.
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
