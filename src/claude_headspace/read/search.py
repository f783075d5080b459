"""Finding words and phrases in what was said, by an index that is a little behind the log."""

from __future__ import annotations

from typing import Any

from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import Page, page_of
from claude_headspace.read.passages import passage_of
from claude_headspace.read.plain_search import search_calls, search_plain
from claude_headspace.read.query import (
    ONCE,
    PLACED,
    TEXT,
    TURN,
    Hit,
    Query,
    SearchQuestion,
    conditions_of,
    key_of,
    make_hit,
    read_query,
)

COUNTED_HITS = 1000
# Of a text in several parts the first that fits.
_FIRST = "DISTINCT ON (s.said_at, s.event_id)"
_ORDER = "s.said_at DESC, s.event_id DESC, s.part"
_BY_WORDS = (
    "FROM search_parts s JOIN events e ON e.id = s.event_id AND e.retracted_at IS NULL" + PLACED
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
    return int(
        reader.value(
            f"SELECT count(*) FROM (SELECT {_FIRST} s.event_id {sql} LIMIT %(most)s) h", values
        )
    )


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
    rows = reader.rows(f"SELECT {_FIRST} {columns} {sql} ORDER BY {_ORDER} LIMIT %(rows)s", values)
    return page_of(
        [make_hit(row, *passage_of(row[-1], query.wanted)) for row in rows], asked.limit, key_of
    )


def _found_by_words(
    reader: Reader, asked: SearchQuestion, query: Query
) -> tuple[str, dict[str, Any]]:
    places = ("s.said_at", "s.event_id")
    conditions, values = conditions_of(reader, asked, places)
    conditions += ["s.words @@ to_tsquery('simple', %(query)s)", ONCE]
    if asked.where == "prompts":
        conditions.append("s.prompt")
    return _BY_WORDS.format(conditions=" AND ".join(conditions)), {
        **values,
        "query": query.as_tsquery(),
    }
