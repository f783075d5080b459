"""Text for people: nothing in it can steer the terminal, and nothing runs over its edge."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

ELLIPSIS = "…"
# The last column of a table is given no less.
LEAST_COLUMNS = 16
# Controls (C0, C1, DEL), what turns the direction of writing, line separators, half characters.
_STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_BREAK = re.compile(r"[\t\r\n\v\f][ \t\r\n\v\f]*")
_PLAIN = {"…": "...", "→": "->", "·": "-", "−": "-"}
_PLAIN |= {"\u2013": "-", "\u2014": "-", "\u201c": '"', "\u201d": '"'}
SPELT_OUT = "claude_headspace.spelt_out"


def _spell_out(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    spelt = [_PLAIN.get(each) or each.encode("ascii", "backslashreplace").decode() for each in text]
    return "".join(spelt), error.end


codecs.register_error(SPELT_OUT, _spell_out)


def encode_anything() -> None:
    """Have output survive an encoding that lacks a character: the character is spelt out."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=SPELT_OUT)


def printable(text: str) -> str:
    """The text on one line, with all spelt out that could steer a terminal or that it lacks."""
    return _encodable(_STEERING.sub(_spell, _BREAK.sub(" ", text)))


def printable_lines(text: str) -> list[str]:
    """The same line by line, with its indentation."""
    lines = re.split(r"\r\n|[\n\r\v\f]", text.expandtabs(4))
    return [_encodable(_STEERING.sub(_spell, line)) for line in lines]


def _spell(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _encodable(text: str) -> str:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if text.isascii() or encoding.lower().startswith("utf"):
        return text
    return text.encode(encoding, SPELT_OUT).decode(encoding)


def terminal_width() -> int | None:
    """Columns of the terminal that standard output is; None when it is none."""
    if not sys.stdout.isatty():
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    return os.get_terminal_size(sys.stdout.fileno()).columns or None


def paint(text: str, **style: Any) -> str:
    """The text with colours on a terminal, unless NO_COLOR says that nobody wants any."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    import click

    return click.style(text, **style)


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
    ellipsis = _encodable(ELLIPSIS)
    kept = line[:width]
    while _columns(kept + ellipsis) > width:
        kept = kept[:-1]
    return kept + ellipsis


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(_character_columns(character, unicodedata) for character in text)


def _character_columns(character: str, unicodedata: Any) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrapped(text: str, width: int | None, indent: str = "", hang: int = 0) -> list[str]:
    """Printable lines of at most so many columns; a word that is longer is broken.

    What is left of a line that was too long goes on further in, by `hang`.
    """
    lines = printable_lines(text)
    if width is None:
        return [(indent + line).rstrip() for line in lines]
    room = max(width - len(indent), 8)
    return [indent + part for line in lines for part in _parts(line, room, hang)]


def _parts(line: str, width: int, hang: int) -> list[str]:
    first = " " * min(len(line) - len(line.lstrip()), width // 2)
    lead = " " * min(max(len(first), hang), width // 2)
    parts, part = [], first
    for word in re.split(r"(?<= )", line.strip()):
        for piece in _pieces(word, width - len(lead)):
            if part.strip() and _columns((part + piece).rstrip()) > width:
                parts.append(part.rstrip())
                part = lead
            part += piece
    return [*parts, part.rstrip()]


def _pieces(word: str, width: int) -> list[str]:
    """The word, in as many pieces as it takes."""
    pieces = [""]
    for character in word:
        if _columns((pieces[-1] + character).rstrip()) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


def table(rows: Sequence[Sequence[str]], *right: int) -> list[str]:
    """Aligned columns, some to the right; the last one takes what is left of the terminal.

    Where too little is left each row is told in lines of its own, by the titles of the first row.
    """
    cleaned = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(_columns, column)) for column in list(zip(*cleaned, strict=True))[:-1]]
    limit = terminal_width()
    if limit and sum(widths) + 2 * len(widths) + LEAST_COLUMNS > limit:
        return _stacked(cleaned, limit)
    lines = []
    for row in cleaned:
        padded = list(row)
        for n, width in enumerate(widths):
            space = " " * (width - _columns(row[n]))
            padded[n] = space + row[n] if n in right else row[n] + space
        lines.append(cut("  ".join(padded), limit))
    return lines


def _stacked(rows: Sequence[Sequence[str]], limit: int) -> list[str]:
    titles, *others = rows
    lines = []
    for row in others:
        told = [f"{title} {cell}" for title, cell in zip(titles[:-1], row, strict=False)]
        lines += [cut(row[-1] or "-", limit), *wrapped(", ".join(told), limit, "  ")]
    return lines


def print_wrapped(lines: Iterable[str]) -> None:
    """Each on its own line, or on several, below what follows its label, if it is too long."""
    width = terminal_width()
    for line in lines:
        label = re.match(r"\w+: +", line)
        print_lines(wrapped(line, width, hang=len(label[0]) if label else 4))


def print_lines(lines: Iterable[str]) -> None:
    """Each on its own line."""
    for line in lines:
        print(line)


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


def zone() -> str:
    """The zone of this machine, as times are told in it."""
    now = datetime.now().astimezone()
    return f"times in {now:%Z} (UTC{now:%z})"


def zone_told() -> list[str]:
    """A line of it for a terminal; what reads our output knows the zone of its machine."""
    return [paint(cut(zone(), width), dim=True)] if (width := terminal_width()) else []


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
