"""Observing everything within a time limit, and judging it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from claude_headspace.errors import StateUnusable
from claude_headspace.health.observation import (
    FORWARDER_WAITS,
    DatabasePing,
    GuardState,
    Observation,
    ProgramState,
    Unanswered,
    disk_problem,
)
from claude_headspace.health.status_file import WatcherStatus, read_status, status_path
from claude_headspace.health.units import iso_time
from claude_headspace.health.verdict import Verdict, judge
from claude_headspace.hooks.settings_file import cleanup_days, settings_paths, warnings
from claude_headspace.supervision.control import (
    Supervisor,
    SupervisorFault,
    SupervisorUnavailable,
    connect,
)
from claude_headspace.supervision.single_watcher import is_listed

if TYPE_CHECKING:
    from claude_headspace.config import Config
    from claude_headspace.health.database import DatabaseProbe


# A watcher that makes no progress for this long may miss files that are deleted meanwhile.
_SHORT_DAYS = 7


def check_health(config: Config, probe: DatabaseProbe | None = None) -> Verdict:
    """The current verdict, in under a second whatever hangs."""
    if probe is None:
        probe = database_probe(config)
    answer = probe.start()
    seen = observe(connect(config), config.state.directory, answer)
    settings = settings_paths(config.claude.projects_path)
    dangers = tuple(warnings(settings))
    verdict = judge(replace(seen, dangers=dangers, remarks=tuple(_remarks(config, settings))))
    return replace(verdict, checks={**verdict.checks, "machine": _machine(config)})


def _machine(config: Config) -> dict[str, str | None]:
    machine = None
    with suppress(StateUnusable):
        machine = config.state.machine
    return {"host": config.state.host, "id": machine}


def _remarks(config: Config, settings: Sequence[Path]) -> Iterator[str]:
    if config.forward.url:  # what a forwarder has left that is no longer wanted says nothing
        waits = config.state.directory / FORWARDER_WAITS
        with suppress(OSError):
            since = iso_time(waits.stat().st_mtime)
            yield f"the forwarder has waited since {since}: {waits.read_text('utf-8', 'replace')}"
    days = cleanup_days(settings)
    if not config.archive.enabled:
        yield f"the archive is off: what Claude Code deletes after {days} days cannot be restored"
    elif days < _SHORT_DAYS:
        yield f"Claude Code deletes transcripts after {days} days: see cleanupPeriodDays"


def database_probe(config: Config) -> DatabaseProbe:
    """The probe for this configuration's database, embedded or not."""
    from claude_headspace.embedded.location import database_url
    from claude_headspace.health.database import DatabaseProbe

    return DatabaseProbe(lambda: database_url(config))


def observe(
    supervisor: Supervisor,
    state_directory: Path,
    database: Callable[[], DatabasePing | Unanswered] | None = None,
) -> Observation:
    """Observe supervisord, the guard, the watcher's status file and Postgres."""
    programs = _programs(supervisor)
    guard = programs if isinstance(programs, Unanswered) else ask_guard(supervisor)
    now = time.time()
    status = read_status(status_path(state_directory), now)
    return Observation(
        now=now,
        status=status,
        ended=isinstance(status, WatcherStatus) and not is_listed(status.pid),
        programs=programs,
        guard=guard,
        database=database() if database else None,
        disk=disk_problem(state_directory),
    )


def ask_guard(supervisor: Supervisor) -> GuardState | Unanswered:
    """The state of the guard's plugin in supervisord, or why there is none."""
    try:
        state = supervisor.call("guard.getState")
        told = {field.name: state[field.name] for field in fields(GuardState)}
        if told["next_try_seconds"] < 0:
            told["next_try_seconds"] = None
        return GuardState(**told)
    except SupervisorFault as fault:
        return Unanswered(f"supervisord answered {fault}")
    except SupervisorUnavailable as error:
        return Unanswered(str(error))


def _programs(supervisor: Supervisor) -> tuple[ProgramState, ...] | Unanswered:
    try:
        return supervisor.all_processes()
    except SupervisorFault as fault:
        return Unanswered(f"supervisord is being stopped or reloaded ({fault})")
    except SupervisorUnavailable as error:
        return Unanswered(str(error))
