"""Addresses of the views: a page has hundreds of them, so they are built from the routes."""

from __future__ import annotations

import hashlib
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import current_app, request

_PLACE = re.compile(r"<(?:\w+:)?(\w+)>")
_PLAIN = "!$'()*,/:;?@"


def address(endpoint: str, /, *, _anchor: str = "", **values: Any) -> str:
    """The address of a view, with these values in its path or query; None is left out."""
    path = _PLACE.sub(lambda place: _quoted(str(values.pop(place[1]))), _rule(endpoint))
    given = [
        f"{_quoted(name)}={_quoted(str(each))}".replace("%20", "+")
        for name, value in values.items()
        if value is not None
        for each in (value if isinstance(value, list | tuple) else (value,))
    ]
    anchor = f"#{_quoted(_anchor)}" if _anchor else ""
    return f"{path}{'?' if given else ''}{'&'.join(given)}{anchor}"


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


@lru_cache(maxsize=1000)
def _quoted(text: str) -> str:
    return quote(text, _PLAIN)


@cache
def _rule(endpoint: str) -> str:
    return next(current_app.url_map.iter_rules(endpoint)).rule
