"""The part of a text that shows best why it was found."""

from __future__ import annotations

import re
from collections.abc import Sequence

from claude_headspace.store.words import same_word, word_places

WORDS_SHOWN = 40
WORDS_BEFORE = 8
# A piece of the text, and whether it is what was looked for.
Passage = tuple[tuple[str, bool], ...]


def passage_of(text: str, terms: Sequence[tuple[str, ...]]) -> tuple[Passage, float]:
    """Some forty words with the found ones marked, and how good they are: the more, the better."""
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


def marked_places(text: str, needles: Sequence[str]) -> tuple[Passage, float]:
    """The text with all that is one of these marked, small or capital, and how often that is."""
    pattern = re.compile("|".join(map(re.escape, needles)), re.IGNORECASE)
    pieces, end = list[tuple[str, bool]](), 0
    for found in pattern.finditer(text):
        pieces += [(text[end : found.start()], False), (found[0], True)]
        end = found.end()
    return tuple(each for each in [*pieces, (text[end:], False)] if each[0]), len(pieces) / 2


def _marked(words: Sequence[str], terms: Sequence[tuple[str, ...]]) -> dict[int, int]:
    """Places of words that were looked for, each with the number of its term."""
    found: dict[int, int] = {}
    for number, term in enumerate(terms):
        for at in range(len(words) - len(term) + 1):
            if all(_is(word, words[at + n]) for n, word in enumerate(term)):
                found |= {at + n: number for n in range(len(term))}
    return found


def _is(wanted: str, word: str) -> bool:
    return word.startswith(wanted[:-1]) if wanted.endswith("*") else word == wanted


def _near(marked: dict[int, int], at: int) -> list[int]:
    return [other for other in range(at, at + WORDS_SHOWN - WORDS_BEFORE) if other in marked]


def _pieces(
    text: str, places: Sequence[re.Match[str]], begin: int, end: int, marked: set[int]
) -> Passage:
    """Neighbours that are marked are one piece, with what stands between them."""
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
