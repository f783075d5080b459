"""Finding words and phrases in what was said, by an index that is a little behind the log."""

from __future__ import annotations

from typing import Any

from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import Page, page_of
from claude_headspace.read.passages import passage_of
from claude_headspace.read.plain_search import search_calls, search_plain
from claude_headspace.read.query import (
    PLACED,
    STANDING_TURN,
    TEXT,
    TURN,
    Hit,
    Query,
    SearchQuestion,
    conditions_of,
    key_of,
    make_hit,
    narrowed,
    read_query,
)

COUNTED_HITS = 1000
# Of a text in several parts the first that fits.
_FIRST = "DISTINCT ON (e.timestamp, e.id)"
# Not the operator: what is common is looked for from the newest back, without the index of words.
_BY_WORDS = (
    "FROM {events} JOIN search_parts s ON s.event_id = e.id"
    + PLACED
    + " AND ts_match_vq(s.words, to_tsquery('simple', %(query)s))"
)


def search(reader: Reader, asked: SearchQuestion) -> Page[Hit]:
    """A page of hits, the newest first."""
    if asked.where == "inputs":
        return search_calls(reader, asked)
    return _search_words(reader, asked) if asked.match == "words" else search_plain(reader, asked)


def count_hits(reader: Reader, asked: SearchQuestion) -> int:
    """How many turns are found by words; COUNTED_HITS + 1 stands for more."""
    sql, values = _found_by_words(reader, asked, read_query(asked.q))
    values["most"] = COUNTED_HITS + 1
    found = f"SELECT {_FIRST} e.id {sql} LIMIT %(most)s"
    return int(reader.value(f"SELECT count(*) FROM ({found}) h", values))


def seconds_behind(reader: Reader) -> float:
    """How old the oldest turn is that the index does not hold yet; 0 when it holds them all."""
    found = reader.value(
        "SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8 FROM events"
        " WHERE id > (SELECT event_id FROM search_cursor) AND event_type = 'turn_detected'"
        " ORDER BY id LIMIT 1"
    )
    return max(0.0, float(found or 0.0))


def _search_words(reader: Reader, asked: SearchQuestion) -> Page[Hit]:
    query = read_query(asked.q)
    text = f"substr({TEXT}, s.begins + 1, s.length)"
    sql, values = _found_by_words(reader, asked, query)
    columns = TURN.format(text=text)
    order = "ORDER BY e.timestamp DESC, e.id DESC, s.part"
    rows = reader.rows(f"SELECT {_FIRST} {columns} {sql} {order} LIMIT %(rows)s", values)
    return page_of(
        [make_hit(row, *passage_of(row[-1], query.wanted)) for row in rows], asked.limit, key_of
    )


def _found_by_words(
    reader: Reader, asked: SearchQuestion, query: Query
) -> tuple[str, dict[str, Any]]:
    conditions, values = conditions_of(reader, asked, ("e.timestamp", "e.id"))
    values["query"] = query.as_tsquery()
    events = narrowed(reader, values["query"], values)
    conditions += STANDING_TURN
    if asked.where == "prompts":
        conditions.append("s.prompt")
    return _BY_WORDS.format(events=events, conditions=" AND ".join(conditions)), values
