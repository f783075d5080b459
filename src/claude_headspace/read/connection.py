"""A few read-only connections with a time limit for each statement.

Every statement is its own transaction: nothing here holds back the server's vacuum or uses the
watcher's connection.
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
from claude_headspace.store.version import require_schema

READER_ROLE = "claude_headspace_reader"
STATEMENT_SECONDS = 5.0
CONNECTIONS = 4
# An idle connection costs a server process; after this time it is closed.
IDLE_SECONDS = 60.0
_CANCELLED = "(SQLSTATE 57014)"
_SETTINGS = (
    "SET default_transaction_read_only = on; SET statement_timeout = {milliseconds};"
    " SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '1s'; SET jit = off"
)
# The schema's version, and SET ROLE, if the role exists and may be used.
_BEGIN = (
    "SELECT version_num, (SELECT set_config('role', rolname, false) FROM pg_roles"
    f" WHERE rolname = '{READER_ROLE}' AND pg_has_role(oid, 'MEMBER')) FROM alembic_version"
)

# For turns of given sessions. A plain comparison would let Postgres read the index of all turns
# for each session when it has no statistics yet, as in the first minute of a log.
IS_TURN = "(event_type = 'turn_detected') IS TRUE"

Values = Sequence[Any] | Mapping[str, Any]
Made = TypeVar("Made")


class Reader:
    """One connection of the pool, for the time of one query."""

    def __init__(
        self, database: Database, machine: str | None = None, seconds: float = STATEMENT_SECONDS
    ) -> None:
        self._database = database
        self._seconds = seconds
        self.machine = machine

    def connect(self) -> None:
        """Connect now, so that an error is not one of the first query."""
        self._database.connect()

    def rows(self, statement: str, values: Values = (), seconds: float = 0) -> list[Row]:
        """Rows of one statement, values as %s or %(name)s; QuestionTooLong after its time limit."""
        limit = f"SET LOCAL statement_timeout = {max(1, int(1000 * seconds))}; " if seconds else ""
        try:
            return self._database.execute(limit + statement, values)
        except DatabaseUnavailable as error:
            if _CANCELLED in str(error):
                raise QuestionTooLong(
                    f"this query took more than {seconds or self._seconds:g} s and was stopped:"
                    " narrow it, for example to a shorter time"
                ) from error
            raise

    def fetch(self, make: Callable[..., Made], statement: str, values: Values = ()) -> list[Made]:
        """The same rows, each made into an object from its columns in order."""
        return [make(*row) for row in self.rows(statement, values)]

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

    `url` is called for each new connection; files of `machine` are on this machine. If all
    connections are lent, a caller waits as long as a statement may take; then DatabaseUnavailable.
    """

    def __init__(
        self,
        url: Callable[[], str],
        machine: Callable[[], str | None] = lambda: None,
        connections: int = CONNECTIONS,
        seconds: float = STATEMENT_SECONDS,
    ) -> None:
        self._url = url
        self._machine = machine
        self._seconds = seconds
        self._free = threading.BoundedSemaphore(connections)
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Database]] = []

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """A connection for one query."""
        if not self._free.acquire(timeout=self._seconds):
            raise DatabaseUnavailable("too many queries at once: try again in a moment")
        try:
            database = self._take()
            try:
                yield Reader(database, self._machine(), self._seconds)
            finally:
                self._give_back(database)
        finally:
            self._free.release()

    def close_idle(self, seconds: float = IDLE_SECONDS) -> None:
        """Close connections that have been idle for this time."""
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
            patience=Patience(answer_seconds=self._seconds * 2),
            prepare=lambda database: only_reads(database, self._seconds),
        )

    def _give_back(self, database: Database) -> None:
        if database.connected:
            with self._lock:
                self._idle.append((time.monotonic(), database))
        self.close_idle()


def only_reads(database: Database, seconds: float = STATEMENT_SECONDS) -> None:
    """Make a connection read-only, with a time limit for statements, and check the schema."""
    settings = _SETTINGS.format(milliseconds=int(seconds * 1000))
    require_schema(database, f"{settings}; ", _BEGIN)
