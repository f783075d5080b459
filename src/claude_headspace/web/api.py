"""The API: the queries of `claude_headspace.read`, as JSON, CSV and JSON Lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from flask import Blueprint, Response, request

from claude_headspace.errors import BadQuestion
from claude_headspace.health.verdict import Verdict
from claude_headspace.read.connection import Reader, ReadPool
from claude_headspace.read.events import EventQuestion, ListedEvent, find_event, list_events
from claude_headspace.read.happenings import Happening, HappeningQuestion, list_happenings
from claude_headspace.read.listed import (
    Host,
    HostQuestion,
    ListedCall,
    ListedSession,
    ListedTurn,
    ToolQuestion,
    TurnQuestion,
    list_calls,
    list_flat_sessions,
    list_hosts,
    list_turns,
    one_listed_session,
)
from claude_headspace.read.paging import Page
from claude_headspace.read.query import ASKED_AS, Hit, SearchQuestion
from claude_headspace.read.search import search
from claude_headspace.read.sessions import SessionQuestion
from claude_headspace.read.usage import Usage, UsageQuestion, list_usage
from claude_headspace.web.export import FORMATS, as_table
from claude_headspace.web.openapi import document

# Plain numbers would be read as seconds since 1970.
_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


@dataclass(frozen=True, slots=True)
class ApiList:
    """A list of the API: its parameters, its rows, and the function that answers.

    An ending of the path names a format.
    """

    path: str
    summary: str
    question: type
    row: type
    ask: Callable[[Reader, Any], Page[Any]]

    @property
    def name(self) -> str:
        """The name of its rows."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Single:
    """A single object of the API, by the name in its path."""

    path: str
    summary: str
    row: type
    find: Callable[[Reader, str], Any]


LISTINGS: tuple[ApiList, ...] = (
    ApiList(
        "/api/sessions", "Sessions, newest line first",
        SessionQuestion, ListedSession, list_flat_sessions,
    ),
    ApiList(
        "/api/sessions/<session>/turns", "Turns of a session, in order",
        TurnQuestion, ListedTurn, list_turns,
    ),
    ApiList("/api/events", "Events, newest first", EventQuestion, ListedEvent, list_events),
    ApiList(
        "/api/happenings", "Events, tool calls and their results, newest first",
        HappeningQuestion, Happening, list_happenings,
    ),
    ApiList("/api/tools", "Tool calls, newest first", ToolQuestion, ListedCall, list_calls),
    ApiList("/api/usage", "Tokens used, by model", UsageQuestion, Usage, list_usage),
    ApiList("/api/hosts", "Machines, live ones first", HostQuestion, Host, list_hosts),
    ApiList("/api/search", "Search results, newest first", SearchQuestion, Hit, search),
)  # fmt: skip
SINGLES: tuple[Single, ...] = (
    Single("/api/sessions/<session>", "One session", ListedSession, one_listed_session),
    Single("/api/events/<event>", "One event, retracted or not", ListedEvent, find_event),
)


def api_routes(pool: ReadPool, look: Callable[[], Verdict]) -> Blueprint:
    """All of `/api` except the event stream, which needs no thread."""
    routes = Blueprint("api", __name__)
    for listing in LISTINGS:
        for ending in ("", *FORMATS):
            _add_listing(routes, pool, listing, ending)
    for single in SINGLES:
        _add_single(routes, pool, single)

    @routes.get("/api/health")
    def health() -> Response:
        return json_answer(look())

    @routes.get("/api/openapi.json")
    def openapi() -> Response:
        return json_answer(document(LISTINGS, SINGLES))

    return routes


def _add_listing(routes: Blueprint, pool: ReadPool, listing: ApiList, ending: str) -> None:
    def answer(**names: str) -> Response:
        asked = read_question(listing.question, names)
        with pool.reading() as reader:
            page = listing.ask(reader, asked)
        if ending in ("", ".json"):
            told = {"looked": page.looked} if page.looked else {}
            return json_answer({listing.name: page.rows, "next": page.next, **told})
        return as_table(page, ending, f"{listing.name}{ending}")

    path = f"{listing.path}{ending}"
    routes.add_url_rule(path, path.replace(".", "_"), answer)


def _add_single(routes: Blueprint, pool: ReadPool, single: Single) -> None:
    def answer(**names: str) -> Response:
        read_question(_Nothing, {})
        with pool.reading() as reader:
            return json_answer(single.find(reader, *names.values()))

    routes.add_url_rule(single.path, single.path, answer)


@dataclass(frozen=True, slots=True)
class _Nothing:
    """A query without parameters."""


def read_question(kind: type, names: Mapping[str, str]) -> Any:
    """The query in the request's address; BadQuestion names the part that is wrong."""
    hints = get_type_hints(kind)
    known = {ASKED_AS.get(name, name): name for name in hints}
    given: dict[str, Any] = dict(names)
    for asked, values in request.args.lists():
        name = known.get(asked)
        if name is None or name in names:
            raise BadQuestion(
                asked, f"unknown parameter (known: {', '.join(sorted(known)) or 'none'})"
            )
        if datetime in get_args(hints[name]):
            if not _DATE.match(values[-1]):
                raise BadQuestion(name, f"{values[-1][:40]!r} is not an ISO 8601 time with a zone")
            # Calculations need room on both sides; nothing was recorded outside these years.
            values[-1] = f"{min(max(int(values[-1][:4]), 1904), 2196)}{values[-1][4:]}"
        given[name] = values if get_origin(hints[name]) is tuple else values[-1]
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        told, _, field = str(error).partition(" - at `$.")
        name = field.rstrip("`") or "question"
        raise BadQuestion(ASKED_AS.get(name, name), told) from error


def json_answer(body: Any) -> Response:
    """Any of our dataclasses as JSON."""
    return Response(msgspec.json.encode(body), content_type="application/json")
