"""A search: the question, its parsed form, and its hits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta

from claude_headspace.errors import BadQuestion
from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import Key, Name, Placed
from claude_headspace.read.passages import Passage, Terms
from claude_headspace.read.selection import filters_of, filters_on
from claude_headspace.store.connection import Row
from claude_headspace.store.search_words import words_of

_TERM = re.compile(r'(-?)"([^"]*)"?|(-?)([^\s"]+)')
# A copied turn is found in its original session, if the log has that.
TURNS = (
    f"{filters_on('e.timestamp', 'e.id', 'e.session_uuid', 'e.project_id', 'e.agent_id')}"
    " AND e.event_type = 'turn_detected' AND e.retracted_at IS NULL"
    " AND (%(where)s <> 'prompts' OR e.payload ->> 'actor' = 'user')"
    " AND NOT (e.annotations ? 'copy_of' AND EXISTS (SELECT FROM events o WHERE o.event_key ="
    " e.event_key AND o.session_uuid <> e.session_uuid AND o.retracted_at IS NULL"
    " AND o.session_uuid::text = e.annotations ->> 'copy_of'))"
)
# The columns of a hit in a turn, except its passage.
TURN = (
    "e.id, '', e.timestamp, e.session_uuid::text, e.agent_id, p.path, p.host,"
    " e.payload ->> 'actor', e.payload ->> 'subagent_id', {text}"
)
TEXT = "e.payload ->> 'text'"

# Of a text without an index, what is shown before a hit and in all, in characters.
BEFORE, AROUND = 200, 600
SearchScope = Literal["turns", "prompts", "inputs", "outputs", "thinking"]
# Names of parameters in a URL that differ from the field, because they are Python keywords.
ASKED_AS = {"where": "in"}


class SearchQuestion(Placed, frozen=True):
    """What to search for, and where."""

    q: Annotated[str, Meta(description='words, "phrases", begin*, and -excluded')]
    match: Annotated[
        Literal["words", "plain"], Meta(description="plain: exactly this text, in any case")
    ] = "words"
    where: SearchScope = "turns"
    session: Name | None = None


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

    def key(self) -> Key:
        """What orders the hits."""
        return self.timestamp, self.id


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query: each term is a word or a phrase."""

    wanted: Terms
    unwanted: Terms = ()

    def as_tsquery(self) -> str:
        """The same as a tsquery of Postgres."""
        terms = [_phrase_of(term) for term in self.wanted]
        return " & ".join([*terms, *(f"!({_phrase_of(term)})" for term in self.unwanted)])


def read_query(text: str) -> Query:
    """Parse a query; BadQuestion if it contains no word."""
    terms: dict[bool, list[tuple[str, ...]]] = {True: [], False: []}
    for wanted, term in terms_of(text):
        if words := words_of(term):
            terms[wanted].append((*words[:-1], words[-1] + "*" * term.endswith("*")))
    if not terms[True]:
        raise BadQuestion("q", "contains no word to search for")
    return Query(tuple(terms[True]), tuple(terms[False]))


def terms_of(text: str) -> Iterator[tuple[bool, str]]:
    """Each term as typed, and whether it is included or excluded."""
    for minus, phrase, other_minus, word in _TERM.findall(text):
        yield not (minus or other_minus), phrase or word


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


def values_of(reader: Reader, asked: SearchQuestion) -> dict[str, Any]:
    """The values of a search's filters."""
    return filters_of(reader, asked) | {"where": asked.where}


def make_hit(row: Row, passage: tuple[Passage, float]) -> Hit:
    """A hit from its columns; the last one is the text."""
    values: tuple[Any, ...] = (*row[:-1], *passage)
    return Hit(*values)


def _phrase_of(term: tuple[str, ...]) -> str:
    return " <-> ".join(f"'{word[:-1]}':*" if word.endswith("*") else f"'{word}'" for word in term)
