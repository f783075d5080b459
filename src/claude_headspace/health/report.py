"""The verdict in a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from claude_headspace.health.verdict import Verdict, format_bytes


def format_verdict(verdict: Verdict) -> str:
    """The status first, then what is wrong, then what there is to know."""
    return "\n".join(_lines(verdict))


def _lines(verdict: Verdict) -> Iterator[str]:
    yield verdict.status
    yield from (f"  ! {reason}" for reason in verdict.reasons)
    yield from (f"  - {note}" for note in verdict.notes)
    yield f"watcher   {_watcher(verdict.checks['watcher'])}"
    yield f"guard     {_guard(verdict.checks['guard'])}"
    yield f"database  {_database(verdict.checks['database'])}"


def _watcher(check: dict[str, Any]) -> str:
    parts = [f"running, pid {check['pid'] or check.get('status_pid')}"]
    if not check["running"]:
        parts = [f"not running ({check['supervisor_state'] or 'unknown'})"]
    if check["uptime_seconds"] is not None:
        parts.append(f"for {format_duration(check['uptime_seconds'])}")
    if "written" in check:
        parts += [
            f"{check['written']} events written since its start",
            f"{check['rejected']} rejected",
            f"{check['failed_writes']} failed",
            f"{format_bytes(check['backlog_bytes'])} waiting",
        ]
    return ", ".join(parts)


def _guard(check: dict[str, Any]) -> str:
    state = "working" if check["alive"] else "not working"
    if "limit" not in check:
        return state
    window = f"{check['window_seconds']:g} s"
    return f"{state}, {check['restarts_in_window']} of {check['limit']} restarts in {window}"


def _database(check: dict[str, Any]) -> str:
    if check["reachable"]:
        return f"reachable in {check['round_trip_seconds'] * 1000:.1f} ms"
    return f"not reachable: {check['problem']}" if "problem" in check else "not asked"


def format_duration(seconds: float) -> str:
    """`2 d 3 h`, `5 min`, `12 s`: the two largest units that matter."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days:.0f} d {hours % 24:.0f} h"
    if hours:
        return f"{hours:.0f} h {minutes % 60:.0f} min"
    return f"{minutes:.0f} min" if minutes else f"{seconds:.0f} s"
