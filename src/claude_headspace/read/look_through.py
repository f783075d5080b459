"""Searching plain text in turns and tool inputs by scanning them, the newest first.

If the text contains whole words, the index narrows the scan.
"""

from __future__ import annotations

from typing import Any

from claude_headspace.errors import BadQuestion, QuestionTooLong
from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import Page
from claude_headspace.read.passages import marked_places
from claude_headspace.read.query import (
    TEXT,
    TURN,
    TURNS,
    Hit,
    SearchQuestion,
    make_hit,
    quoted,
    read_query,
    terms_of,
    values_of,
)
from claude_headspace.read.selection import filters_on
from claude_headspace.read.stretches import stretches_of
from claude_headspace.store.search_words import LONGEST_WORD, words_of

# Around the hit, in characters.
BEFORE, AROUND = 200, 600
# Words that more parts contain do not narrow a search.
RARE = 4000
CANDIDATE_SECONDS = 0.25
_CANDIDATES = "SELECT event_id FROM search_parts WHERE words @@ to_tsquery('simple', %s) LIMIT %s"
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
    rows=f"{{events}}{_PLACES}e.project_id", filters=TURNS, at="e.timestamp", key="e.id",
)  # fmt: skip
_IN_INPUTS = _ROWS.format(
    columns="e.call_offset, e.tool_use_id, e.started_at, e.session_uuid::text, a.id, p.path,"
    f" p.host, e.tool, e.subagent, {_PASSAGE.format(text='e.input')}",
    rows=f"tool_calls e LEFT JOIN agents a ON a.session_uuid = e.session_uuid{_PLACES}a.project_id",
    filters="e.copy_of IS NULL AND "
    + filters_on("e.started_at", "e.call_offset", "e.session_uuid", "a.project_id", "a.id"),
    at="e.started_at", key="e.call_offset",
)  # fmt: skip


def needles_of(asked: SearchQuestion) -> dict[str, bool]:
    """The texts to search for, and whether each is included or excluded; without an index, words
    also match inside longer ones.
    """
    if asked.match == "words":
        read_query(asked.q)
        return {term.rstrip("*"): wanted for wanted, term in terms_of(asked.q)}
    if not asked.q.strip():
        raise BadQuestion("q", "contains no text to search for")
    return {asked.q: True}


def look_through(reader: Reader, asked: SearchQuestion, seconds: float) -> Page[Hit]:
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
    events = "events e" if asked.where == "inputs" else _narrowed(reader, asked.q, values)
    statement = sql.format(needles=" AND ".join(conditions), events=events)
    whole = "candidates" in values or asked.session is not None
    found = stretches_of(reader, values, seconds, whole=whole)
    return found.page(
        asked.limit,
        lambda stretch: found.rows(statement, values | stretch),
        lambda row: make_hit(row, marked_places(row[-1], wanted)),
        Hit.key,
    )


def _narrowed(reader: Reader, text: str, values: dict[str, Any]) -> str:
    """The events `e` of a FROM clause; if the words are rare, only events that have them."""
    query = _whole_words(text)
    try:
        found = reader.rows(_CANDIDATES, (query, RARE), CANDIDATE_SECONDS) if query else ()
    except QuestionTooLong:  # a phrase of common words
        return "events e"
    if not query or len(found) == RARE:
        return "events e"
    values["candidates"] = sorted({row[0] for row in found})
    return "unnest(%(candidates)s::bigint[]) AS found (id) JOIN events e ON e.id = found.id"


def _whole_words(needle: str) -> str:
    """The part of plain text that the index can find: words that begin and end in it."""
    words = words_of(needle)
    if not words or any(len(word) >= LONGEST_WORD for word in words):
        return ""
    bounded_left, bounded_right = not needle[0].isalnum(), not needle[-1].isalnum()
    first, *others = words
    sure = [quoted(first)] if bounded_left and (others or bounded_right) else []
    sure += [quoted(word) for word in others[:-1]]
    if others:
        sure.append(quoted(others[-1]) + ("" if bounded_right else ":*"))
    elif bounded_left and not bounded_right:
        sure.append(quoted(first) + ":*")
    return " & ".join(sure)
