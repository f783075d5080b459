"""Whether a supervisord runs; shuts it down and waits until it and its programs have ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from claude_headspace.config import Config, load_config
from claude_headspace.config.folders import config_directory, default_state
from claude_headspace.embedded.location import state_key, supervisor_socket
from claude_headspace.errors import AlreadyRunning, ConfigError, HeadspaceError
from claude_headspace.supervision.control import (
    Supervisor,
    SupervisorError,
    SupervisorFault,
    SupervisorUnavailable,
)
from claude_headspace.supervision.instance import holder, is_locked, require_free
from claude_headspace.supervision.single_watcher import is_listed
from claude_headspace.web.page_address import answering_instance

LOOK_SECONDS = 0.02
# For supervisord to answer that it shuts down, and then for everything to end.
STOP_SECONDS = 60.0
# The time between binding its socket and answering, and between closing it and ending.
SILENT_SECONDS = 5.0
# The time for pid 1 to reap ended processes; some do it at intervals, some never.
LEAVE_SECONDS = 2.5


def is_up(config: Config) -> int | None:
    """The process of the supervisord of this configuration; AlreadyRunning if it hangs."""
    state = config.state.directory
    supervisor = Supervisor(str(supervisor_socket(state)))
    deadline = time.monotonic() + SILENT_SECONDS
    while (pid := answering(supervisor)) is None and is_locked(state):
        if time.monotonic() > deadline:
            require_free(state)
        time.sleep(LOOK_SECONDS)
    return pid


def answering(supervisor: Supervisor) -> int | None:
    """The process id of the supervisord that answers on the socket."""
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            return int(supervisor.call("supervisor.getPID"))
        except SupervisorFault:  # it refuses all requests while it shuts down
            time.sleep(LOOK_SECONDS)
        except SupervisorUnavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                raise AlreadyRunning(f"{error}: it hangs; kill it and try again") from error
            return None
    raise AlreadyRunning(f"supervisord has been shutting down for {STOP_SECONDS:.0f} s")


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
        with suppress(SupervisorError):
            programs |= {program.name: program.pid for program in supervisor.all_processes()}
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


def _wait(supervisor: Supervisor, programs: Mapping[str, int]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while left := {name: pid for name, pid in programs.items() if _alive(pid)}:
        if time.monotonic() > deadline:
            told = ", ".join(f"{name} (process {pid})" for name, pid in left.items())
            raise HeadspaceError(f"still running after {STOP_SECONDS:.0f} s: {told}")
        with suppress(SupervisorError):  # it checks at once for ended processes, not once a second
            supervisor.call("supervisor.getState")
        time.sleep(LOOK_SECONDS)
    deadline = time.monotonic() + LEAVE_SECONDS
    while any(map(is_listed, programs.values())) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    print("Claude Headspace has stopped.")


def _alive(pid: int) -> bool:
    """Whether the process is alive: an ended one stays listed, as Z, until its parent reaps it."""
    if not is_listed(pid):
        return False
    with suppress(OSError):
        listed = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        return not listed.rpartition(")")[2].strip().startswith("Z")
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return not done.stdout.strip().startswith("Z")
