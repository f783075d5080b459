"""Searching plain text in turns and tool inputs by scanning them, the newest first.

If the text contains whole words, the index narrows the scan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from claude_headspace.errors import BadQuestion
from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import Looked, Page, page_of, read_cursor, write_cursor
from claude_headspace.read.passages import marked_places
from claude_headspace.read.query import (
    ALL_EVENTS,
    STANDING_TURN,
    TEXT,
    TURN,
    Hit,
    SearchQuestion,
    conditions_of,
    key_of,
    make_hit,
    narrowed,
    quoted,
    read_query,
    terms_of,
)
from claude_headspace.read.stretches import Stretches, stretches_of
from claude_headspace.store.connection import Row
from claude_headspace.store.search_words import LONGEST_WORD, words_of

# Around the hit, in characters.
BEFORE, AROUND = 200, 600
_CALL = (
    "e.call_offset, e.tool_use_id, e.started_at, e.session_uuid::text, a.id, p.path,"
    " p.host, e.tool, e.subagent, {text}"
)


@dataclass(frozen=True, slots=True)
class _Text:
    """A text that can be scanned: its rows, and their order."""

    text: str
    columns: str
    rows: str
    at: str
    id: str
    of: tuple[str, str]
    standing: tuple[str, ...]


_TURNS = _Text(
    TEXT, TURN, "{events} LEFT JOIN places p ON p.id = e.project_id", "e.timestamp", "e.id",
    ("e.project_id", "e.agent_id"), STANDING_TURN,
)  # fmt: skip
_INPUTS = _Text(
    "e.input", _CALL,
    "tool_calls e LEFT JOIN agents a ON a.session_uuid = e.session_uuid"
    " LEFT JOIN places p ON p.id = a.project_id",
    "e.started_at", "e.call_offset", ("a.project_id", "a.id"), ("e.copy_of IS NULL",),
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
    place = _INPUTS if asked.where == "inputs" else _TURNS
    wanted = [needle for needle, is_wanted in needles_of(asked).items() if is_wanted]
    sql, values = _statement(reader, asked, place, wanted[0])

    def make(row: Row) -> Hit:
        return make_hit(row, *marked_places(row[-1], wanted))

    whole = "candidates" in values or asked.session is not None
    found = stretches_of(
        reader, asked.since, asked.until, moment_before(asked), seconds, whole=whole
    )
    return newest_first(asked, found, lambda at: found.rows(reader, sql, values | at), make)


def moment_before(asked: SearchQuestion) -> datetime | None:
    """The moment of the last hit of the previous page."""
    return read_cursor(asked.cursor, datetime, int)[0] if asked.cursor else None


def newest_first(
    asked: SearchQuestion,
    found: Stretches,
    look: Callable[[dict[str, Any]], list[Row]],
    make: Callable[[Row], Hit],
) -> Page[Hit]:
    """A page of the hits that `look` finds between `lo` and `hi`, at most `rows`."""
    rows: list[Row] = []
    for lo, hi in found:
        rows += look({"lo": lo, "hi": hi, "rows": asked.limit + 1 - len(rows)})
        if len(rows) > asked.limit:
            break
    page = page_of(list(map(make, rows)), asked.limit, key_of)
    if page.next or not found.unfinished:
        return page
    return Page(page.rows, write_cursor((found.reached, 0)), Looked(back_to=found.reached))


def _statement(
    reader: Reader, asked: SearchQuestion, place: _Text, first: str
) -> tuple[str, dict[str, Any]]:
    """The hits between %(lo)s and %(hi)s, each with its text around the first needle."""
    conditions, values = conditions_of(reader, asked, (place.at, place.id), *place.of)
    conditions += place.standing
    for number, (needle, wanted) in enumerate(needles_of(asked).items()):
        sign = ">" if wanted else "="
        conditions.append(f"strpos(lower({place.text}), lower(%(needle{number})s)) {sign} 0")
        values[f"needle{number}"] = needle
    events, values["first"] = ALL_EVENTS, first
    if place is _TURNS:
        events = narrowed(reader, _whole_words(asked.q), values)
    begin = f"strpos(lower({place.text}), lower(%(first)s)) - {BEFORE}"
    columns = place.columns.format(text=f"substr({place.text}, greatest(1, {begin}), {AROUND})")
    return (
        f"SELECT {columns} FROM {place.rows.format(events=events)}"
        f" WHERE {' AND '.join(conditions)} AND {place.at} >= %(lo)s AND {place.at} < %(hi)s"
        f" ORDER BY {place.at} DESC, {place.id} DESC LIMIT %(rows)s"
    ), values


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
