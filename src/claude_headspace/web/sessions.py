"""The view Sessions: a list with filters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

from flask import Blueprint

from claude_headspace.read.buckets import buckets_between
from claude_headspace.read.completeness import branches_of
from claude_headspace.read.connection import Reader
from claude_headspace.read.session_counts import count_sessions, turns_in
from claude_headspace.read.sessions import Session, SessionQuestion, list_sessions
from claude_headspace.web.api import read_question
from claude_headspace.web.charts import Bars, bars_of
from claude_headspace.web.frame import as_of, frame, page
from claude_headspace.web.links import chips_of, facets_of, with_period
from claude_headspace.web.shared_answers import shared

view = Blueprint("sessions", __name__)
CHART_DAYS = 41
FACET_TITLES = {"state": "State", "project": "Project", "host": "Host"}


@view.get("/sessions")
@shared
def show() -> str:
    """A page of sessions, by day."""
    now = datetime.now(UTC)
    asked = read_question(SessionQuestion, {})
    with frame().pool.reading() as reader:
        moment = as_of(reader)
        found = list_sessions(reader, asked)
        counts = count_sessions(reader, asked)
        every = counts.of
        if asked.q or asked.since or asked.until:
            every = reader.value("SELECT count(*) FROM agents")
        nearest = () if counts.fitting else list_sessions(reader, SessionQuestion(limit=1)).rows
        chart = _chart(reader, asked, now)
        branches = branches_of(reader, [row.uuid for row in found.rows])
    return page(
        "sessions.html", "sessions", as_of=moment, asked=asked, found=found,
        count=counts.fitting, every=every, branches=branches,
        days=_by_day(found.rows, asked.sort), chart=chart, nearest=nearest,
        facets=facets_of(asked, FACET_TITLES, counts.facets), chips=chips_of(asked, FACET_TITLES),
    )  # fmt: skip


def _by_day(rows: Sequence[Session], sort: str) -> list[tuple[datetime | None, list[Session]]]:
    """Sessions by local day; one group if the list is sorted by something else."""

    def day_of(row: Session) -> datetime | None:
        if row.last_line_at is None or sort != "last":
            return None
        return row.last_line_at.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)

    return [(day, list(group)) for day, group in groupby(rows, day_of)]


def _chart(reader: Reader, asked: SessionQuestion, now: datetime) -> Bars:
    """Turns per day: of the chosen time, or of the last weeks."""
    end = asked.until or now
    start = asked.since or end - timedelta(days=CHART_DAYS - 1)
    if asked.since and end - start < timedelta(days=CHART_DAYS):
        start = end - timedelta(days=CHART_DAYS - 1)
    buckets = buckets_between(start, end, CHART_DAYS + 1)
    return bars_of(
        buckets,
        turns_in(reader, buckets),
        with_period,
        chosen=(asked.since, asked.until),
    )
