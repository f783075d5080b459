"""Addresses of the views: a page has hundreds of them, so they are built from the routes."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from flask import current_app, request

_PLACE = re.compile(r"<(?:\w+:)?(\w+)>")
_PLAIN = "!$'()*,/:;?@"


def address(endpoint: str, /, *, _anchor: str = "", **values: Any) -> str:
    """The address of a view, with these values in its path or query; None is left out."""
    path = _PLACE.sub(lambda place: quote(str(values.pop(place[1])), _PLAIN), _rule(endpoint))
    given = {name: value for name, value in values.items() if value is not None}
    query = f"?{urlencode(given, doseq=True, safe=_PLAIN)}" if given else ""
    return f"{path}{query}{'#' if _anchor else ''}{quote(_anchor, _PLAIN)}"


def with_query(endpoint: str = "", /, **changes: Any) -> str:
    """This view with other filters: None removes one, a list gives it several values."""
    query: dict[str, Any] = {name: request.args.getlist(name) for name in request.args}
    query.pop("cursor", None)
    query.update(changes)
    kept = {name: value for name, value in query.items() if value not in (None, [], "")}
    given = {} if endpoint else request.view_args or {}
    return address(endpoint or request.endpoint or "now.show", **{**given, **kept})


@cache
def asset(name: str) -> str:
    """The address of a static file, which changes with its contents."""
    contents = (Path(__file__).parent / "static" / name).read_bytes()
    mark = hashlib.blake2s(contents, digest_size=6).hexdigest()
    return address("pages.static", filename=name, v=mark)


@cache
def _rule(endpoint: str) -> str:
    return next(current_app.url_map.iter_rules(endpoint)).rule
