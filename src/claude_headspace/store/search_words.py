"""Splitting text into words, in the same way for the index and for queries."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

PART_WORDS = 8_000
PART_CHARACTERS = 100_000
# The number of words that two parts share, so that each phrase is complete in one of them.
SHARED_WORDS = 32
# A longer sequence is data, not a word.
LONGEST_WORD = 200
_ASCII_WORD = re.compile(r"[A-Za-z0-9]+")
# Includes accents, which follow their letters in decomposed text.
_WORD = re.compile(r"[^\W_](?:[^\W_]|[\u0300-\u036f])*")


class TextPart(NamedTuple):
    """A part of a text: its start, its length, and its words."""

    begins: int
    length: int
    words: str


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, separated by punctuation and underscores."""
    if text.isascii():
        return [word for word in _ASCII_WORD.findall(text.lower()) if len(word) <= LONGEST_WORD]
    return [_plain(word) for word in _WORD.findall(text) if len(word) <= LONGEST_WORD]


def word_places(text: str) -> Iterator[re.Match[str]]:
    """Each word with its position."""
    pattern = _ASCII_WORD if text.isascii() else _WORD
    return (each for each in pattern.finditer(text) if each.end() - each.start() <= LONGEST_WORD)


def parts_of(text: str) -> Iterator[TextPart]:
    """The parts of a text for the index; none for a text without words."""
    if len(text) <= PART_CHARACTERS:
        pattern = _ASCII_WORD if text.isascii() else _WORD
        words = [word for word in pattern.findall(text) if len(word) <= LONGEST_WORD]
        if len(words) <= PART_WORDS:
            if words:
                yield TextPart(0, len(text), _plain(" ".join(words)))
            return
    places: list[re.Match[str]] = []
    fresh = 0
    for found in word_places(text):
        is_long = places and found.end() - places[0].start() > PART_CHARACTERS
        if is_long or len(places) >= PART_WORDS:
            yield _part(places)
            places, fresh = places[-SHARED_WORDS:], 0
        places.append(found)
        fresh += 1
    if fresh:
        yield _part(places)


def _part(places: list[re.Match[str]]) -> TextPart:
    begins = places[0].start()
    words = " ".join(_plain(place[0]) for place in places)
    return TextPart(begins, places[-1].end() - begins, words)


def _plain(word: str) -> str:
    if word.isascii():
        return word.lower()
    return unicodedata.normalize("NFC", word).casefold()
