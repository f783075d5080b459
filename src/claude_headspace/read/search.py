"""Searching turns for words and phrases, by an index that lags slightly behind the log."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from claude_headspace.read.archive_search import search_archive
from claude_headspace.read.connection import Reader
from claude_headspace.read.look_through import look_through, newest_first
from claude_headspace.read.paging import Page
from claude_headspace.read.passages import passage_of
from claude_headspace.read.query import (
    ALL_EVENTS,
    FEW,
    RARE,
    STANDING_TURN,
    TEXT,
    TURN,
    Hit,
    Query,
    SearchQuestion,
    conditions_of,
    make_hit,
    narrowed,
    read_query,
)
from claude_headspace.read.stretches import LOOK_SECONDS
from claude_headspace.store.connection import Row

GLANCE_SECONDS = 0.02
# The planner's estimate of how common the words are costs nothing.
_ESTIMATE = "EXPLAIN (FORMAT JSON) SELECT FROM search_parts WHERE words @@ to_tsquery('simple', %s)"
# Of a text in several parts, the first that matches. A function, not an operator: the search
# index is queried separately, where it helps.
_BY_WORDS = (
    "SELECT DISTINCT ON (e.timestamp, e.id) {columns} FROM {events}"
    " JOIN search_parts s ON s.event_id = e.id LEFT JOIN places p ON p.id = e.project_id"
    " WHERE {conditions} AND ts_match_vq(s.words, to_tsquery('simple', %(query)s))"
    " ORDER BY e.timestamp DESC, e.id DESC, s.part LIMIT %(rows)s"
)
# For events that are known to match: their parts are looked up for one page only.
_NEWEST = (
    "(SELECT e.* FROM {events} WHERE {conditions} ORDER BY e.timestamp DESC, e.id DESC"
    " LIMIT %(rows)s) e"
)


def search(reader: Reader, asked: SearchQuestion, seconds: float = LOOK_SECONDS) -> Page[Hit]:
    """A page of hits, newest first; a scan without an index takes at most this time."""
    if asked.where in ("outputs", "thinking"):
        return search_archive(reader, asked, seconds)
    if asked.where == "inputs" or asked.match == "plain":
        return look_through(reader, asked, seconds)
    return _search_words(reader, asked, seconds)


def seconds_behind(reader: Reader) -> float:
    """The age of the oldest turn that is not in the index yet; 0 if it has all."""
    found = reader.value(
        "SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8 FROM events"
        " WHERE id > (SELECT event_id FROM search_cursor) AND event_type = 'turn_detected'"
        " ORDER BY id LIMIT 1"
    )
    return max(0.0, float(found or 0.0))


def _search_words(reader: Reader, asked: SearchQuestion, seconds: float) -> Page[Hit]:
    """Common words are soon found from the newest back, rare words by the index."""
    query = read_query(asked.q)
    text, values = query.as_tsquery(), dict[str, Any]()
    if reader.value(_ESTIMATE, [text])[0]["Plan"]["Plan Rows"] < RARE:
        events = narrowed(reader, text, values, FEW)
        if events != ALL_EVENTS:
            return _among(reader, asked, query, seconds, events, values)
    first = _among(reader, asked, query, GLANCE_SECONDS)
    room = asked.limit - len(first.rows)
    if first.looked is None or room <= 0:
        return first
    rest = replace(asked, cursor=first.next, limit=room)
    events = narrowed(reader, text, values)
    page = _among(reader, rest, query, seconds, events, values)
    return Page(first.rows + page.rows, page.next, page.looked)


def _among(
    reader: Reader, asked: SearchQuestion, query: Query, seconds: float,
    events: str = ALL_EVENTS, candidates: Mapping[str, Any] = MappingProxyType({}),
) -> Page[Hit]:  # fmt: skip
    conditions, values = conditions_of(reader, asked, ("e.timestamp", "e.id"))
    conditions += [*STANDING_TURN, "e.timestamp >= %(lo)s", "e.timestamp < %(hi)s"]
    if asked.where == "prompts":
        conditions.append("e.payload ->> 'actor' = 'user'")
    values["query"] = query.as_tsquery()
    every, whole = " AND ".join(conditions), events != ALL_EVENTS or asked.session is not None
    if events != ALL_EVENTS:
        values |= candidates
        events = _NEWEST.format(events=events, conditions=every)
    columns = TURN.format(text=f"substr({TEXT}, s.begins + 1, s.length)")
    sql = _BY_WORDS.format(columns=columns, events=events, conditions=every)

    def make(row: Row) -> Hit:
        return make_hit(row, *passage_of(row[-1], query.wanted))

    return newest_first(reader, asked, sql, values, make, seconds, whole=whole)
