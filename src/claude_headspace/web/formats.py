"""A page of rows as CSV or JSON Lines; the header `Link` names the next page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any
from urllib.parse import urlencode

import msgspec
from flask import Response, request

from claude_headspace.read.paging import Page

FORMATS = (".json", ".csv", ".jsonl")
# What a spreadsheet would read as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


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
