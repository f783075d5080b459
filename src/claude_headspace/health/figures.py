"""The figures of a verdict, as `/health` gives them."""

from __future__ import annotations

from typing import Any

from claude_headspace.health.measures import Measures
from claude_headspace.health.observation import (
    GUARD,
    WATCHER,
    DatabasePing,
    GuardState,
    Observation,
    Unanswered,
)
from claude_headspace.health.status_file import StatusProblem, WatcherStatus
from claude_headspace.health.units import iso_time


def checks(seen: Observation) -> dict[str, dict[str, Any]]:
    """Figures of the watcher, the guard, supervisord and Postgres."""
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
    return {
        "state": status.state,
        "reason": status.reason,
        "doing": status.doing,
        "status_pid": status.pid,
        "last_heartbeat": iso_time(status.beat_at),
        "heartbeat_age_seconds": round(max(0.0, seen.silence(status)), 3),
        "last_write": iso_time(status.last_write_at),
        "written": status.written,
        "failed_writes": status.failed,
        "failing_since": iso_time(status.failing_since),
        "last_error": status.last_error,
        "retries": status.retries,
        "rejected": status.rejected,
        "duplicates": status.duplicates,
        "poison_lines": status.poison_lines,
        "backlog_bytes": status.backlog_bytes,
        "backlog_files": status.backlog_files,
        "committed_bytes": status.committed_bytes,
        "committed_lines": status.committed_lines,
        "oldest_unread": iso_time(status.oldest_unread_at),
        "files": status.files,
        "sessions": status.sessions,
        "notifications": status.notifications,
        "lag_p95_seconds": measures.lag_seconds.bound_of(0.95),
        "write_p95_seconds": measures.write_seconds.bound_of(0.95),
    }


def _guard_check(seen: Observation) -> dict[str, Any]:
    listener = seen.find(GUARD)
    check: dict[str, Any] = {
        "alive": bool(listener and listener.is_running) and _enforces(seen.guard),
        "listener": listener.state if listener else None,
        "enforcer": "working" if _enforces(seen.guard) else "missing or broken",
    }
    if isinstance(seen.guard, Unanswered):
        return check
    return check | {
        "restarts_in_window": seen.guard.restarts,
        "limit": seen.guard.limit,
        "window_seconds": seen.guard.window_seconds,
    }


def _enforces(guard: GuardState | Unanswered) -> bool:
    return isinstance(guard, GuardState) and not guard.broken


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
