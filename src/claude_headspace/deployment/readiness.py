"""Waits until everything works and reports it, or reports what is missing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from claude_headspace.address import mask_password
from claude_headspace.config import Config
from claude_headspace.deployment.configuration import own_command
from claude_headspace.embedded.location import server_record, state_key, supervisor_socket
from claude_headspace.errors import HeadspaceError
from claude_headspace.health.observation import ProgramState
from claude_headspace.health.status_file import WatcherStatus, read_status, status_path
from claude_headspace.supervision.control import Supervisor, SupervisorError
from claude_headspace.web.page_address import (
    AnsweringInstance,
    answering_instance,
    one_time_link,
    web_address,
)

ANSWER_SECONDS = 10.0
WORK_SECONDS = 60.0
LOOK_SECONDS = 0.02

Result = TypeVar("Result")


class NotReady(HeadspaceError):
    """It did not work in time; the message says what is missing."""


class Asked(Protocol):
    """The part of a supervisord's client that waiting needs."""

    def process(self, name: str) -> ProgramState:
        """Its report on one program."""


def report_readiness(config: Config, *, stop_by: str) -> None:
    """Wait until the watcher captures and /health answers, and report it; else NotReady."""
    launched = time.time()
    supervisor = Supervisor(str(supervisor_socket(config.state.directory)))
    try:
        _wake(supervisor)
        status = _wait_for_capture(config, supervisor, launched)
        wait_for_health(config, supervisor)
    except NotReady as error:
        log = config.state.directory / "log"
        raise NotReady(f"{error}; the logs are in {log}") from error
    print(_describe(config, status, stop_by), flush=True)


def _wake(supervisor: Supervisor) -> None:
    """Send a request as soon as possible: else its first pass sleeps for a second."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            supervisor.call("supervisor.getPID")
        except SupervisorError as error:
            if time.monotonic() > deadline:
                raise NotReady(f"supervisord did not start: {error}") from error
            time.sleep(LOOK_SECONDS)
        else:
            return


def _wait_for_capture(config: Config, supervisor: Supervisor, launched: float) -> WatcherStatus:
    """The watcher's first status that says it captures; says meanwhile what is being done."""
    reason, doing = "it has not started", ""

    def capturing() -> WatcherStatus | None:
        nonlocal reason, doing
        if (now := _doing(config, supervisor)) != doing:
            doing = now
            print(doing, flush=True)
        status = read_status(status_path(config.state.directory))
        if not isinstance(status, WatcherStatus) or status.started_at < launched - 1:
            return None
        reason = status.reason or status.state
        return status if status.state == "capturing" else None

    return _wait_for(
        capturing, supervisor, "watcher", lambda: f"the watcher is not capturing yet ({reason})"
    )


def _doing(config: Config, supervisor: Asked) -> str:
    """What is done before the watcher can capture."""
    if not config.database.url and server_record(config.state.directory) is None:
        return "Preparing the embedded Postgres."
    if supervisor.process("migrate").is_running:
        return "Preparing the tables of the log."
    return "Starting capture."


def wait_for_health(config: Config, supervisor: Asked) -> AnsweringInstance:
    """The answer of the web application of this very supervisord."""
    own = state_key(config.state.directory)
    told = "does not answer"

    def answer() -> AnsweringInstance | None:
        nonlocal told
        found = answering_instance(config)
        if found == AnsweringInstance(own, supervisor.process("web").pid):
            return found
        if found is not None:
            told = f"is answered by process {found.pid}, which belongs to another instance"
        return None

    return _wait_for(answer, supervisor, "web", lambda: f"{web_address(config)}/health {told}")


def _wait_for(
    look: Callable[[], Result | None], supervisor: Asked, name: str, problem: Callable[[], str]
) -> Result:
    """The first result of `look`; NotReady with the problem if the program was given up."""
    deadline = time.monotonic() + WORK_SECONDS
    try:
        while (found := look()) is None:
            program = supervisor.process(name)
            given_up = program.state in ("FATAL", "STOPPED")
            if given_up or time.monotonic() > deadline:
                state = f"{name} is {program.state} {program.error}".strip()
                raise NotReady(f"{problem()}: {state}")
            time.sleep(LOOK_SECONDS)
    except SupervisorError as error:
        raise NotReady(f"{problem()}, and {error}") from error
    return found


def _describe(config: Config, status: WatcherStatus, stop_by: str) -> str:
    """What runs and where everything is, without a password."""
    record = server_record(config.state.directory)
    database = f"embedded Postgres, data in {record.data}" if record else "embedded Postgres"
    lines = {
        "transcripts": ", ".join(map(str, config.claude.projects_path)),
        "database": mask_password(config.database.url) or database,
        # No link in a log, where others might read it.
        "page": one_time_link(config) if sys.stdout.isatty() else f"{own_command()} open",
        "health": f"{web_address(config)}/health",
        "log": str(config.state.directory / "log"),
        "see it": f"{own_command()} events --follow",
        "stop it": stop_by,
    }
    table = "".join(f"\n  {name:<12} {text}" for name, text in lines.items())
    return f"Claude Headspace is capturing (watcher: process {status.pid}).{table}"
