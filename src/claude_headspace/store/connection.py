"""One connection to Postgres on which nothing ever waits blindly.

psycopg2's blocking calls hang with a frozen server, and Python's signal handlers with them. So
the connection is asynchronous, and every wait is ours: bounded, and interrupted by `beat`.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import psycopg2
from psycopg2 import extensions

from claude_headspace.address import told_by_driver
from claude_headspace.errors import DatabaseError, DatabaseRefused, DatabaseUnavailable
from claude_headspace.store.encoding import CLIENT_ENCODING, require_utf8
from claude_headspace.store.failures import DriverError, passes_in_place, translate
from claude_headspace.store.hosts import Host, hosts_of
from claude_headspace.store.names import Names
from claude_headspace.store.patience import Patience
from claude_headspace.store.precondition import Precondition

_SETTINGS = (
    # Commits wait for the disk where it is said so: see write_events and EventWriter.
    "SET synchronous_commit = off; SET timezone = 'UTC'; SET lock_timeout = '10s';"
    # A server learns of a client that vanished without a word, and lets go of its lock.
    "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
)

_DURABLY = "SELECT set_config('synchronous_commit', 'on', true); "

Row = tuple[Any, ...]


class Database:
    """A connection that is made when needed, and made anew after it was lost.

    `generation` grows with every new connection: what was learnt on an older one may have been
    taken back by a crash or a failover. `prepare` is run on each new connection; when it raises,
    the connection is dropped. With `by_itself` false, only `connect` connects: what is asked of a
    lost connection fails, so that nothing that was read before goes on over a new one.
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
        self._url = url
        self._application_name = application_name
        self._patience = patience or Patience()
        self._prepare = prepare
        self._by_itself = by_itself
        self._names = names or Names()
        self._connection: Any = None
        self.generation = 0

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._connection is not None and not self._connection.closed

    def precondition(self) -> Precondition:
        """What is read from here on may be written as long as this connection lasts."""
        self._be_connected()
        return Precondition(self.generation)

    def holds(self, precondition: Precondition | None) -> bool:
        """Whether a write may be tried; without a precondition, whether that may succeed."""
        if precondition is None:
            return self._by_itself or self.connected
        return self.connected and precondition.connection == self.generation

    def require(self, precondition: Precondition | None) -> None:
        """Raises DatabaseUnavailable where a write must not be tried."""
        if not self.holds(precondition):
            raise DatabaseUnavailable("the connection to the database was lost")

    def fileno(self) -> int | None:
        """The connection's socket, readable when a notification has come."""
        if not self.connected:
            return None
        descriptor: int = self._connection.fileno()
        return descriptor

    def connect(self) -> None:
        """Connect unless connected; DatabaseUnavailable when that fails.

        Of several hosts in the address the first is taken that answers and takes writes.
        """
        if self.connected:
            return
        problems: list[str] = []
        for host in self._hosts():
            try:
                self._connect_to(host)
                break
            except DatabaseUnavailable as error:
                problems.append(str(error))
        else:
            told = "; ".join(dict.fromkeys(problems))
            raise DatabaseUnavailable(f"the database cannot be reached: {told}")
        self.generation += 1
        self._begin()

    def _hosts(self) -> list[Host]:
        try:
            return hosts_of(self._url())
        except DriverError as error:
            told = told_by_driver(error)
            raise DatabaseUnavailable(f"the database cannot be reached: {told}") from error

    def _connect_to(self, host: Host) -> None:
        try:
            url = self._names.resolved(host.dsn, self._patience.look)
            self._connection = psycopg2.connect(
                url, async_=1, application_name=self._application_name, **CLIENT_ENCODING
            )
            self._patience.wait_for(self._connection, host.seconds)
        except DriverError as error:
            self.close()
            raise DatabaseUnavailable(" ".join(str(error).split())) from error
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        try:
            require_utf8(self._connection)
            self.execute(_SETTINGS)
            if self._prepare:
                self._prepare(self)
        except BaseException:
            self.close()
            raise

    def _be_connected(self) -> None:
        self.require(None)
        self.connect()

    def close(self) -> None:
        """Drop the connection; what is under way on it may or may not happen."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg2.Error):
                connection.close()

    def execute(
        self,
        statement: str,
        values: Sequence[Any] | Mapping[str, Any] = (),
        meanwhile: Callable[[], bool] | None = None,
    ) -> list[Row]:
        """Run one statement, or several without values as one transaction; rows of the last.

        `meanwhile` is called while the answer is not there, until it returns False; it must not
        use this connection.
        Raises DatabaseRefused where Postgres refuses the values, DatabaseUnavailable for all
        else, with the connection dropped.
        """
        self._be_connected()
        try:
            cursor = self._connection.cursor()
            cursor.execute(statement, values or None)
            self._use_time(meanwhile)
            self._patience.wait_for(self._connection)
            return list(cursor.fetchall()) if cursor.description else []
        except DriverError as error:
            raise self._failed(error) from error
        except BaseException:
            self.close()
            raise

    def store(
        self,
        statements: Sequence[str],
        precondition: Precondition,
        *,
        durably: bool = False,
    ) -> list[Row]:
        """Run statements as one transaction, if what they rest on holds; rows of the last."""
        self.require(precondition)
        if not statements:
            return []
        return self.execute((_DURABLY if durably else "") + "; ".join(statements))

    def execute_durably(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """The same, and what it changed is on the disk when this returns.

        For rows that others refer to by their id: a crash of Postgres must not take them back.
        """
        return self.execute(_DURABLY + statement, values)

    def mogrify(self, statement: str, values: Sequence[Any] | Mapping[str, Any]) -> str:
        """The statement with its values in place, to be joined with others."""
        self._be_connected()
        try:
            composed: bytes = self._connection.cursor().mogrify(statement, values)
        except DriverError as error:
            raise self._failed(error) from error
        return composed.decode()

    def notified(self) -> list[str]:
        """Channels notified since the last call, without waiting."""
        if self._connection is None:
            return []
        try:
            self._connection.poll()
        except DriverError as error:
            raise self._failed(error) from error
        channels = [notification.channel for notification in self._connection.notifies]
        self._connection.notifies.clear()
        return channels

    def _failed(self, error: BaseException) -> DatabaseError:
        failure = translate(error)
        if not isinstance(failure, DatabaseRefused) and not passes_in_place(error):
            self.close()
        return failure

    def _use_time(self, meanwhile: Callable[[], bool] | None) -> None:
        if meanwhile is None or self._connection.poll() != extensions.POLL_READ:
            return
        while not select.select([self._connection], [], [], 0)[0] and meanwhile():
            self._patience.beat()
