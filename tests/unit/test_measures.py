from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from claude_headspace.capture.pipeline import CaptureStep
from claude_headspace.events.event import Event, Origin
from claude_headspace.health.measures import LAG_BOUNDS, WRITE_BOUNDS, Histogram, Measures
from claude_headspace.health.status_file import WatcherStatus, read_status, write_status
from claude_headspace.store.results import WriteOutcome, WriteResult
from claude_headspace.watcher.meter import Meter

NOW = datetime(2026, 1, 2, tzinfo=UTC)
STATUS = WatcherStatus(pid=12, started_at=100.0, beat_at=200.0, state="capturing")


def event(age: float, *, kind: str = "turn_detected", read: bool = True) -> Event:
    origin = Origin(1, 0) if read else None
    return Event(kind, NOW - timedelta(seconds=age), {}, uuid4(), origin=origin)


def measured(*pairs: tuple[Event, WriteOutcome], took: float = 0.02) -> Measures:
    meter = Meter(now=NOW.timestamp)
    results = [WriteResult(outcome) for _, outcome in pairs]
    meter.wrote([each for each, _ in pairs], results, took)
    return meter.measures


def test_a_histogram_counts_a_bound_with_what_is_below_it() -> None:
    found = Histogram((1.0, 2.0))
    for seconds in (0.5, 1.0, 1.5, 2.0, 2.5):
        found.observe(seconds)
    assert (found.counts, found.sum) == ([2, 2, 1], 7.5)


@pytest.mark.parametrize(
    ("counts", "bound"),
    [([0, 0, 0], None), ([1, 0, 0], 1.0), ([95, 5, 0], 1.0), ([94, 6, 0], 2.0), ([9, 0, 1], None)],
)
def test_the_bound_of_most(counts: list[int], bound: float | None) -> None:
    assert Histogram((1.0, 2.0), counts).bound_of(0.95) == bound


def test_the_promises_are_bounds() -> None:
    assert 0.1 in WRITE_BOUNDS
    assert 1.0 in LAG_BOUNDS


def test_what_was_written_is_counted_by_type() -> None:
    found = measured(
        (event(0.1), "written"),
        (event(0.1), "written"),
        (event(0.1, kind="session_ended", read=False), "written"),
        (event(0.1), "again"),
        (event(0.1), "duplicate"),
        (event(0.1), "rejected"),
    )
    assert found.written == {
        "turn_detected": 2,
        "session_ended": 1,
        "note_added": 0,
        "session_registered": 0,
        "state_transition": 0,
        "hook_received": 0,
    }
    assert found.rejected["refused"] == 1
    assert sum(found.write_seconds.counts) == 1


def test_a_write_that_never_reached_postgres_is_not_timed() -> None:
    assert not sum(measured((event(0.1), "failed")).write_seconds.counts)
    assert not sum(measured((event(0.1), "rejected")).write_seconds.counts)


@pytest.mark.parametrize(
    ("age", "took", "bound"),
    [(0.9, 0.02, 1.0), (0.021, 0.02, 0.025), (59.0, 0.02, 60.0), (25.0, 24.0, 30.0)],
)
def test_the_lag_of_a_live_line_is_its_age(age: float, took: float, bound: float) -> None:
    lag = measured((event(age), "written"), took=took).lag_seconds
    assert lag.counts[LAG_BOUNDS.index(bound)] == 1
    assert lag.sum == pytest.approx(age, abs=1e-5)


@pytest.mark.parametrize("age", [60.1, 3e7, -0.1, -3600.0])
def test_history_and_the_future_have_no_lag(age: float) -> None:
    assert not sum(measured((event(age), "written")).lag_seconds.counts)


@pytest.mark.parametrize("outcome", ["again", "duplicate", "rejected", "failed"])
def test_only_what_was_written_has_a_lag(outcome: WriteOutcome) -> None:
    assert not sum(measured((event(0.1), outcome)).lag_seconds.counts)
    assert not sum(measured((event(0.1, read=False), "written")).lag_seconds.counts)


def test_rejected_lines_are_counted_by_reason_and_refused_events_once() -> None:
    meter = Meter(now=NOW.timestamp)
    meter.rejected({"damaged": 2, "refused": 3})
    assert {k: v for k, v in meter.measures.rejected.items() if v} == {"damaged": 2}


def test_the_status_file_carries_them(tmp_path: Path) -> None:
    status = replace(STATUS, measures=measured((event(0.5), "written")))
    write_status(tmp_path / "status.json", status)
    assert read_status(tmp_path / "status.json", 201.0) == status


def spoilt(change: Callable[[dict[str, Any]], object]) -> WatcherStatus:
    values = json.loads(json.dumps(asdict(replace(STATUS, measures=Measures()))))
    change(values)
    return WatcherStatus.from_json(json.dumps(values))


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.pop("measures"),
        lambda v: v.update(measures=[1]),
        lambda v: v["measures"]["written"].update(turn_detected=-1),
        lambda v: v["measures"]["written"].update(turn_detected=True),
        lambda v: v["measures"]["lag_seconds"].update(sum="much"),
        lambda v: v["measures"]["lag_seconds"].update(sum=float("nan")),
        lambda v: v["measures"]["lag_seconds"]["counts"].pop(),
        lambda v: v["measures"]["lag_seconds"]["bounds"].reverse(),
    ],
)
def test_measures_that_cannot_be_read_leave_the_rest(
    change: Callable[[dict[str, Any]], object],
) -> None:
    assert spoilt(change) == STATUS


@pytest.mark.parametrize(("age", "live"), [(0.5, True), (60.0, False), (-1e6, True)])
def test_lines_are_being_written_if_their_file_has_just_been(age: float, live: bool) -> None:
    meter = Meter(now=lambda: 1e6)
    assert not meter.is_capturing
    meter.read(CaptureStep(1, 10, 0, False, 0, False), int((1e6 - age) * 1e9))
    assert meter.is_capturing == live
