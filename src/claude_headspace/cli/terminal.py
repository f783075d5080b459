"""Text for people: nothing in it can steer the terminal, and nothing runs over its edge."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

ELLIPSIS = "…"
# Controls (C0, C1, DEL), what turns the direction of writing, line separators, half characters.
_STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_BREAK = re.compile(r"[\t\r\n\v\f][ \t\r\n\v\f]*")


def printable(text: str) -> str:
    """The text on one line, with everything that could steer a terminal spelt out."""
    return _STEERING.sub(_spell, _BREAK.sub(" ", text))


def _spell(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def encode_anything() -> None:
    """Have output survive an encoding that lacks a character: the character is spelt out."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def terminal_width() -> int | None:
    """Columns of the terminal that standard output is; None when it is none."""
    if not sys.stdout.isatty():
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    return os.get_terminal_size(sys.stdout.fileno()).columns or None


def agreed(question: str) -> bool:
    """Whether the person at the terminal agrees; a script has agreed by its command."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def cut(text: str, width: int | None) -> str:
    """One printable line of at most so many columns, with an ellipsis if it was longer."""
    if width is None:
        return printable(text)
    # The text may be megabytes, and indented so deep that much of it folds into one space.
    begin = text[: 8 * width]
    line = printable(begin) + (ELLIPSIS if len(text) > len(begin) else "")
    if _columns(line) <= width:
        return line
    kept = line[:width]
    while _columns(kept) >= width:
        kept = kept[:-1]
    return kept + ELLIPSIS


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(_character_columns(character, unicodedata) for character in text)


def _character_columns(character: str, unicodedata: Any) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns; the last one takes what is left of the terminal."""
    cleaned = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(_columns, column)) for column in list(zip(*cleaned, strict=True))[:-1]]
    limit = terminal_width()
    for row in cleaned:
        cells = [cell + " " * (w - _columns(cell)) for cell, w in zip(row, widths, strict=False)]
        print(cut("  ".join([*cells, row[-1]]), limit))


def local_time(moment: datetime | None, *, precise: bool = False) -> str:
    """The moment in the zone of this machine; in UTC where that zone's calendar has no such day."""
    if moment is None:
        return "-"
    try:
        moment = moment.astimezone()
    except (OverflowError, ValueError, OSError):
        moment = moment.astimezone(UTC)
    text = moment.isoformat(" ", "seconds")[:19]
    return f"{text}.{moment.microsecond // 1000:03d}" if precise else text


def as_json(value: object) -> str:
    """One line of JSON, in ASCII."""
    import json

    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).decode("utf-8", "backslashreplace")
    return str(value)
