"""The verdict's figures in Prometheus' names; no label takes unbounded values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from claude_headspace.health.verdict import Verdict

_STATUSES = ("healthy", "degraded", "down")
_COUNTERS = {
    "written": ("events_written", "Events written since the watcher's start."),
    "duplicates": ("events_duplicate", "Events that were in the log already."),
    "rejected": ("events_rejected", "Lines rejected with a reason."),
    "failed_writes": ("write_failures", "Writes that failed after all retries."),
    "retries": ("write_retries", "Retries of writes."),
    "settled_bytes": ("read_bytes", "Bytes of transcripts that are accounted for."),
    "settled_lines": ("read_lines", "Lines of transcripts that are accounted for."),
    "poison_lines": ("poison_lines", "Lines set aside because they killed the watcher."),
}
_GAUGES = {
    "backlog_bytes": ("unread_bytes", "Bytes on disk that are not accounted for yet."),
    "backlog_files": ("unread_files", "Files with such bytes."),
    "files": ("files_active", "Files being followed."),
    "sessions": ("sessions_active", "Sessions being followed."),
    "uptime_seconds": ("watcher_uptime_seconds", "Age of the watcher's process."),
}
_MOMENTS = {
    "last_write": ("last_write_timestamp_seconds", "When an event was last written."),
    "last_heartbeat": ("heartbeat_timestamp_seconds", "When the watcher last gave a sign of life."),
    "failing_since": ("failing_since_timestamp_seconds", "Since when writes have been failing."),
    "oldest_unread": ("oldest_unread_timestamp_seconds", "Since when the oldest line waits."),
}


def registry_of(verdict: Verdict, restarts: int) -> CollectorRegistry:
    """A registry for one scrape; `restarts` counts all that the history knows of."""
    registry = CollectorRegistry()
    registry.register(_Figures(verdict, restarts))
    return registry


class _Figures(Collector):
    def __init__(self, verdict: Verdict, restarts: int) -> None:
        self._verdict = verdict
        self._restarts = restarts

    def collect(self) -> Iterator[Metric]:
        yield _labelled("build_info", "The version.", {"version": {_version(): 1}})
        states = {status: float(status == self._verdict.status) for status in _STATUSES}
        yield _labelled("health", "The verdict, one series each.", {"status": states})
        yield from _watcher(self._verdict.checks["watcher"])
        yield from _guard(self._verdict.checks["guard"])
        yield _counter("watcher_restarts", "Restarts of the watcher.", self._restarts)
        yield from _database(self._verdict.checks["database"])


def _watcher(check: dict[str, Any]) -> Iterator[Metric]:
    yield _gauge("up", "Whether the watcher runs.", check["running"])
    yield _gauge("watcher_crash_loop", "Whether the watcher is given up.", check["tripped"])
    for key, (name, text) in _COUNTERS.items():
        if check.get(key) is not None:
            yield _counter(name, text, check[key])
    for key, (name, text) in _GAUGES.items():
        if check.get(key) is not None:
            yield _gauge(name, text, check[key])
    for key, (name, text) in _MOMENTS.items():
        if check.get(key) is not None:
            yield _gauge(name, text, datetime.fromisoformat(check[key]).timestamp())


def _guard(check: dict[str, Any]) -> Iterator[Metric]:
    yield _gauge("guard_up", "Whether the guard works.", check["alive"])
    if "restarts_in_window" in check:
        text = "Restarts of the watcher within the guard's window."
        yield _gauge("watcher_restarts_in_window", text, check["restarts_in_window"])


def _database(check: dict[str, Any]) -> Iterator[Metric]:
    yield _gauge("database_up", "Whether Postgres answers.", bool(check["reachable"]))
    if "round_trip_seconds" in check:
        text = "Connecting to Postgres and one statement."
        yield _gauge("database_round_trip_seconds", text, check["round_trip_seconds"])


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"headspace_{name}", text, value=float(value))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"headspace_{name}", text, value=float(value))


def _labelled(name: str, text: str, values: dict[str, dict[str, float]]) -> Metric:
    ((label, series),) = values.items()
    family = GaugeMetricFamily(f"headspace_{name}", text, labels=[label])
    for value, number in series.items():
        family.add_metric([value], number)
    return family


def _version() -> str:
    return version("claude-headspace")
