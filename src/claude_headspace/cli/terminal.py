"""Text for people: it cannot control the terminal, and fits its width."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

ELLIPSIS = "…"
# The least width of the last column of a table.
LEAST_COLUMNS = 16
# Controls (C0, C1, DEL), changes of writing direction, line separators, lone surrogates.
_STEERING = "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
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
    """Spell out characters that the encoding of the output lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=SPELT_OUT)


def printable(text: str) -> str:
    """The text on one line; characters that it lacks or that control the terminal are spelt out."""
    return _line(text if text.isprintable() else _BREAK.sub(" ", text))


def _line(text: str) -> str:
    # Most text is printable: then the pattern, which is slow to compile, is not needed.
    if not text.isprintable():
        text = re.sub(_STEERING, lambda found: ascii(found[0])[1:-1], text)
    return _encodable(text)


def _encodable(text: str) -> str:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if text.isascii() or encoding.lower().startswith("utf"):
        return text
    return text.encode(encoding, SPELT_OUT).decode(encoding)


def terminal_width() -> int | None:
    """Columns of the terminal on standard output; None if it is not a terminal."""
    if not sys.stdout.isatty():
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    return os.get_terminal_size(sys.stdout.fileno()).columns or None


def paint(text: str, **style: Any) -> str:
    """The text in colour on a terminal, unless NO_COLOR is set."""
    if not style or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    import click

    return click.style(text, **style)


def fit(text: str, **style: Any) -> str:
    """One printable line that fits the terminal, painted."""
    return paint(cut(text, terminal_width()), **style)


def agreed(question: str) -> bool:
    """Ask the person at the terminal; without a terminal the answer is yes."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def announce(text: str) -> None:
    """Tell a person at the terminal what takes a while; programs need not know."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


def cut(text: str, width: int | None) -> str:
    """One printable line of at most this many columns; a longer one ends with an ellipsis."""
    if width is None:
        return printable(text)
    # The text may be megabytes long, and much of it may be spaces that fold into one.
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
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text
    )


def wrapped(text: str, width: int | None, indent: str = "", hang: int = 0) -> list[str]:
    """Printable lines of at most this many columns; a longer word is broken.

    The rest of a line that was too long is indented by `hang`.
    """
    lines = [_line(line) for line in re.split(r"\r\n|[\n\r\v\f]", text.expandtabs(4))]
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
    """The word, broken into pieces of at most this width."""
    pieces = [""]
    for character in word:
        if _columns((pieces[-1] + character).rstrip()) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


def table(rows: Sequence[Sequence[str]], *right: int) -> list[str]:
    """Aligned columns, some of them to the right; the last one takes the rest of the width.

    Where too little is left, each row becomes lines of its own, labelled by the titles.
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
    """Each on its own line; a line that is too long continues below the text after its label."""
    width = terminal_width()
    for line in lines:
        label = re.match(r"\w+: +", line)
        print_lines(wrapped(line, width, hang=len(label[0]) if label else 4))


def print_lines(lines: Iterable[str]) -> None:
    """Each on its own line."""
    for line in lines:
        print(line)


def local_time(moment: datetime | None, *, precise: bool = False) -> str:
    """The moment in this machine's time zone; in UTC where the local calendar cannot express it."""
    if moment is None:
        return "-"
    try:
        moment = moment.astimezone()
    except (OverflowError, ValueError, OSError):
        moment = moment.astimezone(UTC)
    text = moment.isoformat(" ", "seconds")[:19]
    return f"{text}.{moment.microsecond // 1000:03d}" if precise else text


def zone() -> str:
    """This machine's time zone, in words."""
    now = datetime.now().astimezone()
    return f"times in {now:%Z} (UTC{now:%z})"


def zone_told() -> list[str]:
    """A line that names the time zone, on a terminal only."""
    return [fit(zone(), dim=True)] if terminal_width() else []


def as_json(value: object) -> str:
    """One line of JSON, in ASCII."""
    import json

    return json.dumps(value, default=_plain)


def print_json(rows: Iterable[object]) -> None:
    """Each as one line of JSON, in ASCII."""
    for row in rows:
        print(as_json(row))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return dict(value)
    if names := getattr(value, "__dataclass_fields__", None):
        return {name: getattr(value, name) for name in names}
    return str(value)
