"""Whether a supervisord runs for a state directory."""

from __future__ import annotations

import time
from pathlib import Path

from claude_headspace.config import Config
from claude_headspace.embedded.location import supervisor_socket
from claude_headspace.errors import AlreadyRunning
from claude_headspace.supervision.control import Supervisor, SupervisorFault, SupervisorUnavailable
from claude_headspace.supervision.instance import is_locked, require_free

SHUTDOWN_SECONDS = 60.0
LOOK_SECONDS = 0.02
# The time between binding its socket and answering, and between closing it and ending.
SILENT_SECONDS = 5.0


def is_up(config: Config) -> int | None:
    """The process of the supervisord of this configuration; AlreadyRunning if it hangs."""
    state = config.state.directory
    return running(Supervisor(str(supervisor_socket(state))), state)


def running(supervisor: Supervisor, state: Path) -> int | None:
    """The process id of the supervisord of this state; AlreadyRunning if it does not answer."""
    pid = answering(supervisor)
    deadline = time.monotonic() + SILENT_SECONDS
    while pid is None and is_locked(state):
        if time.monotonic() > deadline:
            require_free(state)
        time.sleep(LOOK_SECONDS)
        pid = answering(supervisor)
    return pid


def answering(supervisor: Supervisor) -> int | None:
    """The process id of the supervisord that answers on the socket."""
    deadline = time.monotonic() + SHUTDOWN_SECONDS
    while time.monotonic() < deadline:
        try:
            return int(supervisor.call("supervisor.getPID"))
        except SupervisorFault:  # it refuses all requests while it shuts down
            time.sleep(LOOK_SECONDS)
        except SupervisorUnavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                raise AlreadyRunning(f"{error}: it hangs; kill it and try again") from error
            return None
    raise AlreadyRunning(f"supervisord has been shutting down for {SHUTDOWN_SECONDS:.0f} s")
