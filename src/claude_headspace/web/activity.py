"""Activity: what was said, done and spent over an hour, a day, a month or a year."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from flask import Blueprint

from claude_headspace.read.activity import FINE, Lane, activity_in
from claude_headspace.read.buckets import Buckets, buckets_between
from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import Moment
from claude_headspace.read.sessions import Session, find_sessions
from claude_headspace.web.api import read_question
from claude_headspace.web.charts import WIDTH, bars_of, ticks_of
from claude_headspace.web.frame import as_of, frame, page
from claude_headspace.web.links import address, chips_of, with_query
from claude_headspace.web.shared_answers import shared
from claude_headspace.web.words import minute

view = Blueprint("activity", __name__)
Range = Literal["hour", "day", "month", "year"]
RANGES: tuple[Range, ...] = ("hour", "day", "month", "year")
SMALLER: dict[str, Range] = {"year": "month", "month": "day", "day": "hour"}
SHORT_DAYS = (6, 12)
MOST_BARS = {"hour": 60, "day": 144, "month": 31, "year": 53}


@dataclass(frozen=True, slots=True)
class ActivityQuestion:
    """The stretch of time: the range that contains `at`, else the newest."""

    range: Range = "day"
    at: Moment | None = None
    project: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DrawnLane:
    """A session as a row on the time axis: x and width of what is drawn.

    `live`: its last span goes on. `stalled`: since then nothing came of it.
    """

    session: Session
    told: str
    spans: list[tuple[float, float]]
    waits: list[tuple[float, float]]
    prompts: list[float]
    live: bool
    stalled: tuple[float, float] | None


@view.get("/activity")
@shared
def show() -> str:
    """One stretch of time."""
    asked = read_question(ActivityQuestion, {})
    now = datetime.now(UTC)
    with frame().pool.reading() as reader:
        moment = as_of(reader)
        at = asked.at or reader.value("SELECT max(timestamp) FROM events") or now
        start, end = _bounds(asked.range, at.astimezone())
        if asked.range == "day":
            start, end = _busy_hours(reader, start, end)
        buckets = buckets_between(start, end, MOST_BARS[asked.range])
        step = (end - start) / FINE
        fine = Buckets(tuple(start + step * number for number in range(FINE + 1)))
        done = activity_in(reader, buckets, fine if asked.range != "year" else None, asked.project)
        sessions = find_sessions(reader, (lane.agent_id for lane in done.lanes))
    charts = {
        name: bars_of(
            buckets, [getattr(part, name) for part in done.parts], lambda a, b: _zoom(asked, a, b),
            failed=[part.failed for part in done.parts] if name == "calls" else None, height=54,
        )
        for name in ("turns", "calls", "tokens_out")
    }  # fmt: skip
    return page(
        "activity.html", "activity", as_of=moment, asked=asked,
        title=_title(asked.range, start), done=done,
        charts=charts, ranges=RANGES, buckets=buckets, hours=ticks_of(buckets, 12)[:-1],
        lanes=[_drawn(lane, sessions[lane.agent_id], buckets, now) for lane in done.lanes],
        now_at=round(buckets.share(now) * WIDTH, 1) if start <= now < end else None,
        earlier=with_query(at=(start - timedelta(hours=1)).isoformat()),
        later=with_query(at=end.isoformat()) if end < now else None,
        chips=chips_of(asked, {"project": "Project"}), start=start, end=end,
    )  # fmt: skip


def _bounds(range_: Range, at: datetime) -> tuple[datetime, datetime]:
    """The hour, day, month or year of local time that contains a moment."""
    at = at.replace(minute=0, second=0, microsecond=0)
    if range_ == "hour":
        return at, at + timedelta(hours=1)
    start = at.replace(hour=0, tzinfo=None)
    if range_ == "day":
        return start.astimezone(), (start + timedelta(days=1)).astimezone()
    start = start.replace(day=1)
    if range_ == "month":
        following = (start + timedelta(days=32)).replace(day=1)
    else:
        start = start.replace(month=1)
        following = start.replace(year=start.year + 1)
    return start.astimezone(), following.astimezone()


def _busy_hours(reader: Reader, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Six or twelve hours of a day, where they contain everything that happened in it."""
    row = reader.first(
        "SELECT min(timestamp), max(timestamp) FROM events WHERE event_type = 'turn_detected'"
        " AND timestamp >= %s AND timestamp < %s",
        [start, end],
    )
    if row is None or row[0] is None:
        return start, end
    until = row[1].astimezone().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    for hours in SHORT_DAYS:
        since = max(start, until - timedelta(hours=hours))
        if since <= row[0]:
            return since, since + timedelta(hours=hours)
    return start, end


def _zoom(asked: ActivityQuestion, since: datetime, until: datetime) -> str:
    """The link of a bar: one range deeper; in an hour, the events."""
    if asked.range in SMALLER:
        return with_query(range=SMALLER[asked.range], at=since.isoformat())
    return address("events.show", since=since.isoformat(), until=until.isoformat())


def _title(range_: Range, start: datetime) -> str:
    hour = f"{minute(start)} to {minute(start + timedelta(hours=1))}"
    told = {
        "hour": f"{start:%A}, {start.day} {start:%B}, {hour}",
        "day": f"{start:%A}, {start.day} {start:%B} {start.year}",
        "month": f"{start:%B} {start.year}",
        "year": f"{start.year}",
    }
    return told[range_]


def _drawn(lane: Lane, session: Session, buckets: Buckets, now: datetime) -> DrawnLane:
    def shares_of(span: tuple[datetime, datetime]) -> tuple[float, float]:
        left, right = (buckets.share(min(moment, now)) * WIDTH for moment in span)
        return round(left, 1), round(max(2.0, right - left), 1)

    told = ", ".join(f"{minute(start)} to {minute(end)}" for start, end in lane.spans[:20])
    kind, last = session.state.kind, lane.spans[-1][1]
    stalled = kind == "stalled" and last < now and buckets.start <= now < buckets.end
    told += ", stalled since" * stalled
    return DrawnLane(
        session, f"Working {told}", [shares_of(span) for span in lane.spans],
        [shares_of(span) for span in lane.waits],
        [round(buckets.share(at) * WIDTH, 1) for at in lane.prompts],
        kind == "work" and buckets.start <= now < buckets.end,
        shares_of((last, now)) if stalled else None,
    )  # fmt: skip
