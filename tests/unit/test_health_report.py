from __future__ import annotations

from typing import Any

import pytest

from claude_headspace.health.report import format_duration, format_verdict
from claude_headspace.health.verdict import Verdict

WATCHER: dict[str, Any] = {
    "running": True,
    "pid": 7,
    "supervisor_state": "RUNNING",
    "uptime_seconds": 93784.0,
    "written": 12,
    "rejected": 1,
    "failed_writes": 0,
    "backlog_bytes": 2500,
}
GUARD = {"alive": True, "restarts_in_window": 1, "limit": 5, "window_seconds": 60.0}


def report(watcher: dict[str, Any], guard: dict[str, Any], database: dict[str, Any]) -> str:
    checks = {"watcher": watcher, "guard": guard, "database": database}
    return format_verdict(Verdict("degraded", ("it is slow",), ("a note",), checks))


def test_all_that_is_known() -> None:
    assert report(WATCHER, GUARD, {"reachable": True, "round_trip_seconds": 0.0012}) == (
        "degraded\n"
        "  ! it is slow\n"
        "  - a note\n"
        "watcher   running, pid 7, for 1 d 2 h, 12 events written since its start, 1 rejected,"
        " 0 failed, 2.5 kB waiting\n"
        "guard     working, 1 of 5 restarts in 60 s\n"
        "database  reachable in 1.2 ms"
    )


def test_the_least_that_is_known() -> None:
    watcher = {"running": False, "pid": None, "supervisor_state": None, "uptime_seconds": None}
    text = report(watcher, {"alive": False}, {"reachable": False, "problem": "refused"})
    assert text.splitlines()[3:] == [
        "watcher   not running (unknown)",
        "guard     not working",
        "database  not reachable: refused",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.6, "60 s"), (61, "1 min"), (7_380, "2 h 3 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
