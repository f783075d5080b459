"""Sums over time: of days that are over once, and again when anything of them comes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from claude_headspace.read import counted_days
from claude_headspace.read.activity import activity_in
from claude_headspace.read.buckets import buckets_between
from claude_headspace.read.connection import Reader, ReadPool
from harness import Log

NOW = datetime.now(UTC)
START, END = NOW - timedelta(days=40), NOW - timedelta(days=5)
OLD = NOW - timedelta(days=20)


@pytest.fixture
def reader(log: Log, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.setattr(counted_days, "_known", counted_days.KnownDays())
    monkeypatch.setattr(counted_days, "_LATE_IDS", 0)
    pool = ReadPool(lambda: log.url)
    with pool.reading() as lent:
        yield lent
    pool.close_idle(0)


def say(log: Log, at: datetime, actor: str = "agent") -> int:
    """A turn; its id."""
    session = str(uuid.uuid4())
    payload = {"session_uuid": session, "actor": actor, "text": "words"}
    return int(
        log.value(
            "INSERT INTO events (timestamp, event_type, payload, session_uuid, event_key) VALUES"
            " (%s, 'turn_detected', %s, %s, gen_random_uuid()) RETURNING id",
            (at, json.dumps(payload), session),
        )
    )


def turns(reader: Reader, start: datetime = START, end: datetime = END) -> list[int]:
    found = activity_in(reader, buckets_between(start, end, 60), None, seconds=60)
    assert sum(part.turns for part in found.parts) == found.whole.turns
    return [part.turns for part in found.parts if part.turns]


def test_a_day_that_is_over_is_counted_once(reader: Reader, log: Log) -> None:
    seen = say(log, OLD, "user")
    say(log, OLD - timedelta(days=3))
    assert turns(reader) == [1, 1]
    # Without an event nothing tells that a day has changed.
    log.value("UPDATE events SET retracted_at = now() WHERE id = %s RETURNING 1", [seen])
    assert turns(reader) == [1, 1]
    say(log, OLD)
    assert turns(reader) == [1, 1]
    say(log, OLD)
    assert turns(reader) == [1, 2]


def test_what_is_not_over_is_counted_every_time(reader: Reader, log: Log) -> None:
    seen = say(log, NOW)
    month = NOW - timedelta(days=30), NOW + timedelta(days=1)
    assert turns(reader, *month) == [1]
    log.value("UPDATE events SET retracted_at = now() WHERE id = %s RETURNING 1", [seen])
    assert turns(reader, *month) == []


def test_weeks_are_the_sums_of_their_days(reader: Reader, log: Log) -> None:
    for days in range(21):
        say(log, OLD - timedelta(days=days))
    year = buckets_between(NOW - timedelta(days=300), END, 53)
    assert year.step == timedelta(days=7)
    found = activity_in(reader, year, None, seconds=60)
    assert found.whole.turns == 21
    assert max(part.turns for part in found.parts) == 7


def test_a_long_time_is_counted_from_the_newest_back_in_several_looks(
    reader: Reader, log: Log
) -> None:
    for days in range(0, 60, 5):
        say(log, OLD - timedelta(days=days))
    year, counted = buckets_between(NOW - timedelta(days=300), END, 53), list[int]()
    back_to: list[datetime] = []
    while len(back_to) == len(counted):
        found = activity_in(reader, year, None, seconds=0)
        counted.append(found.whole.turns)
        back_to += [found.back_to] if found.back_to else []
    assert counted == sorted(counted)
    assert counted[0] < counted[-1] == 12
    assert back_to == sorted(back_to, reverse=True)
    assert len(set(back_to)) == len(back_to)
