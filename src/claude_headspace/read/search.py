"""Finding words and phrases in what was said, by an index that is a little behind the log."""

from __future__ import annotations

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
    SearchQuestion,
    conditions_of,
    key_of,
    make_hit,
    narrowed,
    newest,
    read_query,
)
from claude_headspace.store.connection import Row

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
    words = _Words(reader, asked)
    found = f"SELECT {_FIRST} e.id {words.among(words.narrowed())} LIMIT {COUNTED_HITS + 1}"
    return int(reader.value(f"SELECT count(*) FROM ({found}) h", words.values))


def seconds_behind(reader: Reader) -> float:
    """How old the oldest turn is that the index does not hold yet; 0 when it holds them all."""
    found = reader.value(
        "SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8 FROM events"
        " WHERE id > (SELECT event_id FROM search_cursor) AND event_type = 'turn_detected'"
        " ORDER BY id LIMIT 1"
    )
    return max(0.0, float(found or 0.0))


def _search_words(reader: Reader, asked: SearchQuestion) -> Page[Hit]:
    words = _Words(reader, asked)
    rows = words.rows(newest(words.conditions))
    if len(rows) <= asked.limit:
        rows = words.rows(words.narrowed())
    terms = words.query.wanted
    hits = [make_hit(row, *passage_of(row[-1], terms)) for row in rows]
    return page_of(hits, asked.limit, key_of)


class _Words:
    """One question for words, asked of different sets of events."""

    def __init__(self, reader: Reader, asked: SearchQuestion) -> None:
        self._reader = reader
        self._prompts = " AND s.prompt" if asked.where == "prompts" else ""
        self.query = read_query(asked.q)
        self.conditions, self.values = conditions_of(reader, asked, ("e.timestamp", "e.id"))
        self.conditions += STANDING_TURN
        self.values["query"] = self.query.as_tsquery()

    def narrowed(self) -> str:
        return narrowed(self._reader, self.values["query"], self.values)

    def among(self, events: str) -> str:
        conditions = " AND ".join(self.conditions)
        return _BY_WORDS.format(events=events, conditions=conditions) + self._prompts

    def rows(self, events: str) -> list[Row]:
        columns = TURN.format(text=f"substr({TEXT}, s.begins + 1, s.length)")
        order = "ORDER BY e.timestamp DESC, e.id DESC, s.part LIMIT %(rows)s"
        sql = f"SELECT {_FIRST} {columns} {self.among(events)} {order}"
        return self._reader.rows(sql, self.values)
