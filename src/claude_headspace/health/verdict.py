"""From what was seen to a verdict with reasons: pure, so every case can be tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from claude_headspace.health.measures import Measures
from claude_headspace.health.status import StatusProblem, StatusResult, WatcherStatus

STALE_BEAT_SECONDS = 4.0
LAG_SECONDS = 5.0
BUSY_SECONDS = 2.0
OVERDUE_SECONDS = 1.0
START_SECONDS = 5.0
WAITING_TICKS = 2
TICK_SECONDS = 5

Health = Literal["healthy", "degraded", "down"]


@dataclass(frozen=True, slots=True)
class Program:
    """A program as supervisord sees it; times are epoch seconds, `error` says why it is down."""

    name: str
    state: str
    pid: int
    started_at: float
    stopped_at: float
    error: str

    @property
    def is_running(self) -> bool:
        """Whether there is a process that is not being stopped."""
        return self.state in ("RUNNING", "STARTING") and self.pid > 0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something could not be asked; one sentence says why."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardState:
    """What the guard inside supervisord says of itself.

    `next_try_seconds`: how long until a watcher that was given up is tried again, if it is.
    """

    restarts: int
    limit: int
    window_seconds: float
    next_try_seconds: float | None = None
    broken: str = ""
    settings_problem: str = ""
    waiting_ticks: int = 0


@dataclass(frozen=True, slots=True)
class DatabasePing:
    """One round trip to Postgres."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything the verdict rests on; `database` is None when nobody asked.

    `dangers` are sentences about what harms the user, whether everything runs or not.
    `disk` says what is wrong with the disk of the state directory, if anything.
    `folder` is where `supervisorctl` finds the instance by itself.
    """

    now: float
    status: StatusResult
    programs: tuple[Program, ...] | Problem
    guard: GuardState | Problem
    database: DatabasePing | Problem | None
    dangers: tuple[str, ...] = ()
    disk: str = ""
    watcher: str = "watcher"
    listener: str = "guard"
    folder: str = ""

    def start(self, program: str) -> str:
        """The command that starts a program, and where it reaches this supervisord."""
        place = f" (in {self.folder})" if self.folder else ""
        return f"supervisorctl start {program}{place}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reasons` say what is wrong, `notes` what is worth knowing, `checks` hold the figures."""

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
    reasons = tuple(_reasons(seen))
    return Verdict(_status(seen, reasons), reasons, tuple(_notes(seen)), _checks(seen))


def find(programs: tuple[Program, ...] | Problem, name: str) -> Program | None:
    """The program of this name."""
    if isinstance(programs, Problem):
        return None
    return next((program for program in programs if program.name == name), None)


def is_tripped(seen: Observation) -> bool:
    """Whether the guard has given the watcher up."""
    watcher = find(seen.programs, seen.watcher)
    return watcher is not None and watcher.state == "FATAL"


def _status(seen: Observation, reasons: tuple[str, ...]) -> Health:
    if isinstance(seen.programs, Problem) and not _beats(seen):
        return "down"
    return "degraded" if reasons else "healthy"


def _beats(seen: Observation) -> bool:
    status = seen.status
    return isinstance(status, WatcherStatus) and _silence(seen, status) <= STALE_BEAT_SECONDS


def _silence(seen: Observation, status: WatcherStatus) -> float:
    return seen.now - status.beat_at


def _reasons(seen: Observation) -> Iterator[str]:
    if seen.disk:
        yield seen.disk
    if isinstance(seen.programs, Problem):
        yield seen.programs.detail
        yield from _unsupervised_reasons(seen)
    else:
        yield from _supervised_reasons(seen)
        yield from _guard_reasons(seen)
    if isinstance(seen.database, Problem):
        yield f"Postgres does not answer: {seen.database.detail}"
    yield from seen.dangers


def _unsupervised_reasons(seen: Observation) -> Iterator[str]:
    if isinstance(seen.status, StatusProblem):
        yield seen.status.detail
    elif not _beats(seen):
        yield f"the watcher's last sign of life is {_silence(seen, seen.status):.0f} s old"
    else:
        yield from _work_reasons(seen, seen.status)


def _supervised_reasons(seen: Observation) -> Iterator[str]:
    watcher = find(seen.programs, seen.watcher)
    if watcher is None:
        yield f"supervisord has no program named {seen.watcher}"
    elif not watcher.is_running:
        yield _not_running(seen, watcher)
    elif isinstance(seen.status, StatusProblem):
        yield _without_status(seen, watcher, seen.status.detail)
    elif seen.status.pid != watcher.pid:
        yield _without_status(seen, watcher, "the watcher has not reported since its start")
    elif not _beats(seen):
        yield _without_beat(seen, watcher, _silence(seen, seen.status))
    else:
        yield from _work_reasons(seen, seen.status)


def _without_beat(seen: Observation, watcher: Program, silence: float) -> str:
    if seen.disk:
        return f"how the watcher is (pid {watcher.pid}) is not known: it told {silence:.0f} s ago"
    return (
        f"the watcher is stuck: it runs (pid {watcher.pid}) but has given no sign of life "
        f"for {silence:.0f} s"
    )


def _not_running(seen: Observation, watcher: Program) -> str:
    start = seen.start(seen.watcher)
    if watcher.state == "FATAL":
        return (
            f"the watcher is given up ({watcher.error}){next_try(seen.guard)}; after a fix: {start}"
        )
    if watcher.state == "STOPPED":
        return f"the watcher is stopped; to start it: {start}"
    if watcher.state in ("EXITED", "BACKOFF", "STARTING"):
        return "the watcher has crashed and is being restarted"
    return f"the watcher is not running ({watcher.state})"


def next_try(guard: GuardState | Problem) -> str:
    """A clause about when a watcher that is given up is tried again; nothing where it is not."""
    if isinstance(guard, Problem) or guard.next_try_seconds is None:
        return ""
    return f", it is tried again in {max(1.0, guard.next_try_seconds / 60):.0f} min"


def _without_status(seen: Observation, watcher: Program, detail: str) -> str:
    age = seen.now - watcher.started_at
    if age < START_SECONDS:
        return "the watcher is starting"
    return f"{detail} (it runs as pid {watcher.pid} since {age:.0f} s)"


def _work_reasons(seen: Observation, status: WatcherStatus) -> Iterator[str]:
    if _is_overdue(status):
        yield (
            f"the watcher is stuck: {status.doing} takes {status.doing_seconds:.0f} s,"
            f" {status.doing_limit:g} s were announced"
        )
    if status.state != "capturing":
        because = f": {status.reason}" if status.reason else ""
        yield f"the watcher is {status.state}{because}"
    if status.failing_since is not None:
        because = f": {status.last_error}" if status.last_error else ""
        yield f"writes have failed since {_time(status.failing_since)}{because}"
    if status.trouble is not None:
        yield status.trouble
    if status.rejected:
        yield f"{_rejected(status)}; see `claude-headspace rejected`"
    yield from _lag_reasons(seen, status)


def _is_overdue(status: WatcherStatus) -> bool:
    return status.doing_seconds > status.doing_limit + OVERDUE_SECONDS


def _rejected(status: WatcherStatus) -> str:
    kinds = status.measures.rejected if status.measures else {}
    each = ", ".join(f"{count} {reason}" for reason, count in kinds.items() if count)
    return f"{status.rejected} lines or events were rejected since the start" + (
        f" ({each})" if each else ""
    )


def _lag_reasons(seen: Observation, status: WatcherStatus) -> Iterator[str]:
    waited = seen.now - status.oldest_unread_at if status.oldest_unread_at is not None else 0.0
    if status.backlog_bytes <= 0 or waited <= LAG_SECONDS:
        return
    backlog = f"{format_bytes(status.backlog_bytes)} in {status.backlog_files} files"
    still = 0.0 if status.advanced_at is None else seen.now - status.advanced_at
    if still > LAG_SECONDS:
        yield f"the watcher does not advance: {backlog} wait, the last step was {still:.0f} s ago"
    elif status.capture_total_bytes is None:
        yield f"the watcher lags: {backlog} wait, the oldest for {waited:.0f} s"


def _guard_reasons(seen: Observation) -> Iterator[str]:
    listener = find(seen.programs, seen.listener)
    if listener is None:
        yield f"the guard is missing: supervisord has no event listener named {seen.listener}"
    elif not listener.is_running:
        error = f" ({listener.error})" if listener.error else ""
        yield f"the guard is {listener.state}{error}; {seen.start(seen.listener)}"
    if isinstance(seen.guard, Problem):
        yield f"the guard's half inside supervisord is missing: {seen.guard.detail}"
        return
    if seen.guard.broken:
        yield f"the guard's half inside supervisord failed: {seen.guard.broken}"
    if seen.guard.waiting_ticks > WAITING_TICKS:
        waited = seen.guard.waiting_ticks * TICK_SECONDS
        yield f"the guard does not listen: what supervisord tells it has waited for {waited} s"
    if seen.guard.settings_problem:
        yield f"the guard works with default settings: {seen.guard.settings_problem}"


def _notes(seen: Observation) -> Iterator[str]:
    programs = () if isinstance(seen.programs, Problem) else seen.programs
    for program in programs:
        if program.state == "FATAL" and program.name not in (seen.watcher, seen.listener):
            yield f"{program.name} is given up ({program.error})"
    status = seen.status
    if not isinstance(status, WatcherStatus):
        return
    if status.doing_seconds > BUSY_SECONDS and not _is_overdue(status):
        yield (
            f"the watcher is busy for {status.doing_seconds:.0f} s"
            f" ({status.doing_limit:g} s at most): {status.doing}"
        )
    if status.poison_lines:
        yield f"{status.poison_lines} lines that killed the watcher are set aside"
    if not status.notifications:
        yield "file notifications are not in use: files are looked at by the clock alone"
    if status.capture_total_bytes:
        done = 100 * max(0.0, 1 - status.backlog_bytes / status.capture_total_bytes)
        yield f"a backlog is read: {done:.0f} % of {format_bytes(status.capture_total_bytes)}"


def _checks(seen: Observation) -> dict[str, dict[str, Any]]:
    return {
        "watcher": _watcher_check(seen),
        "guard": _guard_check(seen),
        "supervisor": _supervisor_check(seen),
        "database": _database_check(seen),
    }


def _watcher_check(seen: Observation) -> dict[str, Any]:
    program = find(seen.programs, seen.watcher)
    running = program.is_running if program else _beats(seen)
    check: dict[str, Any] = {
        "running": running,
        "supervisor_state": program.state if program else None,
        "pid": program.pid if program and program.pid else None,
        "uptime_seconds": seen.now - program.started_at if program and running else None,
        "tripped": is_tripped(seen),
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
        "last_heartbeat": _time(status.beat_at),
        "heartbeat_age_seconds": round(max(0.0, _silence(seen, status)), 3),
        "last_write": _time(status.last_write_at),
        "written": status.written,
        "failed_writes": status.failed,
        "failing_since": _time(status.failing_since),
        "last_error": status.last_error,
        "retries": status.retries,
        "rejected": status.rejected,
        "duplicates": status.duplicates,
        "poison_lines": status.poison_lines,
        "backlog_bytes": status.backlog_bytes,
        "backlog_files": status.backlog_files,
        "committed_bytes": status.committed_bytes,
        "committed_lines": status.committed_lines,
        "oldest_unread": _time(status.oldest_unread_at),
        "files": status.files,
        "sessions": status.sessions,
        "notifications": status.notifications,
        "lag_p95_seconds": measures.lag_seconds.bound_of(0.95),
        "write_p95_seconds": measures.write_seconds.bound_of(0.95),
    }


def _guard_check(seen: Observation) -> dict[str, Any]:
    listener = find(seen.programs, seen.listener)
    check: dict[str, Any] = {
        "alive": bool(listener and listener.is_running) and _enforces(seen.guard),
        "listener": listener.state if listener else None,
        "enforcer": "working" if _enforces(seen.guard) else "missing or broken",
    }
    if isinstance(seen.guard, Problem):
        return check
    return check | {
        "restarts_in_window": seen.guard.restarts,
        "limit": seen.guard.limit,
        "window_seconds": seen.guard.window_seconds,
    }


def _enforces(guard: GuardState | Problem) -> bool:
    return isinstance(guard, GuardState) and not guard.broken


def _supervisor_check(seen: Observation) -> dict[str, Any]:
    if isinstance(seen.programs, Problem):
        return {"answers": False, "problem": seen.programs.detail}
    return {"answers": True, "programs": {each.name: each.state for each in seen.programs}}


def _database_check(seen: Observation) -> dict[str, Any]:
    if isinstance(seen.database, DatabasePing):
        return {"reachable": True, "round_trip_seconds": round(seen.database.seconds, 6)}
    if isinstance(seen.database, Problem):
        return {"reachable": False, "problem": seen.database.detail}
    return {"reachable": None}


def _time(epoch_seconds: float | None) -> str | None:
    if epoch_seconds is None:
        return None
    return datetime.fromtimestamp(epoch_seconds).astimezone().isoformat(timespec="milliseconds")


def format_bytes(count: float) -> str:
    """`1.5 MB`, in powers of ten."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
