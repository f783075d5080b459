"""Addresses of the views, and filters as links: chips remove one, facets add one.

A page has hundreds of addresses, so they are built from the routes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import current_app, request

from claude_headspace.web.words import moment, project_name

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


def with_period(since: datetime, until: datetime) -> str:
    """This view of a stretch of time."""
    return with_query(since=since.isoformat(), until=until.isoformat())


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


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter in effect, and the link that removes it."""

    name: str
    value: str
    without: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A value to filter by: a click adds or removes it."""

    value: str
    label: str
    count: int | None
    href: str
    on: bool


@dataclass(frozen=True, slots=True)
class Facet:
    """Values of one field."""

    name: str
    title: str
    choices: list[Choice]


_LABELS: Mapping[str, Callable[[str], str]] = {"project": project_name}


def label_of(name: str, value: str) -> str:
    """A value as it is shown; a minus excludes it."""
    if value.startswith("-"):
        return f"not {label_of(name, value[1:])}"
    return _LABELS.get(name, str)(value)


def facet_of(
    name: str,
    title: str,
    counts: Mapping[str, int | None],
    chosen: Sequence[str],
    *,
    one: bool = False,
) -> Facet:
    """The field's values with their counts; with `one`, a choice replaces the previous one."""
    wanted = [value for value in chosen if not value.startswith("-")]
    values = {**dict.fromkeys(wanted, 0), **counts}
    choices = []
    for value, count in values.items():
        rest = [] if one else [each for each in chosen if each != value]
        href = with_query(**{name: rest if value in chosen else [*rest, value]})
        choices.append(Choice(value, label_of(name, value), count, href, value in chosen))
    return Facet(name, title, choices)


def facets_of(
    asked: Any, titles: Mapping[str, str], counts: Mapping[str, Mapping[str, int | None]]
) -> list[Facet]:
    """A facet for each of these fields of a query; titles by name."""
    return [
        facet_of(name, title, counts.get(name, {}), getattr(asked, name))
        for name, title in titles.items()
    ]


def chips_of(asked: Any, names: Mapping[str, str]) -> list[Chip]:
    """A chip for the time, and for each value of these fields of a query; titles by name."""
    chips = _period(getattr(asked, "since", None), getattr(asked, "until", None))
    for name, title in names.items():
        given = getattr(asked, name)
        values = given if isinstance(given, tuple) else (given,) if given else ()
        for value in values:
            rest = [each for each in values if each != value]
            chips.append(Chip(title, label_of(name, value), with_query(**{name: rest})))
    return chips


def _period(since: datetime | None, until: datetime | None) -> list[Chip]:
    if since and until:
        told = ("Time", f"{moment(since)} to {moment(until)}")
    elif since:
        told = ("Since", moment(since))
    elif until:
        told = ("Before", moment(until))
    else:
        return []
    return [Chip(*told, with_query(since=None, until=None))]


def choose(name: str, title: str, labels: Mapping[str, str], chosen: str) -> Facet:
    """A choice of one among several, without counts."""
    choices = [
        Choice(value, label, None, with_query(**{name: value}), value == chosen)
        for value, label in labels.items()
    ]
    return Facet(name, title, choices)
