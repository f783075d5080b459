"""What leaves the page as a file: rows as CSV or JSON Lines, a session as Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any
from urllib.parse import urlencode

import msgspec
from flask import Response, request

from claude_headspace.read.call_line import line_of
from claude_headspace.read.exchange import Exchange, Item, Step, Stray, TurnRow
from claude_headspace.read.paging import Page
from claude_headspace.read.sessions import Session
from claude_headspace.web.words import length, moment

FORMATS = (".json", ".csv", ".jsonl")
# What a spreadsheet would read as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_OUTCOMES = {None: "no result", "ok": "", "error": "failed", "denied": "declined"}


def as_table(page: Page[Any], ending: str, name: str) -> Response:
    """The rows of a page in this format, as a file of this name."""
    if ending == ".csv":
        body, kind = "".join(csv_lines(page.rows)), "text/csv; charset=utf-8"
    else:
        lines = (msgspec.json.encode(row) + b"\n" for row in page.rows)
        body, kind = b"".join(lines).decode(), "application/jsonl"
    response = Response(body, content_type=kind)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    if page.next:
        pairs = [(key, value) for key, value in request.args.items(multi=True) if key != "cursor"]
        following = urlencode([*pairs, ("cursor", page.next)])
        response.headers["Link"] = f'<{request.path}?{following}>; rel="next"'
    return response


def csv_lines(rows: Iterable[Any]) -> Iterator[str]:
    """Rows of one dataclass, after a line with the names of its fields."""
    line = io.StringIO()
    writer = csv.writer(line)
    for number, row in enumerate(rows):
        names = [field.name for field in fields(row)]
        if number == 0:
            writer.writerow(names)
        writer.writerow([_cell(getattr(row, name)) for name in names])
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    encoded = msgspec.json.encode(value).decode()
    return encoded.strip('"')


def as_markdown(session: Session, exchanges: Sequence[Exchange]) -> str:
    """Prompts as headings, answers unchanged, one line per call."""
    told = [f"# {session.title or session.uuid}", ""]
    began = f", {moment(session.started_at)}" if session.started_at else ""
    told.append(f"{session.project} on {session.host}{began}. Session {session.uuid}.")
    for exchange in exchanges:
        if exchange.prompt and exchange.said:
            head, _, rest = exchange.said.text.partition("\n")
            told += ["", f"## {exchange.prompt.number}. {head}", *([rest] if rest.strip() else [])]
        told += _items(exchange.items, session)
    return "\n".join(told) + "\n"


def _items(items: Sequence[Item], session: Session, indent: str = "") -> Iterator[str]:
    for item in items:
        if isinstance(item, TurnRow):
            said = "> " if item.actor == "user" else ""
            yield ""
            yield from (f"{indent}{said}{line}" for line in item.text.splitlines())
        elif isinstance(item, Stray):
            yield from _items(item.items, session, f"{indent}  ")
        elif isinstance(item, tuple):
            yield ""
            for step in item:
                yield f"{indent}- {_line(step, session)}"
                yield from _items(step.inner, session, f"{indent}  ")


def _line(step: Step, session: Session) -> str:
    call = step.call
    told = line_of(call.tool, call.asked, session.directory)
    outcome = _OUTCOMES.get(call.outcome, call.outcome or "")
    ended = ", ".join(filter(None, (outcome, length(call.seconds))))
    return f"{told.name} `{told.text.replace('`', '’')}` {told.aside}".rstrip() + f" ({ended})"
