"""A search: the question, its parsed form, and its hits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from claude_headspace.errors import BadQuestion, QuestionTooLong
from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import PAGE_ROWS, Cursor, Key, Limit, Moment, Until, read_cursor
from claude_headspace.read.passages import Passage
from claude_headspace.read.selection import filters_of
from claude_headspace.store.connection import Row
from claude_headspace.store.search_words import words_of

_TERM = re.compile(r'(-?)"([^"]*)"?|(-?)([^\s"]+)')
# Words that more parts contain do not narrow a search.
RARE = 4000
CANDIDATE_SECONDS = 0.25
_CANDIDATES = "SELECT event_id FROM search_parts WHERE words @@ to_tsquery('simple', %s) LIMIT %s"
# A copied turn is found in its original session, if the log has that.
_ONCE = (
    "NOT (e.annotations ? 'copy_of' AND EXISTS (SELECT FROM events o WHERE o.event_key ="
    " e.event_key AND o.session_uuid <> e.session_uuid AND o.retracted_at IS NULL"
    " AND o.session_uuid::text = e.annotations ->> 'copy_of'))"
)
STANDING_TURN = ("e.event_type = 'turn_detected'", "e.retracted_at IS NULL", _ONCE)
# The columns of a hit in a turn, except its passage.
TURN = (
    "e.id, '', e.timestamp, e.session_uuid::text, e.agent_id, p.path, p.host,"
    " e.payload ->> 'actor', e.payload ->> 'subagent_id', {text}"
)
TEXT = "e.payload ->> 'text'"
ALL_EVENTS = "events e"


Place = Literal["turns", "prompts", "inputs", "outputs", "thinking"]
# Names of parameters in a URL that differ from the field, because they are Python keywords.
ASKED_AS = {"where": "in"}


class SearchQuestion(Struct, frozen=True):
    """What to search for, and where."""

    q: Annotated[str, Meta(description='words, "phrases", begin*, and -excluded')]
    match: Annotated[
        Literal["words", "plain"], Meta(description="plain: exactly this text, in any case")
    ] = "words"
    where: Place = "turns"
    session: Annotated[str, Meta(description="uuid, or the start of it")] | None = None
    project: Annotated[str, Meta(description="path, or the end of it")] | None = None
    host: str | None = None
    since: Moment | None = None
    until: Until | None = None
    cursor: Cursor | None = None
    limit: Limit = PAGE_ROWS


@dataclass(frozen=True, slots=True)
class Hit:
    """One turn or tool call (then `call` is its id), and the matching passage.

    `id` is the event's, `actor` the speaker or the tool; `score` is higher for a better passage.
    For a hit that is only in a transcript, `id` is the line's place in the file of `source`.
    """

    id: int
    call: str
    timestamp: datetime
    session: str
    agent_id: int | None
    project: str | None
    host: str | None
    actor: str
    subagent: str | None
    passage: Passage
    score: float
    source: int | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query: each term is a word or a phrase."""

    wanted: tuple[tuple[str, ...], ...]
    unwanted: tuple[tuple[str, ...], ...] = ()

    def as_tsquery(self) -> str:
        """The same as a tsquery of Postgres."""
        terms = [phrase_of(term) for term in self.wanted]
        return " & ".join([*terms, *(f"!({phrase_of(term)})" for term in self.unwanted)])


def read_query(text: str) -> Query:
    """Parse a query; BadQuestion if it contains no word."""
    terms: dict[bool, list[tuple[str, ...]]] = {True: [], False: []}
    for wanted, term in terms_of(text):
        words = words_of(term)
        if words:
            begins = words[-1] + "*" * term.endswith("*")
            terms[wanted].append((*words[:-1], begins))
    if not terms[True]:
        raise BadQuestion("q", "contains no word to search for")
    return Query(tuple(terms[True]), tuple(terms[False]))


def terms_of(text: str) -> Iterator[tuple[bool, str]]:
    """Each term as typed, and whether it is included or excluded."""
    for minus, phrase, other_minus, word in _TERM.findall(text):
        yield not (minus or other_minus), phrase or word


def conditions_of(
    reader: Reader,
    asked: SearchQuestion,
    key: tuple[str, str],
    project: str = "e.project_id",
    agent: str = "e.agent_id",
) -> tuple[list[str], dict[str, Any]]:
    """Filters that all kinds of search share, and the start of the page."""
    conditions, given = filters_of(
        reader, asked, at=key[0], session="e.session_uuid", project=project, agent=agent
    )
    if asked.where == "prompts":
        conditions.append("e.payload ->> 'actor' = 'user'")
    if asked.cursor is not None:
        at, event = read_cursor(asked.cursor, datetime, int)
        conditions.append(f"{key[0]} <= %(at)s AND ({', '.join(key)}) < (%(at)s, %(id)s)")
        given |= {"at": at, "id": event}
    return conditions, given


def narrowed(reader: Reader, query: str, values: dict[str, Any]) -> str:
    """The events `e` of a FROM clause; if the words are rare, only events that have them."""
    if not query:
        return ALL_EVENTS
    try:
        found = reader.rows(_CANDIDATES, (query, RARE), CANDIDATE_SECONDS)
    except QuestionTooLong:  # a phrase of common words
        return ALL_EVENTS
    if len(found) == RARE:
        return ALL_EVENTS
    values["candidates"] = sorted({row[0] for row in found})
    return "unnest(%(candidates)s::bigint[]) AS found (id) JOIN events e ON e.id = found.id"


def key_of(hit: Hit) -> Key:
    """The sort key of a hit."""
    return hit.timestamp, hit.id


def make_hit(row: Row, passage: Passage, score: float) -> Hit:
    """A hit from its columns; the last one is the text."""
    values: tuple[Any, ...] = (*row[:-1], passage, score)
    return Hit(*values)


def phrase_of(term: tuple[str, ...]) -> str:
    """A phrase in the syntax of a tsquery."""
    return " <-> ".join(
        quoted(word[:-1]) + ":*" if word.endswith("*") else quoted(word) for word in term
    )


def quoted(word: str) -> str:
    """A word in the syntax of a tsquery."""
    return f"'{word}'"
