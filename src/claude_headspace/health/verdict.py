"""Derives a verdict with reasons from an observation: a pure function, so every case is tested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from claude_headspace.health.measures import Measures
from claude_headspace.health.observation import (
    GUARD,
    WATCHER,
    DatabasePing,
    GuardState,
    Observation,
    Unanswered,
)
from claude_headspace.health.reasons import notes, reasons
from claude_headspace.health.status_file import StatusProblem, WatcherStatus
from claude_headspace.health.units import iso_time

Health = Literal["healthy", "degraded", "down"]
# Figures of the watcher's status that `/health` gives under the same names.
_SAME_NAMES = (
    "state", "reason", "doing", "written", "last_error", "retries", "rejected", "duplicates",
    "poison_lines", "backlog_bytes", "backlog_files", "committed_bytes", "committed_lines", "files",
    "sessions", "notifications",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reasons` say what is wrong, `notes` what is worth knowing, `checks` contain the figures."""

    status: Health
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    checks: dict[str, dict[str, Any]]

    @property
    def exit_status(self) -> int:
        """For programs: 0 healthy, 1 degraded, 2 down."""
        return ("healthy", "degraded", "down").index(self.status)


def judge(seen: Observation) -> Verdict:
    """Healthy, degraded or down, and why."""
    wrong = tuple(reasons(seen))
    status: Health = "degraded" if wrong else "healthy"
    if isinstance(seen.programs, Unanswered) and not seen.is_beating:
        status = "down"
    return Verdict(status, wrong, tuple(notes(seen)), _checks(seen))


def _checks(seen: Observation) -> dict[str, dict[str, Any]]:
    """Figures of the watcher, the guard, supervisord and Postgres, as `/health` gives them."""
    return {
        "watcher": _watcher_check(seen),
        "guard": _guard_check(seen),
        "supervisor": _supervisor_check(seen),
        "database": _database_check(seen),
    }


def _watcher_check(seen: Observation) -> dict[str, Any]:
    program = seen.find(WATCHER)
    running = program.is_running if program else seen.is_beating
    check: dict[str, Any] = {
        "running": running,
        "supervisor_state": program.state if program else None,
        "pid": program.pid if program and program.pid else None,
        "uptime_seconds": seen.now - program.started_at if program and running else None,
        "tripped": seen.is_tripped,
        "error": program.error or None if program else None,
    }
    if isinstance(seen.status, StatusProblem):
        return check | {"status_problem": seen.status.kind}
    return check | _figures(seen, seen.status)


def _figures(seen: Observation, status: WatcherStatus) -> dict[str, Any]:
    measures = status.measures or Measures()
    return {name: getattr(status, name) for name in _SAME_NAMES} | {
        "status_pid": status.pid,
        "last_heartbeat": iso_time(status.beat_at),
        "heartbeat_age_seconds": round(max(0.0, seen.silence(status)), 3),
        "last_write": iso_time(status.last_write_at),
        "failed_writes": status.failed,
        "failing_since": iso_time(status.failing_since),
        "oldest_unread": iso_time(status.oldest_unread_at),
        "lag_p95_seconds": measures.lag_seconds.bound_of(0.95),
        "write_p95_seconds": measures.write_seconds.bound_of(0.95),
    }


def _guard_check(seen: Observation) -> dict[str, Any]:
    listener, guard = seen.find(GUARD), seen.guard
    enforces = isinstance(guard, GuardState) and not guard.broken
    check: dict[str, Any] = {
        "alive": bool(listener and listener.is_running) and enforces,
        "listener": listener.state if listener else None,
        "enforcer": "working" if enforces else "missing or broken",
    }
    if isinstance(guard, Unanswered):
        return check
    return check | {
        "restarts_in_window": guard.restarts,
        "limit": guard.limit,
        "window_seconds": guard.window_seconds,
    }


def _supervisor_check(seen: Observation) -> dict[str, Any]:
    if isinstance(seen.programs, Unanswered):
        return {"answers": False, "problem": seen.programs.detail}
    return {"answers": True, "programs": {each.name: each.state for each in seen.programs}}


def _database_check(seen: Observation) -> dict[str, Any]:
    if isinstance(seen.database, DatabasePing):
        return {"reachable": True, "round_trip_seconds": round(seen.database.seconds, 6)}
    if isinstance(seen.database, Unanswered):
        return {"reachable": False, "problem": seen.database.detail}
    return {"reachable": None}
