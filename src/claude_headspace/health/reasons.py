"""What is wrong, and what is worth knowing, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from claude_headspace.health.observation import (
    GUARD,
    WATCHER,
    GuardState,
    Observation,
    ProgramState,
    Unanswered,
)
from claude_headspace.health.status_file import StatusProblem, WatcherStatus
from claude_headspace.health.units import counted, format_bytes, iso_time

LAG_SECONDS = 5.0
BUSY_SECONDS = 2.0
OVERDUE_SECONDS = 1.0
START_SECONDS = 5.0
WAITING_TICKS = 2
TICK_SECONDS = 5
_START = "claude-headspace supervisorctl start {}"
# The note begins so while what waited at the start is read.
READING_BACKLOG = "reading a backlog"


def reasons(seen: Observation) -> Iterator[str]:
    """Why this is not healthy; nothing if it is healthy."""
    if seen.disk:
        yield seen.disk
    if isinstance(seen.programs, Unanswered):
        yield seen.programs.detail
        yield from _unsupervised_reasons(seen)
    else:
        yield from _supervised_reasons(seen)
        yield from _guard_reasons(seen)
    if isinstance(seen.database, Unanswered):
        yield f"Postgres does not answer: {seen.database.detail}"
    yield from seen.dangers


def _unsupervised_reasons(seen: Observation) -> Iterator[str]:
    if isinstance(seen.status, StatusProblem):
        yield seen.status.detail
    elif seen.ended:
        yield f"the watcher is not running: process {seen.status.pid} has ended"
    elif not seen.is_beating:
        yield f"the watcher's last heartbeat is {seen.silence(seen.status):.0f} s old"
    else:
        yield from _work_reasons(seen, seen.status)


def _supervised_reasons(seen: Observation) -> Iterator[str]:
    watcher = seen.find(WATCHER)
    if watcher is None:
        yield f"supervisord has no program named {WATCHER}"
    elif not watcher.is_running:
        yield _not_running(seen, watcher)
    elif isinstance(seen.status, StatusProblem):
        yield _without_status(seen, watcher, seen.status.detail)
    elif seen.status.pid != watcher.pid:
        yield _without_status(seen, watcher, "the watcher has not reported since its start")
    elif seen.is_beating:
        yield from _work_reasons(seen, seen.status)
    elif seen.disk:
        silence = f"last report {seen.silence(seen.status):.0f} s ago"
        yield f"the watcher's state (pid {watcher.pid}) is unknown: {silence}"
    else:
        silence = f"has sent no heartbeat for {seen.silence(seen.status):.0f} s"
        yield f"the watcher is stuck: it runs (pid {watcher.pid}) but {silence}"


def _not_running(seen: Observation, watcher: ProgramState) -> str:
    start = _START.format(WATCHER)
    if watcher.state == "FATAL":
        retry = next_try(seen.guard)
        return f"the watcher was given up ({watcher.error}){retry}; after a fix: {start}"
    if watcher.state == "STOPPED":
        return f"the watcher is stopped; to start it: {start}"
    if watcher.state in ("EXITED", "BACKOFF", "STARTING"):
        return "the watcher has crashed and is being restarted"
    return f"the watcher is not running ({watcher.state})"


def next_try(guard: GuardState | Unanswered) -> str:
    """A clause about when a watcher that was given up is tried again; else nothing."""
    if isinstance(guard, Unanswered) or guard.next_try_seconds is None:
        return ""
    return f"; next try in {max(1.0, guard.next_try_seconds / 60):.0f} min"


def _without_status(seen: Observation, watcher: ProgramState, detail: str) -> str:
    age = seen.now - watcher.started_at
    if age < START_SECONDS:
        return "the watcher is starting"
    return f"{detail} (it has run as pid {watcher.pid} for {age:.0f} s)"


def _work_reasons(seen: Observation, status: WatcherStatus) -> Iterator[str]:
    if _is_overdue(status):
        yield (
            f"the watcher is stuck: {status.doing} has taken {status.doing_seconds:.0f} s"
            f" (limit: {status.doing_limit:g} s)"
        )
    if status.state != "capturing":
        because = f": {status.reason}" if status.reason else ""
        yield f"the watcher is {status.state}{because}"
    if status.failing_since is not None:
        because = f": {status.last_error}" if status.last_error else ""
        yield f"writes have been failing since {iso_time(status.failing_since)}{because}"
    if status.trouble is not None:
        yield status.trouble
    if status.rejected:
        kinds = status.measures.rejected if status.measures else {}
        each = ", ".join(f"{count} {reason}" for reason, count in kinds.items() if count)
        told = f"lines or events rejected since the watcher started: {status.rejected}"
        yield f"{told}{f' ({each})' if each else ''}; see `claude-headspace rejected`"
    yield from _lag_reasons(seen, status)


def _is_overdue(status: WatcherStatus) -> bool:
    return status.doing_seconds > status.doing_limit + OVERDUE_SECONDS


def _lag_reasons(seen: Observation, status: WatcherStatus) -> Iterator[str]:
    waited = seen.now - status.oldest_unread_at if status.oldest_unread_at is not None else 0.0
    if status.backlog_bytes <= 0 or waited <= LAG_SECONDS:
        return
    backlog = f"{format_bytes(status.backlog_bytes)} in {counted(status.backlog_files, 'file')}"
    still = 0.0 if status.advanced_at is None else seen.now - status.advanced_at
    if still > LAG_SECONDS:
        yield f"the watcher makes no progress: {backlog} unread, last progress {still:.0f} s ago"
    elif status.capture_total_bytes is None:
        yield f"the watcher lags: {backlog} unread, the oldest for {waited:.0f} s"


def _guard_reasons(seen: Observation) -> Iterator[str]:
    listener = seen.find(GUARD)
    if listener is None:
        yield f"the guard is missing: supervisord has no event listener named {GUARD}"
    elif not listener.is_running:
        error = f" ({listener.error})" if listener.error else ""
        yield f"the guard is {listener.state}{error}; {_START.format(GUARD)}"
    if isinstance(seen.guard, Unanswered):
        yield f"the guard's plugin in supervisord is missing: {seen.guard.detail}"
        return
    if seen.guard.broken:
        yield f"the guard's plugin in supervisord failed: {seen.guard.broken}"
    if seen.guard.waiting_ticks > WAITING_TICKS:
        waited = seen.guard.waiting_ticks * TICK_SECONDS
        yield f"the guard does not respond: an event from supervisord has waited for {waited} s"
    if seen.guard.settings_problem:
        yield f"the guard uses default settings: {seen.guard.settings_problem}"


def notes(seen: Observation) -> Iterator[str]:
    """Remarks that do not change the verdict."""
    programs = () if isinstance(seen.programs, Unanswered) else seen.programs
    for program in programs:
        if program.state == "FATAL" and program.name not in (WATCHER, GUARD):
            yield f"{program.name} was given up ({program.error})"
    yield from seen.remarks
    status = seen.status
    if not isinstance(status, WatcherStatus):
        return
    if status.doing_seconds > BUSY_SECONDS and not _is_overdue(status):
        yield (
            f"the watcher has been busy for {status.doing_seconds:.0f} s"
            f" (limit: {status.doing_limit:g} s): {status.doing}"
        )
    if status.poison_lines:
        yield f"lines rejected because they killed the watcher: {status.poison_lines}"
    if not status.notifications:
        yield "file notifications are not in use: changes are found by scanning alone"
    if status.capture_total_bytes:
        done = 100 * max(0.0, 1 - status.backlog_bytes / status.capture_total_bytes)
        yield f"{READING_BACKLOG}: {done:.0f}% of {format_bytes(status.capture_total_bytes)}"
