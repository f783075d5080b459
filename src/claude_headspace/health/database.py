"""One round trip to Postgres that ends in time, whether the server is away, frozen or far."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ

from claude_headspace.address import told_by_driver
from claude_headspace.errors import HeadspaceError
from claude_headspace.health.observation import DatabasePing, Problem

TIME_LIMIT_SECONDS = 0.5
_RESOLVING_SECONDS = 0.1


class PingDeadline(HeadspaceError):
    """The server has not answered in time."""


class DatabaseProbe:
    """Pings in a thread, because looking up a host name cannot be given a time limit.

    Callers at the same moment share one ping, and a hanging one is never joined by a second.
    """

    def __init__(self, url: Callable[[], str], limit_seconds: float = TIME_LIMIT_SECONDS) -> None:
        self._url = url
        self._limit = limit_seconds
        self._lock = threading.Lock()
        self._running: _Ping | None = None

    def start(self) -> Callable[[], DatabasePing | Problem]:
        """Begin, and return what waits for the answer, at most for the limit and a little."""
        with self._lock:
            if self._running is None or not self._running.is_alive():
                self._running = _Ping(self._url, self._limit)
                self._running.start()
            ping = self._running
        deadline = time.monotonic() + self._limit + _RESOLVING_SECONDS

        def wait() -> DatabasePing | Problem:
            ping.join(max(0.0, deadline - time.monotonic()))
            return ping.result or Problem(f"no answer within {self._limit:g} s")

        return wait


class _Ping(threading.Thread):
    def __init__(self, url: Callable[[], str], limit_seconds: float) -> None:
        super().__init__(name="database-ping", daemon=True)
        self._url = url
        self._limit = limit_seconds
        self.result: DatabasePing | Problem | None = None

    def run(self) -> None:
        try:
            self.result = DatabasePing(ping(self._url(), self._limit))
        except (psycopg2.Error, HeadspaceError, OSError) as error:
            self.result = Problem(told_by_driver(error))


def ping(url: str, limit_seconds: float) -> float:
    """Seconds for connecting and one statement; raises psycopg2.Error or PingDeadline."""
    began = time.monotonic()
    connection = psycopg2.connect(url, async_=1)
    try:
        _finish(connection, began + limit_seconds)
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        _finish(connection, began + limit_seconds)
    finally:
        connection.close()
    return time.monotonic() - began


def _finish(connection: psycopg2.extensions.connection, deadline: float) -> None:
    while (wanted := connection.poll()) != POLL_OK:
        left = deadline - time.monotonic()
        watched = [connection.fileno()]
        reading = wanted == POLL_READ
        ready = select.select(
            watched if reading else (), () if reading else watched, (), max(0, left)
        )
        if left <= 0 or not any(ready):
            raise PingDeadline("no answer in time")
