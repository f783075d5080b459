"""The verdict's figures as Prometheus metrics; no label takes unbounded values.

Every series always exists, at 0 where nothing is known: an absent series raises no alarm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from claude_headspace.events.dead_letter_reasons import REASONS
from claude_headspace.events.event_types import installed_types
from claude_headspace.health.measures import Histogram, Measures
from claude_headspace.health.verdict import Verdict

_STATUSES = ("healthy", "degraded", "down")
_COUNTERS = {
    "duplicates": ("events_duplicate", "Events that were in the log already."),
    "failed_writes": ("write_failures", "Events whose write failed after all retries."),
    "retries": ("write_retries", "Retries of writes."),
    "committed_bytes": ("read_bytes", "Bytes of transcripts that are committed."),
    "committed_lines": ("read_lines", "Lines of transcripts that are committed."),
}
_GAUGES = {
    "poison_lines": ("poison_lines", "Lines rejected because they killed the watcher."),
    "backlog_bytes": ("unread_bytes", "Bytes on disk that are not committed yet."),
    "backlog_files": ("unread_files", "Files with such bytes."),
    "files": ("files_active", "Files being followed."),
    "sessions": ("sessions_active", "Sessions being followed."),
    "uptime_seconds": ("watcher_uptime_seconds", "Age of the watcher's process."),
}
# All of these are 0 if it never happened.
_MOMENTS = {
    "last_write": ("last_write_timestamp_seconds", "Time of the last written event."),
    "last_heartbeat": ("heartbeat_timestamp_seconds", "Time of the watcher's last heartbeat."),
    "failing_since": (
        "failing_since_timestamp_seconds",
        "Time since which writes have been failing.",
    ),
    "oldest_unread": (
        "oldest_unread_timestamp_seconds",
        "Time since which the oldest line has waited.",
    ),
}


class _Figures(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def registry_of(verdict: Verdict, restarts: int, measures: Measures | None) -> CollectorRegistry:
    """A registry for one scrape; `restarts` counts all restarts in the history."""
    registry = CollectorRegistry()
    registry.register(_Figures(_metrics(verdict, restarts, measures or Measures())))
    return registry


def _metrics(verdict: Verdict, restarts: int, measures: Measures) -> Iterator[Metric]:
    checks = verdict.checks
    build = {version("claude-headspace"): 1}
    yield _labelled(GaugeMetricFamily, "build_info", "The version.", "version", build)
    machine = {str(checks.get("machine", {}).get("id") or ""): 1}
    text = "The machine of these figures."
    yield _labelled(GaugeMetricFamily, "machine_info", text, "machine", machine)
    states = {status: float(status == verdict.status) for status in _STATUSES}
    text = "The verdict, one series per status."
    yield _labelled(GaugeMetricFamily, "health", text, "status", states)
    yield from _watcher(checks["watcher"])
    yield from _measures(measures)
    guard, database = checks["guard"], checks["database"]
    yield _gauge("guard_up", "Whether the guard works.", guard["alive"])
    text = "Restarts of the watcher within the guard's window."
    yield _gauge("watcher_restarts_in_window", text, guard.get("restarts_in_window", 0))
    yield _counter("watcher_restarts", "Restarts of the watcher.", restarts)
    yield _gauge("database_up", "Whether Postgres answers.", bool(database["reachable"]))
    text = "Time to connect to Postgres and run one statement; NaN without an answer."
    took = database.get("round_trip_seconds", math.nan)
    yield _gauge("database_round_trip_seconds", text, took)


def _watcher(check: dict[str, Any]) -> Iterator[Metric]:
    yield _gauge("up", "Whether the watcher runs.", check["running"])
    text = "Whether the guard has given the watcher up."
    yield _gauge("watcher_crash_loop", text, check["tripped"])
    text = "Whether the watcher's status file could be read; else its figures are 0."
    yield _gauge("watcher_status_readable", text, "status_problem" not in check)
    for key, (name, text) in _COUNTERS.items():
        yield _counter(name, text, check.get(key) or 0)
    for key, (name, text) in _GAUGES.items():
        yield _gauge(name, text, check.get(key) or 0)
    for key, (name, text) in _MOMENTS.items():
        moment = check.get(key)
        yield _gauge(name, text, datetime.fromisoformat(moment).timestamp() if moment else 0)


def _measures(measures: Measures) -> Iterator[Metric]:
    written = {kind.name: 0 for kind in installed_types()} | measures.written
    text = "Events written since the watcher's start."
    yield _labelled(CounterMetricFamily, "events_written", text, "event_type", written)
    rejected = dict.fromkeys(REASONS, 0) | measures.rejected
    text = "Lines and events that were rejected."
    yield _labelled(CounterMetricFamily, "events_rejected", text, "reason", rejected)
    text = "Time to write one batch of events durably, retries included."
    yield _histogram("write_duration_seconds", text, measures.write_seconds)
    text = "Time from an event to its durable write, for events read within a minute."
    yield _histogram("event_lag_seconds", text, measures.lag_seconds)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"headspace_{name}", text, value=float(value))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"headspace_{name}", text, value=float(value))


def _histogram(name: str, text: str, found: Histogram) -> Metric:
    bounds = [*map(repr, found.bounds), "+Inf"]
    buckets = list(zip(bounds, accumulate(found.counts), strict=True))
    return HistogramMetricFamily(f"headspace_{name}", text, buckets=buckets, sum_value=found.sum)


def _labelled(
    kind: type[GaugeMetricFamily | CounterMetricFamily],
    name: str, text: str, label: str, series: Mapping[str, float],
) -> Metric:  # fmt: skip
    family = kind(f"headspace_{name}", text, labels=[label])
    for value, number in series.items():
        family.add_metric([value], number)
    return family
