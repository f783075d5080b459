"""Connections that can only read, few of them, each statement with a limit of time.

Every statement is a transaction of its own: nothing here holds back the server's vacuum, and
nothing is asked on the watcher's connection.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from claude_headspace.errors import DatabaseUnavailable, QuestionTooLong
from claude_headspace.store.connection import Database, Row
from claude_headspace.store.patience import Patience
from claude_headspace.store.version import VERSION, require_version

READER_ROLE = "claude_headspace_reader"
STATEMENT_SECONDS = 5.0
CONNECTIONS = 4
# An idle connection is a server process; after so long it is given back.
IDLE_SECONDS = 60.0
_CANCELLED = "(SQLSTATE 57014)"
_SETTINGS = (
    "SET default_transaction_read_only = on; SET statement_timeout = {milliseconds};"
    " SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '1s'; SET jit = off"
)
# What SET ROLE does, where the role is there and may be taken.
_TAKE_ROLE = (
    "SELECT set_config('role', rolname, false) FROM pg_roles"
    " WHERE rolname = %s AND pg_has_role(oid, 'MEMBER')"
)

Values = Sequence[Any] | Mapping[str, Any]
Made = TypeVar("Made")


class Reader:
    """One connection of the pool, for as long as one question takes."""

    def __init__(self, database: Database, machine: str | None = None) -> None:
        self._database = database
        self.machine = machine

    def rows(self, statement: str, values: Values = (), seconds: float = 0) -> list[Row]:
        """Rows of one statement, values as %s or %(name)s; QuestionTooLong after its time."""
        limit = f"SET LOCAL statement_timeout = {max(1, int(1000 * seconds))}; " if seconds else ""
        try:
            return self._database.execute(limit + statement, values)
        except DatabaseUnavailable as error:
            if _CANCELLED in str(error):
                raise QuestionTooLong(
                    f"this question takes more than {seconds or STATEMENT_SECONDS:g} s: it was"
                    " stopped so that nothing else waits; ask for less, such as a shorter time"
                ) from error
            raise

    def fetch(
        self, make: Callable[..., Made], statement: str, values: Values = (), seconds: float = 0
    ) -> list[Made]:
        """The same rows, each made into one thing from its columns in order."""
        return [make(*row) for row in self.rows(statement, values, seconds)]

    def first(self, statement: str, values: Values = ()) -> Row | None:
        """The first row, or None."""
        rows = self.rows(statement, values)
        return rows[0] if rows else None

    def value(self, statement: str, values: Values = ()) -> Any:
        """The first column of the first row; None without one."""
        row = self.first(statement, values)
        return row[0] if row else None


class ReadPool:
    """Lends connections to threads: `with pool.reading() as reader: reader.rows(...)`.

    `url` is asked at each new connection; files of `machine` are here. Who finds all of
    them lent waits for one, no longer than a statement may take; then DatabaseUnavailable.
    """

    def __init__(
        self,
        url: Callable[[], str],
        machine: Callable[[], str | None] = lambda: None,
        connections: int = CONNECTIONS,
    ) -> None:
        self._url = url
        self._machine = machine
        self._free = threading.BoundedSemaphore(connections)
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Database]] = []

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """A connection for one question."""
        if not self._free.acquire(timeout=STATEMENT_SECONDS):
            raise DatabaseUnavailable("too many questions at once: ask again in a moment")
        try:
            database = self._take()
            try:
                yield Reader(database, self._machine())
            finally:
                self._give_back(database)
        finally:
            self._free.release()

    def close_idle(self, seconds: float = IDLE_SECONDS) -> None:
        """Close connections that nobody has used for so long."""
        before = time.monotonic() - seconds
        with self._lock:
            old = [database for used, database in self._idle if used <= before]
            self._idle = [(used, each) for used, each in self._idle if used > before]
        for database in old:
            database.close()

    def _take(self) -> Database:
        with self._lock:
            if self._idle:
                return self._idle.pop()[1]
        return Database(
            self._url,
            application_name="claude-headspace read",
            patience=Patience(answer_seconds=STATEMENT_SECONDS * 2),
            prepare=only_reads,
        )

    def _give_back(self, database: Database) -> None:
        if database.connected:
            with self._lock:
                self._idle.append((time.monotonic(), database))
        self.close_idle()


def only_reads(database: Database) -> None:
    """Make a connection one that only reads, of this version's log, and no longer than it may."""
    settings = _SETTINGS.format(milliseconds=int(STATEMENT_SECONDS * 1000))
    require_version(database.execute(f"{settings}; {VERSION}"))
    database.execute(_TAKE_ROLE, [READER_ROLE])
