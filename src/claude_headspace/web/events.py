"""The view Events: what happened, newest first, live."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import Blueprint, render_template, request

from claude_headspace.read.buckets import EARLIEST, Buckets, buckets_between
from claude_headspace.read.call_line import line_of
from claude_headspace.read.connection import Reader
from claude_headspace.read.events import find_event
from claude_headspace.read.happenings import (
    ACTORS,
    KINDS,
    Happening,
    HappeningQuestion,
    kind_and_actor,
    list_happenings,
    tally,
)
from claude_headspace.read.sessions import find_sessions
from claude_headspace.web.api import read_question
from claude_headspace.web.charts import bars_of
from claude_headspace.web.frame import as_of, frame, page
from claude_headspace.web.links import address, chips_of, facets_of, with_period
from claude_headspace.web.shared_answers import shared

view = Blueprint("events", __name__)
FACET_TITLES = {"type": "Type", "actor": "Actor", "project": "Project", "host": "Host"}
CHART = timedelta(hours=3)
# Parts of three minutes and one more, since edges are round times.
MOST_BARS = 61
UNCOUNTED_KINDS, UNCOUNTED_ACTORS = dict.fromkeys(KINDS), dict.fromkeys(ACTORS)
COLOURS = {
    "prompt": "you", "declined": "you", "interrupted": "you", "tool failed": "bad",
    "question": "needs", "plan": "needs",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ViewRow:
    """A row of the view: `lead` precedes the text, `payload` is the address of the whole."""

    what: Happening
    title: str
    lead: str
    text: str
    colour: str
    payload: str


@view.get("/events")
@shared
def show() -> str:
    """A page of what happened, with a chart of the time around it."""
    asked = read_question(HappeningQuestion, {})
    with frame().pool.reading() as reader:
        moment = as_of(reader)
        found = list_happenings(reader, asked)
        buckets = _stretch(asked, found.rows)
        counts = tally(reader, asked, buckets)
        rows = _rows(reader, found.rows)
    chart = counts and bars_of(
        buckets,
        counts.counts,
        with_period,
        failed=counts.failed,
        chosen=(asked.since, asked.until),
    )
    known = counts.facets if counts else {"type": UNCOUNTED_KINDS, "actor": UNCOUNTED_ACTORS}
    return page(
        "events.html", "events", as_of=moment, asked=asked, found=found, rows=rows,
        chart=chart, counts=counts,
        buckets=buckets,
        facets=facets_of(asked, FACET_TITLES, known),
        chips=chips_of(asked, {**FACET_TITLES, "session": "Session"}),
    )  # fmt: skip


def _stretch(asked: HappeningQuestion, rows: Sequence[Happening]) -> Buckets:
    """The time that the chart shows: some hours up to the newest event, or the chosen stretch and
    twice as much before it.
    """
    newest = rows[0].at if rows else datetime.now(UTC)
    end = max(EARLIEST, asked.until or max(newest, asked.since or newest))
    span = end - max(asked.since, EARLIEST) if asked.since else CHART / 3
    start = end - 3 * max(span, timedelta(minutes=1))
    return buckets_between(start, end + timedelta(seconds=1), MOST_BARS)


def _rows(reader: Reader, found: Sequence[Happening]) -> list[ViewRow]:
    sessions = find_sessions(reader, (row.agent_id for row in found))
    rows = []
    for what in found:
        session = sessions.get(what.agent_id or 0)
        title = session.title if session else what.session[:8]
        lead, text = "", what.text
        if what.tool is not None:
            told = line_of(what.tool, what.text, what.directory or "")
            lead, text = told.name, f"{told.text} {told.aside}".rstrip()
        payload = address("session.show_call", uuid=what.session, call_id=what.call_id or "")
        if what.event_id is not None:
            payload = address("events.show_one", event_id=what.event_id)
        rows.append(ViewRow(what, title, lead, text, COLOURS.get(what.kind, ""), payload))
    return rows


@view.get("/events/<int:event_id>")
def show_one(event_id: int) -> str:
    """One event in full; for the script, only the body of its row."""
    with frame().pool.reading() as reader:
        event = find_event(reader, str(event_id))
        kind, actor = kind_and_actor(reader, event)
    values = {
        "event": event,
        "filters": {"type": kind, "actor": actor, "project": event.project, "host": event.host},
        "whole": json.dumps(event.payload, indent=2, ensure_ascii=False),
        "fields": {
            name: value for name, value in event.payload.items() if not isinstance(value, dict)
        },
    }
    if request.headers.get("X-Part"):
        return render_template("event_body.html", **values)
    return page("event.html", "events", **values)
