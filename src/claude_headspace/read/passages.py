"""The passage of a text that best shows why it was found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from claude_headspace.store.search_words import same_word, word_places

WORDS_SHOWN = 40
WORDS_BEFORE = 8
# In characters.
_LONG, _NEAR = 2000, 300
# A piece of the text, and whether it matched.
Passage = tuple[tuple[str, bool], ...]


def passage_of(text: str, terms: Sequence[tuple[str, ...]]) -> tuple[Passage, float]:
    """About forty words with matches marked, and a score: the higher, the better."""
    text = _surroundings(text, terms)
    places = list(word_places(text))
    marked = _marked([same_word(place) for place in places], terms)
    if not marked:
        return ((_beginning(text, places), False),), 0.0
    first = max(marked, key=lambda at: (len({marked[n] for n in _near(marked, at)}), -at))
    shown = _near(marked, first)
    begin = max(0, first - WORDS_BEFORE)
    end = min(len(places), begin + WORDS_SHOWN)
    score = len({marked[at] for at in shown}) + len(shown) / WORDS_SHOWN
    return _pieces(text, places, begin, end, set(marked)), score


def _surroundings(text: str, terms: Sequence[tuple[str, ...]]) -> str:
    """The part of a long text with the most literal matches."""
    if len(text) <= _LONG:
        return text
    words = [re.escape(word.rstrip("*")) for term in terms for word in term]
    pattern = re.compile(rf"(?<![^\W_])(?:{'|'.join(words)})", re.IGNORECASE)
    found = [(each.start(), each[0].lower()) for each in islice(pattern.finditer(text), 200)]
    if not found:
        return text

    def different(at: int) -> int:
        return len({word for start, word in found if at <= start < at + _NEAR})

    best = max(found, key=lambda each: (different(each[0]), -each[0]))[0]
    return text[max(0, best - _LONG // 4) : best + _LONG * 3 // 4]


def marked_places(text: str, needles: Sequence[str]) -> tuple[Passage, float]:
    """The text with these texts marked, in any case, and the number of matches."""
    pattern = re.compile("|".join(map(re.escape, needles)), re.IGNORECASE)
    pieces, end = list[tuple[str, bool]](), 0
    for found in pattern.finditer(text):
        pieces += [(text[end : found.start()], False), (found[0], True)]
        end = found.end()
    return tuple(each for each in [*pieces, (text[end:], False)] if each[0]), len(pieces) / 2


def _marked(words: Sequence[str], terms: Sequence[tuple[str, ...]]) -> dict[int, int]:
    """Places of matching words, each with the number of its term."""
    found: dict[int, int] = {}
    for number, term in enumerate(terms):
        for at in _places_of(term[0], words):
            if _stands_at(term, words, at):
                found |= {at + n: number for n in range(len(term))}
    return found


def _places_of(wanted: str, words: Sequence[str]) -> list[int]:
    if wanted.endswith("*"):
        return [at for at, word in enumerate(words) if word.startswith(wanted[:-1])]
    return [at for at, word in enumerate(words) if word == wanted]


def _stands_at(term: Sequence[str], words: Sequence[str], at: int) -> bool:
    here = words[at : at + len(term)]
    return len(here) == len(term) and all(map(_is, term, here))


def _is(wanted: str, word: str) -> bool:
    return word.startswith(wanted[:-1]) if wanted.endswith("*") else word == wanted


def _near(marked: dict[int, int], at: int) -> list[int]:
    return [other for other in range(at, at + WORDS_SHOWN - WORDS_BEFORE) if other in marked]


def _pieces(
    text: str, places: Sequence[re.Match[str]], begin: int, end: int, marked: set[int]
) -> Passage:
    """Adjacent matches become one piece, with the text between them."""
    pieces: list[tuple[str, bool]] = []
    reached = places[begin].start()
    for at in range(begin, end):
        if at not in marked or (at - 1 in marked and at > begin):
            continue
        last = at
        while last + 1 in marked and last + 1 < end:
            last += 1
        pieces.append((text[reached : places[at].start()], False))
        pieces.append((text[places[at].start() : places[last].end()], True))
        reached = places[last].end()
    pieces.append((text[reached : places[end - 1].end()], False))
    before, after = "… " * (begin > 0), " …" * (end < len(places))
    whole = [(before, False), *pieces, (after, False)]
    return tuple(piece for piece in whole if piece[0])


def _beginning(text: str, places: Sequence[re.Match[str]]) -> str:
    return text[: places[WORDS_SHOWN].start()] + "…" if len(places) > WORDS_SHOWN else text
