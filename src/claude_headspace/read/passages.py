"""The passage of a text that best shows why it was found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, islice
from typing import NamedTuple, TypeAlias

from claude_headspace.store.search_words import word_places, words_of

WORDS_SHOWN = 40
WORDS_BEFORE = 8
# In characters: what is looked at of a text before and after its best match, and what is near.
_BEFORE, _AFTER, _NEAR = 80, 270, 230
_MOST_MATCHES = 50
# A piece of the text, and whether it matched.
Passage = tuple[tuple[str, bool], ...]
Terms: TypeAlias = tuple[tuple[str, ...], ...]


class _Part(NamedTuple):
    """A part of a text, and whether the text goes on before and after it."""

    text: str
    before: bool = False
    after: bool = False


def passage_of(text: str, terms: Terms) -> tuple[Passage, float]:
    """About forty words with matches marked, and a score: the higher, the better."""
    part = _surroundings(text, terms)
    marked = _marked(words_of(part.text), terms)
    if not marked and part.text is not text:
        part = _Part(text)
        marked = _marked(words_of(text), terms)
    places = list(word_places(part.text))
    if not marked:
        longer = len(places) > WORDS_SHOWN
        return ((f"{text[: places[WORDS_SHOWN].start()]}…" if longer else text, False),), 0.0
    first = max(marked, key=lambda at: (len({marked[n] for n in _near(marked, at)}), -at))
    shown = _near(marked, first)
    begin = max(0, first - WORDS_BEFORE)
    end = min(len(places), begin + WORDS_SHOWN)
    score = len({marked[at] for at in shown}) + len(shown) / WORDS_SHOWN
    return _pieces(part, places, begin, end, set(marked)), score


def _surroundings(text: str, terms: Terms) -> _Part:
    """The part of a longer text where the most terms are near each other, as they are written."""
    if len(text) <= _BEFORE + _AFTER:
        return _Part(text)
    best = _best_place(sorted(_matches(text, terms)), len(terms))
    if best is None:
        return _Part(text)
    begin, end = max(0, best - _BEFORE), min(len(text), best + _AFTER)
    if begin:  # a whole word
        begin = text.find(" ", begin, best) + 1 or best
    return _Part(text[begin:end], begin > 0, end < len(text))


def _best_place(found: Sequence[tuple[int, int]], terms: int) -> int | None:
    """The first match with the most different terms near it."""
    best, most = None, 0
    for number, (at, _) in enumerate(found):
        different = len({term for start, term in found[number:] if start < at + _NEAR})
        if different > most:
            best, most = at, different
        if most == terms:
            break
    return best


def _matches(text: str, terms: Terms) -> Iterator[tuple[int, int]]:
    """Some places of each term as it is written, and the term's number."""
    most = _MOST_MATCHES if terms[1:] else 1
    lower = text.lower()
    for number, term in enumerate(terms):
        pattern, begin = _pattern(term), term[0].rstrip("*")
        if len(lower) == len(text):  # faster than the pattern
            places = (at for at in _places_in(lower, begin) if pattern.match(text, at))
        else:
            places = (each.start() for each in pattern.finditer(text))
        yield from ((at, number) for at in islice(places, most))


def _places_in(text: str, word: str) -> Iterator[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)


@lru_cache(maxsize=100)
def _pattern(term: tuple[str, ...]) -> re.Pattern[str]:
    words = (
        rf"(?<![^\W_]){re.escape(word.rstrip('*'))}" + r"(?![^\W_])" * (not word.endswith("*"))
        for word in term
    )
    return re.compile(r"[\W_]+".join(words), re.IGNORECASE)


def marked_places(text: str, needles: Sequence[str]) -> tuple[Passage, float]:
    """The text with these texts marked, in any case, and the number of matches."""
    pattern = re.compile("|".join(map(re.escape, needles)), re.IGNORECASE)
    pieces, end = list[tuple[str, bool]](), 0
    for found in pattern.finditer(text):
        pieces += [(text[end : found.start()], False), (found[0], True)]
        end = found.end()
    return tuple(each for each in [*pieces, (text[end:], False)] if each[0]), len(pieces) / 2


def _marked(words: Sequence[str], terms: Terms) -> dict[int, int]:
    """Places of matching words, each with the number of its term."""
    found: dict[int, int] = {}
    for number, term in enumerate(terms):
        for at in _places_of(term[0], words):
            here = words[at : at + len(term)]
            if len(here) == len(term) and all(map(_is, term, here)):
                found |= dict.fromkeys(range(at, at + len(term)), number)
    return found


def _places_of(wanted: str, words: Sequence[str]) -> list[int]:
    if wanted.endswith("*"):
        return [at for at, word in enumerate(words) if word.startswith(wanted[:-1])]
    return [at for at, word in enumerate(words) if word == wanted]


def _is(wanted: str, word: str) -> bool:
    return word.startswith(wanted[:-1]) if wanted.endswith("*") else word == wanted


def _near(marked: dict[int, int], at: int) -> list[int]:
    return [other for other in range(at, at + WORDS_SHOWN - WORDS_BEFORE) if other in marked]


def _pieces(
    part: _Part, places: Sequence[re.Match[str]], begin: int, end: int, marked: set[int]
) -> Passage:
    """Adjacent matches become one piece, with the text between them."""
    pieces: list[tuple[str, bool]] = []
    text, reached = part.text, places[begin].start()
    for matches, group in groupby(range(begin, end), marked.__contains__):
        if matches:
            run = list(group)
            first, last = places[run[0]].start(), places[run[-1]].end()
            pieces += [(text[reached:first], False), (text[first:last], True)]
            reached = last
    pieces.append((text[reached : places[end - 1].end()], False))
    before = "… " * (begin > 0 or part.before)
    after = " …" * (end < len(places) or part.after)
    whole = [(before, False), *pieces, (after, False)]
    return tuple(piece for piece in whole if piece[0])
