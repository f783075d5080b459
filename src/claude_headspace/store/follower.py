"""Follows the log from a saved id: every event once, in the order of ids, when it is final.

If several programs write, ids become visible out of order, and after a crash of Postgres an id
whose commit was not on disk may be reused. So a reader stops at a horizon up to which every id is
final.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from claude_headspace.errors import CursorAhead, NotPrimary, OtherTimeline
from claude_headspace.store.connection import Database
from claude_headspace.store.cursor import Cursor, LoggedEvent, Page
from claude_headspace.store.writer import EVENTS_CHANNEL

PAGE_EVENTS = 500
# How often to look for events without a notification.
POLL_SECONDS = 1.0
# How often to check whether a transaction has ended, or the log is on disk.
_ASK_AGAIN_SECONDS = 0.01
_ASK_AGAIN_AT_MOST_SECONDS = 0.2

# Not `SELECT last_value`: that reads the sequence without its lock and may see it 32 ahead.
_LAST_ID = "SELECT coalesce(pg_sequence_last_value('events_id_seq'), 0)"
_WRITING = (
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND relation = 'events'::regclass AND mode = 'RowExclusiveLock'"
)
_PAGE = (
    "SELECT id, event_type, timestamp, session_uuid::text, event_key::text, payload, project_id,"
    " agent_id, command_id, turn_id, source_id, source_offset, recorded_at, annotations"
    " FROM events WHERE id > %(after)s AND id <= %(horizon)s AND retracted_at IS NULL"
    " AND (%(types)s::text[] IS NULL OR event_type = ANY (%(types)s))"
    " AND (%(session)s::uuid IS NULL OR session_uuid = %(session)s::uuid)"
    " ORDER BY id LIMIT %(limit)s"
)
# An asynchronous commit of nothing, which the server's WAL writer soon flushes to disk.
_FLUSH_SOON = "SELECT txid_current()"


class Follower:
    """Reads from `cursor` on, a saved cursor or only an id; 0 is the beginning.

    A cursor with a timeline is compared with the server's: OtherTimeline means that a standby took
    over, and that other events may follow the id than before. `types` and `session` filter the
    events. `nudge`: make the server flush to disk at once instead of within its `wal_writer_delay`
    (200 ms). Every call may raise DatabaseUnavailable; the next call continues where it was.
    """

    def __init__(
        self,
        database: Database,
        cursor: int | str = 0,
        *,
        types: Sequence[str] | None = None,
        session: UUID | None = None,
        page_events: int = PAGE_EVENTS,
        nudge: bool = True,
    ) -> None:
        self._database = database
        self.cursor: int = Cursor.read(cursor)
        self.timeline = Cursor.read(cursor).timeline
        self._page_events = page_events
        self._wanted = {
            "types": None if types is None else list(types),
            "session": session and str(session), "limit": page_events,
        }  # fmt: skip
        self._nudge = nudge
        self._horizon: int = self.cursor
        self._horizon_of = -1
        self._listening = -1

    @classmethod
    def at(cls, url: str, cursor: int | str = 0, **options: Any) -> Follower:
        """A follower with its own connection."""
        database = Database(lambda: url, application_name="claude-headspace follow")
        return cls(database, cursor, **options)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def read(self) -> Page:
        """The next final events, at most one page; may be empty.

        Waits only for programs that are writing events at this moment.
        """
        self._database.connect()
        # A new connection may lead to a server that does not know this horizon.
        if self.cursor >= self._horizon or self._database.connection_number != self._horizon_of:
            self._horizon = self._next_horizon()
        events = self._events()
        full = len(events) == self._page_events
        return Page(events, self._move_to(events[-1].id if full else self._horizon))

    def skip_to_end(self) -> Cursor:
        """Skip all events written so far, waiting like `read`; returns the cursor."""
        self._horizon = self._next_horizon()
        return self._move_to(self._horizon)

    def _move_to(self, event_id: int) -> Cursor:
        self.cursor = cursor = Cursor.at(event_id, self.timeline)
        return cursor

    def follow(self, poll_seconds: float = POLL_SECONDS) -> Iterator[Page]:
        """Pages with events, for ever; waits when there are none."""
        while True:
            self.listen()
            page = self.read()
            if page.events:
                yield page
            else:
                self.wait(poll_seconds)

    def listen(self) -> None:
        """From now on `wait` notices new events."""
        self._database.connect()
        if self._listening != self._database.connection_number:
            self._require_primary()  # a standby refuses LISTEN with its own message
            self._database.execute(f"LISTEN {EVENTS_CHANNEL}")
            self._listening = self._database.connection_number

    def wait(self, seconds: float) -> bool:
        """Wait for events written since the last call, at most this long; whether any were."""
        deadline = time.monotonic() + seconds
        while EVENTS_CHANNEL not in self._database.notified():
            left = deadline - time.monotonic()
            descriptor = self._database.fileno()
            if left <= 0 or descriptor is None:
                return False
            select.select([descriptor], [], [], left)
        return True

    def _next_horizon(self) -> int:
        """An id up to which every id is final, or will never be used.

        After an error nothing is known, because after a crash the sequence may have been reset. So
        nothing here is retried on another connection.
        """
        self._require_primary()
        connection = self._database.connection_number
        self._require_timeline()
        last = int(self._value(_LAST_ID))
        if last < self.cursor:
            raise CursorAhead(
                f"the log ends at id {last}, before the saved id {self.cursor}: it was reset"
                " (restored from a backup, or another server); read it again from 0"
            )
        if last > self.cursor:
            self._wait_for_writers()
            self._wait_for_disk()
        self._horizon_of = connection
        return last

    def _require_timeline(self) -> None:
        now = self._database.timeline
        if self.timeline is not None and now != self.timeline:
            raise OtherTimeline(
                f"the saved id {self.cursor} is of timeline {self.timeline}, and the log is on"
                f" timeline {now}: another server took over, and later ids may have been reused;"
                " read again from 0, or from an id that certainly existed before"
            )
        self.timeline = now

    def _require_primary(self) -> None:
        if self._value("SELECT pg_is_in_recovery()"):
            raise NotPrimary(
                "this server is a standby, which does not know which ids are final: follow the log"
                " on the primary"
            )

    def _wait_for_writers(self) -> None:
        """Wait until every transaction has ended that may hold one of the ids read before."""
        writing = [row[0] for row in self._database.execute(_WRITING)]
        for _ in _growing_pauses():
            if not writing:
                return
            rows = self._database.execute(
                f"{_WRITING} AND virtualtransaction = ANY (%s)", [writing]
            )
            writing = [row[0] for row in rows]

    def _wait_for_disk(self) -> None:
        """Wait until everything committed by now survives a crash."""
        written = self._value("SELECT pg_current_wal_insert_lsn()::text")
        flushed = "SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn"
        # With a synchronous standby, a commit has waited for it.
        alone = " AND current_setting('synchronous_standby_names') = ''" if self._nudge else ""
        if self._value(flushed + alone, written):
            return
        if self._nudge:
            self._database.flush()
        else:
            self._database.execute(_FLUSH_SOON)
        for _ in _growing_pauses():
            if self._value(flushed, written):
                return

    def _events(self) -> list[LoggedEvent]:
        asked = {**self._wanted, "after": self.cursor, "horizon": self._horizon}
        return [
            LoggedEvent(number, kind, moment, UUID(session), UUID(key), *rest)
            for number, kind, moment, session, key, *rest in self._database.execute(_PAGE, asked)
        ]

    def _value(self, statement: str, *values: Any) -> Any:
        return self._database.execute(statement, values)[0][0]


def _growing_pauses() -> Iterator[None]:
    pause = _ASK_AGAIN_SECONDS
    while True:
        yield
        time.sleep(pause)
        pause = min(pause * 2, _ASK_AGAIN_AT_MOST_SECONDS)
