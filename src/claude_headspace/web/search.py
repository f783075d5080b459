"""The view Search: hits grouped by session, the best passages first."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, render_template, request
from msgspec.structs import replace

from claude_headspace.errors import BadQuestion
from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import Page
from claude_headspace.read.query import Hit, SearchQuestion, SearchScope
from claude_headspace.read.search import search, seconds_behind
from claude_headspace.read.sessions import Session, find_sessions
from claude_headspace.read.stretches import SEARCH_SECONDS
from claude_headspace.web.api import read_question
from claude_headspace.web.frame import frame, page
from claude_headspace.web.links import Facet, address, chips_of, choose, facet_of, with_query
from claude_headspace.web.words import counted

view = Blueprint("search", __name__)
SHOWN_HITS = 30
SHOWN_OF_SESSION = 5
BEHIND_SECONDS = 2.0
# The first answer of a scan comes soon; the page goes on by itself.
FIRST_SECONDS = 0.2
SCOPES = {
    "turns": "Turns", "prompts": "Prompts only", "inputs": "Tool inputs",
    "outputs": "Tool outputs", "thinking": "Thinking",
}  # fmt: skip
MATCHES = {"words": "Words", "plain": "Exactly this text"}
NOUNS = {
    "turns": "turn", "prompts": "prompt", "inputs": "tool input", "outputs": "tool output",
    "thinking": "thought",
}  # fmt: skip
FURTHER_SCOPES: tuple[SearchScope, ...] = ("turns", "inputs", "outputs")


@dataclass(frozen=True, slots=True)
class SessionHits:
    """Hits of one session, the best first, and how many there are."""

    session: Session | None
    uuid: str
    hits: tuple[Hit, ...]
    count: int


@view.get("/search")
def show() -> str:
    """The hits of a search."""
    if not request.args.get("q", "").strip():
        return page("search.html", "search", asked=None)
    asked = replace(read_question(SearchQuestion, {}), limit=SHOWN_HITS)
    began = time.monotonic()
    with frame().pool.reading() as reader:
        hits = _search(reader, asked, SEARCH_SECONDS if asked.cursor else FIRST_SECONDS)
        took = time.monotonic() - began
        behind = seconds_behind(reader)
        sessions = find_sessions(reader, (hit.agent_id for hit in hits.rows))
    return page(
        "search.html", "search", asked=asked, groups=_by_session(hits.rows, sessions, asked),
        hits=hits, count=_count(asked, hits), took=took,
        behind=behind if behind > BEHIND_SECONDS else 0,
        chips=chips_of(asked, {"project": "Project", "host": "Host", "session": "Session"}),
        facets=_facets(asked, hits.rows), open_hit=_address,
        noun=NOUNS[asked.where], scopes=SCOPES,
        goes_on=hits.looked is not None and hits.next and len(hits.rows) < asked.limit,
    )  # fmt: skip


def _search(reader: Reader, asked: SearchQuestion, seconds: float) -> Page[Hit]:
    """The hits; none if the query contains no word."""
    try:
        return search(reader, asked, seconds)
    except BadQuestion as error:
        if error.field != "q":
            raise
        return Page(())


def _count(asked: SearchQuestion, hits: Page[Hit]) -> str:
    """The number of hits, in words; no more than a page is counted."""
    number = counted(len(hits.rows), NOUNS[asked.where])
    if hits.next is None and asked.cursor is None:
        return number
    goes_on = hits.looked and len(hits.rows) < asked.limit
    return f"{number} so far" if goes_on else f"more than {number}"


def _by_session(
    hits: Sequence[Hit], sessions: dict[int, Session], asked: SearchQuestion
) -> list[SessionHits]:
    groups: dict[str, list[Hit]] = {}
    for hit in hits:
        groups.setdefault(hit.session, []).append(hit)
    found = []
    for uuid, members in groups.items():
        best = sorted(members, key=lambda hit: -hit.score)
        shown = best if asked.session else best[:SHOWN_OF_SESSION]
        session = sessions.get(members[0].agent_id or 0)
        found.append(SessionHits(session, uuid, tuple(shown), len(members)))
    return found


def _address(hit: Hit) -> str:
    place: dict[str, Any] = {"event": hit.id}
    anchor = f"e{hit.id}"
    if hit.call:
        anchor, place = f"c{hit.call}", {"call": hit.call}
    elif hit.source is not None:
        anchor, place = f"t{hit.source}-{hit.id}", {"at": int(hit.timestamp.timestamp())}
    return address("session.show", uuid=hit.session, _anchor=anchor, **place)


@view.get("/search/elsewhere")
def show_elsewhere() -> str:
    """Where else the plain text occurs; shown when nothing was found."""
    asked = replace(read_question(SearchQuestion, {}), limit=SHOWN_HITS, cursor=None)
    found = []
    with frame().pool.reading() as reader:
        for where in FURTHER_SCOPES:
            other = replace(asked, where=where, match="plain")
            page = _search(reader, other, SEARCH_SECONDS) if other != asked else Page[Hit](())
            if count := len(page.rows):
                words = f"{'at least ' if page.next else ''}{counted(count, NOUNS[where])}"
                found.append((words, with_query("search.show", match="plain", **{"in": where})))
    return render_template("elsewhere.html", others=found)


def _facets(asked: SearchQuestion, hits: Sequence[Hit]) -> list[Facet]:
    projects = Counter(hit.project for hit in hits if hit.project)
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    times = {
        "Today": today, "This week": today - timedelta(days=6),
        "This month": today.replace(day=1), "This year": today.replace(day=1, month=1),
    }  # fmt: skip
    return [
        choose("in", "Look in", SCOPES, asked.where),
        choose("match", "Match", MATCHES, asked.match),
        facet_of("project", "Project", projects, tuple(filter(None, [asked.project])), one=True),
        choose(
            "since", "When", {moment.isoformat(): name for name, moment in times.items()},
            asked.since.isoformat() if asked.since else "",
        ),
    ]  # fmt: skip
