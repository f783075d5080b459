"""Starts supervisord with everything under it, in the background or by becoming it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from claude_headspace.config import CONFIG_VARIABLE, Config
from claude_headspace.deployment.configuration import prepare
from claude_headspace.deployment.readiness import announce
from claude_headspace.embedded.location import state_key, supervisor_socket
from claude_headspace.errors import AlreadyRunning, HeadspaceError
from claude_headspace.supervision.control import (
    Supervisor,
    SupervisorFault,
    SupervisorUnavailable,
)
from claude_headspace.supervision.instance import is_locked, require_free
from claude_headspace.web.address import answering_instance

SHUTDOWN_SECONDS = 60.0
LOOK_SECONDS = 0.02
# Between binding its socket and answering on it, and between closing it and its end.
SILENT_SECONDS = 5.0


def run(root: Path, config: Config, *, detach: bool) -> int:
    """Start supervisord and say what runs, unless one runs already."""
    if say_if_running(config):
        return 0
    require_port(config)
    if config.path is not None:
        os.environ[CONFIG_VARIABLE] = str(config.path)
    command = _supervisord(root, prepare(root, config.state.directory))
    bin_directory = root / ".venv" / "bin"
    if detach:
        status = subprocess.run(command, check=False).returncode
        return status or announce(config, bin_directory, stop_by=f"{root}/deploy/stop")
    _announce_from_aside(config, bin_directory)
    return _become([*command, "--nodaemon", "--silent"])


def say_if_running(config: Config) -> bool:
    """Whether an instance works on this state already; says so. AlreadyRunning if it hangs."""
    state = config.state.directory
    pid = running(Supervisor(str(supervisor_socket(state))), state)
    if pid is None:
        return False
    print(f"Claude Headspace is already running (process {pid}); deploy/stop stops it.")
    return True


def running(supervisor: Supervisor, state: Path) -> int | None:
    """The process id of the supervisord that works on this state; AlreadyRunning if it is mute."""
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
        except SupervisorFault:  # it refuses everything while it shuts down
            time.sleep(LOOK_SECONDS)
        except SupervisorUnavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                raise AlreadyRunning(f"{error}: it hangs: kill it and try again") from error
            return None
    raise AlreadyRunning(f"supervisord has been shutting down for {SHUTDOWN_SECONDS:.0f} s")


def require_port(config: Config) -> None:
    """Raise unless the web application can listen, or what listens is an orphan of our own."""
    host, port = config.web.host, config.web.port
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        found = answering_instance(config)
        # A web application that outlived its supervisord makes way for the next one's.
        if found is None or found.state != state_key(config.state.directory):
            raise HeadspaceError(
                f"the web application cannot listen on {host} port {port}"
                f" ({error.strerror or error}): set another web.port, or stop what uses this one"
            ) from error


def _supervisord(root: Path, configuration: Path) -> list[str]:
    """supervisord without the reach of PYTHON* variables; root says that it means it."""
    python = str(root / ".venv" / "bin" / "python")
    command = [python, "-I", "-m", "supervisor.supervisord", "-c", str(configuration)]
    return command if os.getuid() else [*command, "-u", "root"]


def _become(command: list[str]) -> NoReturn:
    """Replace this process, so that signals reach supervisord itself."""
    os.execv(command[0], command)  # noqa: S606


def _announce_from_aside(config: Config, bin_directory: Path) -> None:
    """Announce from a process that is nobody's child: this one is about to be supervisord."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    if os.fork():
        os._exit(0)
    try:
        announce(config, bin_directory, stop_by="Ctrl-C")
        sys.stdout.flush()
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    finally:
        os._exit(0)
