"""Shuts supervisord down and waits until it and its programs have ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from claude_headspace.config import Config, load_config
from claude_headspace.config.places import config_directory, default_state
from claude_headspace.deployment.running import LOOK_SECONDS, answering
from claude_headspace.embedded.location import state_key, supervisor_socket
from claude_headspace.errors import ConfigError, HeadspaceError
from claude_headspace.supervision.control import Supervisor, SupervisorError
from claude_headspace.supervision.instance import holder, is_locked
from claude_headspace.supervision.single_watcher import is_listed
from claude_headspace.web.page_address import answering_instance

STOP_SECONDS = 60.0
# The time for pid 1 to reap ended processes; some do it at intervals, some never.
LEAVE_SECONDS = 2.5


def down() -> None:
    """Stop the configured instance; the default one if the configuration cannot be read."""
    try:
        config = load_config()
    except ConfigError:
        default = config_directory() / default_state(None)
        print(f"The configuration has mistakes; looking in {default}.")
        stop(default, None)
    else:
        stop(config.state.directory, config)


def stop(state: Path, config: Config | None) -> None:
    """End everything that uses this state directory; HeadspaceError if something still runs.

    Without a readable configuration, an orphaned web application is not searched for.
    """
    supervisor = Supervisor(str(supervisor_socket(state)))
    pid = answering(supervisor)
    programs = {"supervisord": pid or holder(state)}
    if pid is not None:
        programs |= _programs(supervisor)
        supervisor.call("supervisor.shutdown")
    elif programs["supervisord"] is not None:
        # It runs without its socket, which was removed: use a signal instead.
        with suppress(ProcessLookupError):
            os.kill(programs["supervisord"], signal.SIGTERM)
    else:
        _say_what_is_left(state, config)
        return
    _wait(supervisor, {name: pid for name, pid in programs.items() if pid})


def _say_what_is_left(state: Path, config: Config | None) -> None:
    if is_locked(state):
        raise HeadspaceError(
            f"a supervisord is using {state}, but its process is unknown: find it and kill it"
        )
    print("Claude Headspace is not running.", flush=True)
    web = answering_instance(config) if config else None
    if web is not None and web.state == state_key(state):
        raise HeadspaceError(
            f"the web application is still running without its supervisord: kill {web.pid}"
        )


def _programs(supervisor: Supervisor) -> dict[str, int | None]:
    with suppress(SupervisorError):
        return {program.name: program.pid for program in supervisor.all_processes()}
    return {}


def _wait(supervisor: Supervisor, programs: Mapping[str, int]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while left := {name: pid for name, pid in programs.items() if _alive(pid)}:
        if time.monotonic() > deadline:
            told = ", ".join(f"{name} (process {pid})" for name, pid in left.items())
            raise HeadspaceError(f"still running after {STOP_SECONDS:.0f} s: {told}")
        _nudge(supervisor)
        time.sleep(LOOK_SECONDS)
    deadline = time.monotonic() + LEAVE_SECONDS
    while any(map(is_listed, programs.values())) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    print("Claude Headspace has stopped.")


def _nudge(supervisor: Supervisor) -> None:
    """Make it check at once for ended processes: by itself it checks once a second."""
    with suppress(SupervisorError):
        supervisor.call("supervisor.getState")


def _alive(pid: int) -> bool:
    """Whether the process is alive: an ended one stays listed until its parent reaps it."""
    return is_listed(pid) and not _state(pid).startswith("Z")


def _state(pid: int) -> str:
    """The system's letter for the state of a process; Z has ended."""
    listed = Path(f"/proc/{pid}/stat")
    with suppress(OSError):
        return listed.read_text("utf-8", "replace").rpartition(")")[2].strip()
    done = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
