"""Plain text in turns and in what tools were asked: looked through, the newest first.

Where the text holds whole words the index narrows down what is looked through.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from claude_headspace.errors import BadQuestion
from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import Page, page_of
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
    quoted,
    read_query,
    terms_of,
)
from claude_headspace.store.connection import Row
from claude_headspace.store.words import LONGEST_WORD, words_of

# Around the place where it was found, in characters.
_BEFORE, _AROUND = 200, 600
_PLAIN = "FROM {events}" + PLACED
_CALLS = (
    "FROM (SELECT c.*, a.id AS agent_id, a.project_id FROM tool_calls c"
    " LEFT JOIN agents a ON a.session_uuid = c.session_uuid) e" + PLACED
)
_CALL = (
    "e.call_offset, e.tool_use_id, e.started_at, e.session_uuid::text, e.agent_id, p.path,"
    " p.host, e.tool, e.subagent, {text}"
)


def search_plain(reader: Reader, asked: SearchQuestion) -> Page[Hit]:
    """In the text of turns."""
    conditions, values = conditions_of(reader, asked, ("e.timestamp", "e.id"))
    conditions += STANDING_TURN
    recent = newest(conditions)
    conditions.append(_holds(TEXT, asked.q))
    if asked.where == "prompts":
        conditions.append("e.payload ->> 'actor' = 'user'")
    columns = TURN.format(text=_window(TEXT))
    where, order = " AND ".join(conditions), "ORDER BY e.timestamp DESC, e.id DESC"

    def among(events: str) -> Page[Hit]:
        sql = _PLAIN.format(events=events, conditions=where)
        return _plain_page(reader, f"SELECT {columns} {sql} {order}", values, asked)

    page = among(recent)
    return page if page.next else among(narrowed(reader, _whole_words(asked.q), values))


def search_calls(reader: Reader, asked: SearchQuestion) -> Page[Hit]:
    """In what tools were asked; without an index, words are found inside of longer ones too."""
    conditions, values = conditions_of(reader, asked, ("e.started_at", "e.call_offset"))
    needles = [asked.q]
    if asked.match == "words":
        read_query(asked.q)
        needles = [term.rstrip("*") for wanted, term in terms_of(asked.q) if wanted]
        for number, (wanted, term) in enumerate(terms_of(asked.q)):
            sign = ">" if wanted else "="
            conditions.append(f"strpos(lower(e.input), lower(%(term{number})s)) {sign} 0")
            values[f"term{number}"] = term.rstrip("*")
    conditions += [_holds("e.input", needles[0]), "e.copy_of IS NULL"]
    columns = _CALL.format(text=_window("e.input"))
    sql = _CALLS.format(conditions=" AND ".join(conditions))
    order = "ORDER BY e.started_at DESC, e.call_offset DESC"
    return _plain_page(reader, f"SELECT {columns} {sql} {order}", values, asked, needles)


def _plain_page(
    reader: Reader,
    sql: str,
    values: dict[str, Any],
    asked: SearchQuestion,
    needles: Sequence[str] = (),
) -> Page[Hit]:
    needles = needles or (asked.q,)
    given = {**values, "needle": needles[0]}
    rows = reader.rows(f"{sql} LIMIT %(rows)s", given)
    return page_of([_plain_hit(row, needles) for row in rows], asked.limit, key_of)


def _window(text: str) -> str:
    place = f"strpos(lower({text}), lower(%(needle)s))"
    return f"substr({text}, greatest(1, {place} - {_BEFORE}), {_AROUND})"


def _holds(text: str, needle: str) -> str:
    if not needle.strip():
        raise BadQuestion("q", "says no text that is to be found")
    return f"strpos(lower({text}), lower(%(needle)s)) > 0"


def _whole_words(needle: str) -> str:
    """As much of plain text as the index can be asked: words that begin and end in it."""
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


def _plain_hit(row: Row, needles: Sequence[str]) -> Hit:
    pattern = re.compile("|".join(map(re.escape, needles)), re.IGNORECASE)
    text, marks, end = row[-1], list[tuple[str, bool]](), 0
    for found in pattern.finditer(text):
        marks += [(text[end : found.start()], False), (found[0], True)]
        end = found.end()
    passage = tuple(each for each in [*marks, (text[end:], False)] if each[0])
    return make_hit(row, passage, len(marks) / 2)
