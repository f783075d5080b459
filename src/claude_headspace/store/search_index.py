"""Keeps the search index up to date, without getting in the watcher's way."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from claude_headspace.errors import CursorAhead
from claude_headspace.store.connection import Database, Row
from claude_headspace.store.follower import Follower
from claude_headspace.store.search_words import parts_of
from claude_headspace.store.version import require_schema

PAGE_EVENTS = 500
PAGE_BYTES = 2_000_000
POLL_SECONDS = 1.0
# So long after the start it is no surprise that the server or the tables are still being made.
PREPARING_SECONDS = 60.0
# While the watcher reads a backlog: seconds of pause per second of work.
BACKLOG_REST = 25
# Otherwise; at most a second: lines that arrive one by one are indexed together.
LIVE_REST = 9
_REST_SECONDS = 5.0
# One program on one host updates the index.
_ELECTED = "SELECT pg_try_advisory_lock(hashtext('claude_headspace.search'), 0)"
_CURSOR = "SELECT event_id FROM search_cursor"
_TURNS = (
    "SELECT id, timestamp, payload ->> 'actor' = 'user', payload ->> 'text' FROM events"
    " WHERE event_type = 'turn_detected' AND payload ? 'text' AND {which} ORDER BY id LIMIT %s"
)
# At least one turn, and at most this many bytes.
_PAGE = (
    "SELECT id, at, prompt, text FROM (SELECT *, sum(octet_length(text)) OVER (ORDER BY id)"
    " - octet_length(text) AS before FROM ("
    + _TURNS.format(which="id > %s AND id <= %s")
    + ") t (id, at, prompt, text)) page WHERE before < %s ORDER BY id"
)
_DUE = _TURNS.format(which="id IN (SELECT event_id FROM search_due)")
_PARTS = (
    "INSERT INTO search_parts (event_id, timestamp, prompt, part, begins, length, words)"
    " SELECT id, at, prompt, part, begins, length, to_tsvector('simple', words) FROM unnest("
    "%s::bigint[], %s::timestamptz[], %s::boolean[], %s::int[], %s::int[], %s::int[], %s::text[])"
    " AS new (id, at, prompt, part, begins, length, words){of}"
    " ON CONFLICT (event_id, part) DO UPDATE SET timestamp = excluded.timestamp,"
    " prompt = excluded.prompt, begins = excluded.begins, length = excluded.length,"
    " words = excluded.words"
)
_ADVANCE = (
    "WITH moved AS (UPDATE search_cursor SET event_id = %s WHERE event_id = %s RETURNING event_id)"
    f" {_PARTS.format(of=', moved')}"
)
_REVISE = (
    "WITH done AS (DELETE FROM search_due WHERE event_id = ANY (%s::bigint[])),"
    " gone AS (DELETE FROM search_parts s USING unnest(%s::bigint[], %s::int[]) AS now (id, parts)"
    f" WHERE s.event_id = now.id AND s.part >= now.parts) {_PARTS.format(of='')}"
)

logger = logging.getLogger(__name__)


class SearchIndex:
    """`keep` follows the log for ever; `busy` says whether the watcher reads a backlog."""

    def __init__(self, url: Callable[[], str], busy: Callable[[], bool]) -> None:
        self._database = Database(
            url, application_name="claude-headspace search", prepare=require_schema
        )
        self._busy = busy
        self._has_begun = False

    def keep(self) -> None:
        """Index new turns for ever; waits for a database that is unavailable."""
        started, told = time.monotonic(), ""
        while True:
            try:
                self._keep()
            except Exception as error:  # noqa: BLE001  nobody would start this thread again
                early = not self._has_begun and time.monotonic() < started + PREPARING_SECONDS
                problem = "the log is being prepared" if early else str(error)
                if problem != told:
                    told = problem
                    level = logging.INFO if early else logging.WARNING
                    logger.log(level, "the search index waits: %s", told)
                self._database.close()
                time.sleep(POLL_SECONDS if early else _REST_SECONDS)

    def _keep(self) -> None:
        while not self._database.execute(_ELECTED)[0][0]:
            time.sleep(_REST_SECONDS)
        connection = self._database.connection_number
        follower = self._follower()
        self._has_begun = True
        while self._database.connection_number == connection:
            follower.listen()
            began = time.monotonic()
            if self.catch_up(follower):
                time.sleep(min(POLL_SECONDS, LIVE_REST * (time.monotonic() - began)))
            else:
                follower.wait(POLL_SECONDS)

    def _follower(self) -> Follower:
        """A follower that only finds out how far ids are final, without forcing a flush."""
        cursor = int(self._database.execute(_CURSOR)[0][0])
        try:
            follower = Follower(self._database, cursor, types=(), nudge=False)
            follower.read()
        except CursorAhead:
            # The log was reset to before the index: common entries are overwritten.
            self._database.execute("UPDATE search_cursor SET event_id = 0")
            return Follower(self._database, 0, types=(), nudge=False)
        return follower

    def catch_up(self, follower: Follower) -> bool:
        """Index all final and all revised events; returns whether there were any."""
        final = follower.read().cursor
        cursor = int(self._database.execute(_CURSOR)[0][0])
        worked = cursor < final
        while cursor < final:
            began = time.monotonic()
            cursor = self._advance(cursor, final)
            if self._busy():
                time.sleep(min(_REST_SECONDS, BACKLOG_REST * (time.monotonic() - began)))
        return self._revise() or worked

    def _advance(self, cursor: int, final: int) -> int:
        asked = (cursor, final, PAGE_EVENTS, PAGE_BYTES)
        turns = self._database.execute(_PAGE, asked)
        size = sum(len(turn[-1].encode()) for turn in turns)
        is_full = len(turns) == PAGE_EVENTS or size >= PAGE_BYTES
        reached = turns[-1][0] if is_full else final
        self._database.execute(_ADVANCE, [reached, cursor, *_arrays(turns)])
        return reached

    def _revise(self) -> bool:
        turns = self._database.execute(_DUE, (PAGE_EVENTS,))
        if not turns:
            return False
        ids = [turn[0] for turn in turns]
        counts = [sum(1 for _ in parts_of(turn[-1])) for turn in turns]
        self._database.execute(_REVISE, [ids, ids, counts, *_arrays(turns)])
        return True


def _arrays(turns: Sequence[Row]) -> list[list[Any]]:
    """The columns of all parts of these turns."""
    rows = [
        (*about, number, *part)
        for *about, text in turns
        for number, part in enumerate(parts_of(text))
    ]
    return [[row[column] for row in rows] for column in range(7)]
