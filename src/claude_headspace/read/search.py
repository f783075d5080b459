"""Searching turns for words and phrases, by an index that lags slightly behind the log.

Plain text and tool inputs are searched by scanning them, the newest first.
"""

from __future__ import annotations

from typing import Any

from claude_headspace.read.archive_search import search_archive
from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import Page
from claude_headspace.read.passages import marked_places, passage_of
from claude_headspace.read.query import (
    AROUND,
    BEFORE,
    TEXT,
    TURN,
    TURNS,
    Hit,
    SearchQuestion,
    make_hit,
    needles_of,
    read_query,
    values_of,
)
from claude_headspace.read.selection import filters_on
from claude_headspace.read.stretches import SEARCH_SECONDS, stretches_of
from claude_headspace.store.connection import Row

# In the first stretch. How often they have the words tells how long the next one is.
FIRST_PARTS = 1000
_BOUNDS = (
    "SELECT min(timestamp), max(timestamp), (SELECT min(timestamp) FROM (SELECT timestamp"
    " FROM search_parts WHERE timestamp < coalesce(%(end)s, 'infinity'::timestamptz)"
    f" ORDER BY timestamp DESC LIMIT {FIRST_PARTS}) newest) FROM search_parts"
)
_COLUMNS = TURN.format(text=f"substr({TEXT}, s.begins + 1, s.length)")
# Only as many events are read as a page has hits. Of a text in several parts, the first that
# matches. The first column is the number of parts that match.
_BY_WORDS = f"""
WITH found AS MATERIALIZED (
 SELECT event_id, part, timestamp, begins, length FROM search_parts
 WHERE {{match}} AND timestamp >= %(lo)s AND timestamp < %(hi)s
 AND (%(where)s <> 'prompts' OR prompt))
SELECT number, hit.* FROM (SELECT count(*) AS number FROM found) counted LEFT JOIN (
 SELECT {_COLUMNS} FROM (SELECT DISTINCT ON (timestamp, event_id) * FROM found
  ORDER BY timestamp DESC, event_id DESC, part) s
 JOIN events e ON e.id = s.event_id LEFT JOIN places p ON p.id = e.project_id
 WHERE {TURNS} ORDER BY s.timestamp DESC, s.event_id DESC LIMIT %(rows)s) hit ON true
"""
_BY_INDEX = "words @@ to_tsquery('simple', %(query)s)"
# A function, not an operator: so the index of words is not used. Of a few parts, each is compared
# sooner than the index finds all parts with words that are common.
_EACH = "ts_match_vq(words, to_tsquery('simple', %(query)s))"
# For words that are common, where the filters are not.
_BY_EVENTS = f"""
SELECT DISTINCT ON (e.timestamp, e.id) {_COLUMNS} FROM events e
JOIN search_parts s ON s.event_id = e.id LEFT JOIN places p ON p.id = e.project_id
WHERE {TURNS} AND e.timestamp >= %(lo)s AND e.timestamp < %(hi)s
AND {_EACH} ORDER BY e.timestamp DESC, e.id DESC, s.part LIMIT %(rows)s
"""
# More parts are not compared, and not read to find one page.
MOST_PARTS = 8000
# The next stretch should have more hits than are missing, and is at least this many times longer.
_AMPLE, _LONGER = 1.5, 4.0


_PASSAGE = (
    f"substr({{text}}, greatest(1, strpos(lower({{text}}), lower(%(first)s)) - {BEFORE}), {AROUND})"
)
_ROWS = (
    "SELECT {columns} FROM {rows} WHERE {filters} AND {{needles}}"
    " AND {at} >= %(lo)s AND {at} < %(hi)s ORDER BY {at} DESC, {key} DESC LIMIT %(rows)s"
)
_PLACES = " LEFT JOIN places p ON p.id = "
_IN_TURNS = _ROWS.format(
    columns=TURN.format(text=_PASSAGE.format(text=TEXT)),
    rows=f"events e{_PLACES}e.project_id", filters=TURNS, at="e.timestamp", key="e.id",
)  # fmt: skip
_IN_INPUTS = _ROWS.format(
    columns="e.call_offset, e.tool_use_id, e.started_at, e.session_uuid::text, a.id, p.path,"
    f" p.host, e.tool, e.subagent, {_PASSAGE.format(text='e.input')}",
    rows=f"tool_calls e LEFT JOIN agents a ON a.session_uuid = e.session_uuid{_PLACES}a.project_id",
    filters="e.copy_of IS NULL AND "
    + filters_on("e.started_at", "e.call_offset", "e.session_uuid", "a.project_id", "a.id"),
    at="e.started_at", key="e.call_offset",
)  # fmt: skip


def search(reader: Reader, asked: SearchQuestion, seconds: float = SEARCH_SECONDS) -> Page[Hit]:
    """A page of hits, newest first; a scan without an index takes at most this time."""
    if asked.where in ("outputs", "thinking"):
        return search_archive(reader, asked, seconds)
    if asked.where == "inputs" or asked.match == "plain":
        return _look_through(reader, asked, seconds)
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
    query = read_query(asked.q)
    words = _Words(reader, asked, query.as_tsquery(), seconds)
    return words.stretches.page(
        asked.limit,
        words.look,
        lambda row: make_hit(row, passage_of(row[-1], query.wanted)),
        Hit.key,
    )


class _Words:
    """Searches stretch by stretch: by the index, or through the events of the other filters."""

    def __init__(self, reader: Reader, asked: SearchQuestion, query: str, seconds: float) -> None:
        self._values = values_of(reader, asked) | {"query": query}
        self._are_common = asked.session is not None
        self._expected = float(FIRST_PARTS)
        self.stretches = stretches_of(
            reader, self._values, seconds, whole=self._are_common, bounds=_BOUNDS
        )

    def look(self, at: dict[str, Any]) -> list[Row]:
        """The hits in this stretch."""
        values = self._values | at
        if self._are_common:
            return self.stretches.rows(_BY_EVENTS, values)
        match = _EACH if self._expected <= MOST_PARTS else _BY_INDEX
        rows = self.stretches.rows(_BY_WORDS.format(match=match), values)
        hits = [row[1:] for row in rows if row[1] is not None]
        if rows:
            growth = max(_LONGER, _AMPLE * (at["rows"] - len(hits)) / max(1, len(hits)))
            self._are_common = rows[0][0] * growth > MOST_PARTS
            self._expected *= growth
            self.stretches.grow(_LONGER if self._are_common else growth)
        return hits


def _look_through(reader: Reader, asked: SearchQuestion, seconds: float) -> Page[Hit]:
    """A page of the hits found in this time."""
    needles, values = needles_of(asked), values_of(reader, asked)
    wanted = [needle for needle, is_wanted in needles.items() if is_wanted]
    text, sql = ("e.input", _IN_INPUTS) if asked.where == "inputs" else (TEXT, _IN_TURNS)
    values["first"] = wanted[0]
    conditions = []
    for number, (needle, is_wanted) in enumerate(needles.items()):
        sign = ">" if is_wanted else "="
        conditions.append(f"strpos(lower({text}), lower(%(needle{number})s)) {sign} 0")
        values[f"needle{number}"] = needle
    statement = sql.format(needles=" AND ".join(conditions))
    found = stretches_of(reader, values, seconds, whole=asked.session is not None)
    return found.page(
        asked.limit,
        lambda stretch: found.rows(statement, values | stretch),
        lambda row: make_hit(row, marked_places(row[-1], wanted)),
        Hit.key,
    )
