"""A connection to Postgres on which every wait is limited.

psycopg2's blocking calls hang with a frozen server, and Python's signal handlers with them. So the
connection is asynchronous, and every wait is our own, with a limit and regular calls of `beat`.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from psycopg2 import extensions

from claude_headspace.errors import CommitRefused, DatabaseRefused, DatabaseUnavailable
from claude_headspace.store.failures import DriverError, passes_in_place, translate
from claude_headspace.store.name_resolution import Names
from claude_headspace.store.opener import Opened, Opener
from claude_headspace.store.patience import Patience
from claude_headspace.store.precondition import Precondition

# How often to check whether the server was replaced, or a pooler shares the connection.
_ASK_AGAIN_SECONDS = 2.0
_DURABLY = "SELECT set_config('synchronous_commit', 'on', true); "
# Writes only to the write-ahead log, whose flush includes everything before it.
_FLUSH = "SELECT pg_logical_emit_message(true, 'claude_headspace', '')"

Row = tuple[Any, ...]
Values = Sequence[Any] | Mapping[str, Any]
# Called while waiting for an answer, until it returns False.
Meanwhile = Callable[[], bool]
Answered = Callable[[list[Row]], object]


class Database:
    """A connection that is opened when needed, and reopened after a loss.

    `connection_number` grows with every new connection: a crash or failover may have undone what
    was read over an older one. `prepare` runs on each new connection; if it raises, the connection
    is closed. With `by_itself` false, only `connect` connects: requests on a lost connection fail,
    so that work based on an old connection does not continue on a new one.
    """

    def __init__(
        self,
        url: Callable[[], str],
        *,
        application_name: str,
        patience: Patience | None = None,
        prepare: Callable[[Database], None] | None = None,
        by_itself: bool = True,
        names: Names | None = None,
    ) -> None:
        self._patience = patience or Patience()
        self._opener = Opener(url, application_name, self._patience, names or Names())
        self._prepare = prepare
        self._by_itself = by_itself
        self._opened: Opened | None = None
        self._asked_at = 0.0
        # What was sent and has no answer yet, and what to do with its rows.
        self._sent: tuple[Any, Answered] | None = None
        self.connection_number = 0

    @property
    def _connection(self) -> Any:
        return self._opened.connection if self._opened else None

    @property
    def timeline(self) -> int | None:
        """The server's timeline; None for a standby, or without a connection."""
        return self._opened.server.timeline if self._opened else None

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._connection is not None and not self._connection.closed

    def precondition(self) -> Precondition:
        """The precondition of writes based on what is read over this connection."""
        self._be_connected()
        return Precondition(self.connection_number)

    def holds(self, precondition: Precondition | None) -> bool:
        """Whether a precondition holds; without one, whether a connection may succeed."""
        if precondition is None:
            return self._by_itself or self.connected
        return self.connected and precondition.connection == self.connection_number

    def require(self, precondition: Precondition | None) -> None:
        """Raises DatabaseUnavailable unless the precondition holds."""
        if not self.holds(precondition):
            raise DatabaseUnavailable("the connection to the database was lost")

    def fileno(self) -> int | None:
        """The connection's socket, readable when a notification has arrived."""
        if not self.connected:
            return None
        descriptor: int = self._connection.fileno()
        return descriptor

    def connect(self) -> None:
        """Connect unless connected; raises DatabaseUnavailable.

        Of several hosts in the address, the first one is used that answers, accepts writes and was
        not replaced by another.
        """
        if self.connected:
            return
        self._opened = self._opener.open()
        self._asked_at = time.monotonic()
        self.connection_number += 1
        if self._prepare:
            try:
                self._prepare(self)
            except BaseException:
                self.close()
                raise

    def _require_right_if_due(self) -> None:
        """Close a connection to a server that was replaced, or one that a pooler shares."""
        opened = self._opened
        if opened and time.monotonic() >= self._asked_at + _ASK_AGAIN_SECONDS:
            try:
                self._opener.require_right(opened)
            except BaseException:
                self.close()
                raise
            self._asked_at = time.monotonic()

    def _be_connected(self) -> None:
        self.require(None)
        self.connect()

    def close(self) -> None:
        """Close the connection; pending statements may or may not take effect."""
        opened, self._opened, self._sent = self._opened, None, None
        if opened is not None:
            with suppress(psycopg2.Error):
                opened.connection.close()

    def execute(
        self, statement: str, values: Values = (), meanwhile: Meanwhile | None = None
    ) -> list[Row]:
        """Run one statement, or several without values as one transaction; rows of the last.

        `meanwhile` is called while waiting for the answer, until it returns False; it must not use
        this connection. Raises DatabaseRefused if Postgres refuses the values; for all other errors
        DatabaseUnavailable, with the connection closed.
        """
        return self._answer(self._send(statement, values), meanwhile)

    def _send(self, statement: str, values: Values) -> Any:
        self._be_connected()
        self.finish_writes()
        self._require_right_if_due()
        with self._closed_by_errors():
            cursor = self._connection.cursor()
            cursor.execute(statement, values or None)
            return cursor

    def _answer(self, cursor: Any, meanwhile: Meanwhile | None) -> list[Row]:
        with self._closed_by_errors():
            self._use_time(meanwhile)
            self._patience.wait_for(self._connection)
            return list(cursor.fetchall()) if cursor.description else []

    @contextmanager
    def _closed_by_errors(self) -> Iterator[None]:
        try:
            yield
        except DriverError as error:
            failure = translate(error)
            if not isinstance(failure, DatabaseRefused) and not passes_in_place(error):
                self.close()
            raise failure from error
        except BaseException:
            self.close()
            raise

    def finish_writes(self, meanwhile: Meanwhile | None = None) -> None:
        """Wait for the answer to `execute_later`, if one is due; every request does this first.

        Raises CommitRefused or DatabaseUnavailable.
        """
        if self._sent is None:
            return
        (cursor, answered), self._sent = self._sent, None
        try:
            rows = self._answer(cursor, meanwhile)
        except DatabaseRefused as error:
            raise CommitRefused(str(error)) from error
        answered(rows)

    def execute_later(self, statement: str, values: Values = (), answered: Answered = len) -> None:
        """Like `execute`, without waiting: `finish_writes` calls `answered` with the rows."""
        self._sent = self._send(statement, values), answered

    def store(
        self,
        statements: Sequence[str],
        precondition: Precondition,
        *,
        durably: bool = False,
        meanwhile: Meanwhile | None = None,
    ) -> list[Row]:
        """Run statements as one transaction, if the precondition holds; rows of the last."""
        self.require(precondition)
        if not statements:
            return []
        statement = (_DURABLY if durably else "") + "; ".join(statements)
        return self.execute(statement, meanwhile=meanwhile)

    def execute_durably(self, statement: str, values: Values = ()) -> list[Row]:
        """The same, with the changes on disk when this returns.

        For rows to which others refer by id: a crash of Postgres must not undo them.
        """
        return self.execute(_DURABLY + statement, values)

    def flush(self) -> None:
        """Put everything that was committed before on disk."""
        self.execute_durably(_FLUSH)

    def mogrify(self, statement: str, values: Values) -> str:
        """The statement with its values in place, to be joined with others."""
        self._be_connected()
        with self._closed_by_errors():
            composed: bytes = self._connection.cursor().mogrify(statement, values)
        return composed.decode()

    def notified(self) -> list[str]:
        """Channels notified since the last call, without waiting."""
        if self._connection is None:
            return []
        self.finish_writes()
        self._require_right_if_due()
        with self._closed_by_errors():
            self._connection.poll()
        channels = [notification.channel for notification in self._connection.notifies]
        self._connection.notifies.clear()
        return channels

    def _use_time(self, meanwhile: Meanwhile | None) -> None:
        if meanwhile is None or self._connection.poll() != extensions.POLL_READ:
            return
        while not select.select([self._connection], [], [], 0)[0] and meanwhile():
            self._patience.beat()
