"""Reading the log as it grows, from any number of writers, without losing or repeating an event.

Three things make "give me the ids above the last one" wrong, and this right:

- A transaction that took a smaller id may commit later. An id counts as settled only when every
  transaction that held the table open for writing at a later moment has ended; until then the
  events above it are told apart one by one.
- After a crash of Postgres, events that were visible but not yet on its disk are gone, and their
  ids are given again. So nothing is handed out, and no id counts as settled, before the server's
  own log is flushed beyond it.
- A notification may be missed with its connection, so the table is looked at now and then anyway.
"""

from __future__ import annotations

import select as sockets
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg2
from sqlalchemy import Connection, RowMapping, func, select, text

from claude_headspace.store.failures import translate
from claude_headspace.store.queries import EventFilter, events_after, newest_events
from claude_headspace.store.tables import events
from claude_headspace.store.writer import EVENTS_CHANNEL

PAGE_EVENTS = 500
LOOK_SECONDS = 0.5

_WRITERS = text(
    "SELECT l.virtualtransaction, extract(epoch FROM"
    " coalesce(a.xact_start, clock_timestamp() - interval '1 hour'))"
    " FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.relation = 'events'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_BEFORE = text(
    "SELECT id FROM events WHERE recorded_at < to_timestamp(:moment) ORDER BY id DESC LIMIT 1"
)
# A message in the server's log that nobody reads: committing it flushes all that came before.
_FLUSH = text(
    "SELECT CASE WHEN pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn()"
    " THEN pg_logical_emit_message(true, 'claude_headspace', '') END"
)
_ONE_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


class Follower:
    """One reader of the log. It outlives its connections: give each call the one of the moment,
    opened with `listen`.

    `floor` is the id up to which everything was handed out: who stores it after each event, and
    starts again from it, misses nothing, and knows by `event_key` and `session_uuid` what it has
    had already.
    """

    def __init__(self, wanted: EventFilter, floor: int = 0) -> None:
        self.floor = floor
        self._wanted = wanted
        self._known: set[int] = set()
        self._highest = floor
        self._candidate: tuple[int, frozenset[str]] | None = None

    def listen(self, connection: Connection) -> None:
        """Prepare a new connection."""
        connection.execute(text(f"LISTEN {EVENTS_CHANNEL}"))
        connection.execute(text("SET synchronous_commit = on"))
        connection.commit()
        self._candidate = None

    def start(self, connection: Connection, limit: int | None) -> Sequence[RowMapping]:
        """The newest events that are there now, newest last; what comes later is for `poll`."""
        self.floor = self._highest = _highest_id(connection)
        if writers := _writers(connection):
            oldest = {"moment": min(writers.values())}
            self.floor = connection.execute(_BEFORE, oldest).scalar() or 0
        above = select(events.c.id).where(events.c.id > self.floor)
        connection.commit()
        connection.execute(_ONE_SNAPSHOT)
        newest = connection.execute(newest_events(self._wanted, limit)).mappings().all()
        self._known = set(connection.execute(above).scalars())
        _flush(connection)
        return newest

    def poll(self, connection: Connection) -> Iterator[RowMapping]:
        """Events that have become visible since the last call, in the order of their ids.

        After an error the next call goes on where this one stopped.
        """
        writers = frozenset(_writers(connection))
        if self._candidate is None and self._highest > self.floor:
            self._candidate = (self._highest, writers)
        yield from self._new_events(connection)
        if self._candidate and not self._candidate[1] & writers:
            self._settle(self._candidate[0])
        highest = _highest_id(connection)
        _flush(connection)
        self._highest = max(self._highest, highest)

    def wait(self, connection: Connection, seconds: float = LOOK_SECONDS) -> None:
        """Until a writer notifies, but no longer than this."""
        driver: Any = connection.connection.driver_connection
        ready, _, _ = sockets.select([driver], [], [], seconds)
        try:
            if ready:
                driver.poll()
        except psycopg2.Error as error:
            connection.invalidate()
            raise translate(error) from error
        driver.notifies.clear()

    def _new_events(self, connection: Connection) -> Iterator[RowMapping]:
        more = True
        while more:
            page = events_after(self._wanted, self.floor, self._known, PAGE_EVENTS)
            found = connection.execute(page).mappings().all()
            _flush(connection)
            for event in found:
                self._known.add(event["id"])
                yield event
            more = len(found) == PAGE_EVENTS

    def _settle(self, floor: int) -> None:
        self.floor = floor
        self._known = {known for known in self._known if known > floor}
        self._candidate = None


def _flush(connection: Connection) -> None:
    """End the transaction with everything that it saw on the server's disk."""
    connection.execute(_FLUSH)
    connection.commit()


def _highest_id(connection: Connection) -> int:
    return connection.execute(select(func.max(events.c.id))).scalar() or 0


def _writers(connection: Connection) -> dict[str, float]:
    """Transactions that may hold ids not visible yet, and since when (epoch seconds)."""
    return {row[0]: float(row[1]) for row in connection.execute(_WRITERS)}
