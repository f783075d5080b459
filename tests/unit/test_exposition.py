from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from claude_headspace.health.measures import Histogram, Measures
from claude_headspace.health.observation import (
    DatabasePing,
    GuardState,
    Observation,
    ProgramState,
    Unanswered,
)
from claude_headspace.health.status_file import StatusProblem, StatusResult, WatcherStatus
from claude_headspace.health.verdict import judge
from claude_headspace.web.metrics import registry_of

NOW = 1_700_000_000.0
MEASURES = Measures(
    written={"turn_detected": 7, "of_another_package": 1},
    write_seconds=Histogram((0.1, 0.5), [4, 1, 1], 2.5),
    lag_seconds=Histogram((1.0,), [3, 0], 0.75),
)
STATUS = WatcherStatus(
    pid=7,
    started_at=NOW - 99,
    beat_at=NOW - 0.5,
    state="capturing",
    retries=3,
    failed=2,
    committed_bytes=1000,
    committed_lines=10,
    backlog_bytes=50,
    files=4,
    last_write_at=NOW - 2,
    measures=MEASURES,
)
NO_STATUS = StatusProblem("missing", "none")
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(status: StatusResult, *, running: bool = True, restarts: int = 0) -> Samples:
    """Every sample of one scrape by name and labels, as Prometheus would read it."""
    programs = (ProgramState("watcher", "RUNNING", 7, NOW - 100, ""),)
    verdict = judge(
        Observation(
            now=NOW,
            status=status,
            programs=programs if running else Unanswered("away"),
            guard=GuardState(restarts=1, limit=5, window_seconds=60)
            if running
            else Unanswered("away"),
            database=DatabasePing(0.002) if running else Unanswered("away"),
        )
    )
    measures = status.measures if isinstance(status, WatcherStatus) else None
    text = generate_latest(registry_of(verdict, restarts, measures)).decode()
    return {
        (sample.name.removeprefix("headspace_"), tuple(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_the_figures_of_the_watcher() -> None:
    found = scraped(STATUS, restarts=6)
    expected = {
        "up": 1,
        "watcher_crash_loop": 0,
        "watcher_restarts_total": 6,
        "write_retries_total": 3,
        "write_failures_total": 2,
        "read_bytes_total": 1000,
        "read_lines_total": 10,
        "unread_bytes": 50,
        "files_active": 4,
        "last_write_timestamp_seconds": NOW - 2,
        "heartbeat_timestamp_seconds": NOW - 0.5,
        "watcher_status_readable": 1,
        "database_round_trip_seconds": 0.002,
    }
    assert {name: found[name, ()] for name in expected} == expected


def test_written_and_rejected_by_their_labels() -> None:
    found = scraped(STATUS)
    written = {labels: value for (name, labels), value in found.items() if "written" in name}
    assert written == {
        (("event_type", "turn_detected"),): 7,
        (("event_type", "of_another_package"),): 1,
        (("event_type", "session_registered"),): 0,
        (("event_type", "session_ended"),): 0,
        (("event_type", "state_transition"),): 0,
        (("event_type", "hook_received"),): 0,
        (("event_type", "note_added"),): 0,
    }
    assert found["events_rejected_total", (("reason", "damaged"),)] == 0


@pytest.mark.parametrize(
    ("name", "buckets", "total", "seconds"),
    [
        ("write_duration_seconds", {"0.1": 4, "0.5": 5, "+Inf": 6}, 6, 2.5),
        ("event_lag_seconds", {"1.0": 3, "+Inf": 3}, 3, 0.75),
    ],
)
def test_histograms_are_cumulative(
    name: str, buckets: dict[str, float], total: float, seconds: float
) -> None:
    found = scraped(STATUS)
    assert {
        labels[0][1]: value for (each, labels), value in found.items() if each == f"{name}_bucket"
    } == buckets
    assert (found[f"{name}_count", ()], found[f"{name}_sum", ()]) == (total, seconds)


def test_every_series_is_there_when_nothing_is_known() -> None:
    unknown = scraped(NO_STATUS, running=False)
    known = scraped(WatcherStatus(pid=7, started_at=NOW, beat_at=NOW, state="capturing"))
    assert unknown.keys() == known.keys()
    assert unknown["watcher_status_readable", ()] == 0
    assert math.isnan(unknown.pop(("database_round_trip_seconds", ())))
    kept = {("build_info", ""), ("machine_info", ""), ("health", "down")}
    assert {
        (name, labels[0][1] if name == "health" else "")
        for (name, labels), value in unknown.items()
        if value
    } == kept


def test_the_bounds_are_those_of_the_promises() -> None:
    found = scraped(NO_STATUS)
    assert ("write_duration_seconds_bucket", (("le", "0.1"),)) in found
    assert ("event_lag_seconds_bucket", (("le", "1.0"),)) in found


def test_the_dashboard_asks_for_series_that_exist() -> None:
    board = json.loads((Path(__file__).parents[2] / "docs" / "grafana.json").read_text("utf-8"))
    asked = "\n".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    samples = scraped(STATUS)
    labels = {pair for _, pairs in samples for pair in pairs}
    assert set(re.findall(r"headspace_(\w+)", asked)) <= {name for name, _ in samples}
    assert set(re.findall(r'(\w+)="([^"]+)"', asked)) <= labels
    assert set(re.findall(r"by \((\w+)\)", asked)) <= {name for name, _ in labels}
