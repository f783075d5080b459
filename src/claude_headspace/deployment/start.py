"""Starts supervisord with everything under it, in the background or in this process."""

from __future__ import annotations

import os
import signal
import site
import socket
import subprocess
import sys
from pathlib import Path

from claude_headspace.config import CONFIG_VARIABLE, Config
from claude_headspace.deployment.configuration import own_command, prepare
from claude_headspace.deployment.readiness import report_readiness
from claude_headspace.deployment.service import active_service
from claude_headspace.deployment.stop import is_up, stop
from claude_headspace.embedded import binaries
from claude_headspace.embedded.location import state_key
from claude_headspace.errors import HeadspaceError
from claude_headspace.web.page_address import answering_instance

INTERRUPTED = 130
# Files of supervisord and its programs are private.
PRIVATE_UMASK = 0o077


def up(config: Config, *, detach: bool) -> int:
    """Start supervisord and report what runs, unless it runs already."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if pid := is_up(config):
        print(f"Claude Headspace is already running (process {pid}); {told_stop()}.")
        return 0
    require_port(config)
    require_visible()
    if not config.database.url:
        binaries.installed()
    if config.path is not None:
        os.environ[CONFIG_VARIABLE] = str(config.path)
    configuration = str(prepare(config.state.directory))
    # Isolated from PYTHON* variables; root must ask to run as root.
    command = [sys.executable, "-I", "-m", "supervisor.supervisord", "-c", configuration]
    command += [] if os.getuid() else ["-u", "root"]
    if not detach:
        _announce_from_aside(config)
        os.umask(PRIVATE_UMASK)
        os.execv(command[0], [*command, "--nodaemon", "--silent"])  # noqa: S606  signals reach it
    status = subprocess.run(command, check=False, umask=PRIVATE_UMASK).returncode
    return status or _announce_detached(config)


def told_stop() -> str:
    """How to stop it."""
    return f"`{own_command()} down` stops it"


def restart(config: Config) -> int:
    """Stop everything and start it in the background, with the currently installed code."""
    service = active_service()
    if service is None:
        stop(config.state.directory, config)
        return up(config, detach=True)
    service.start()
    return _announce_detached(config)


def _announce_detached(config: Config) -> int:
    try:
        report_readiness(config, stop_by=f"{own_command()} down")
    except KeyboardInterrupt:
        print(f"Interrupted; started programs keep running: {told_stop()}.", file=sys.stderr)
        return INTERRUPTED
    return 0


def require_port(config: Config) -> None:
    """Raise unless the port is free, or an orphaned web application of ours uses it."""
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
        # A web application whose supervisord has ended makes way for the next one.
        if found is None or found.state != state_key(config.state.directory):
            raise HeadspaceError(
                f"the web application cannot listen on {host} port {port}"
                f" ({error.strerror or error}): set another web.port, or stop what uses this one"
            ) from error


def require_visible() -> None:
    """Raise if the package is in the user's site-packages, which the programs ignore."""
    own = Path(site.getusersitepackages())
    if own in Path(__file__).parents:
        raise HeadspaceError(
            f"claude-headspace is installed in {own}, where its programs do not look:"
            " install it with pipx, uv tool, or pip in a virtual environment"
        )


def _announce_from_aside(config: Config) -> None:
    """Report from a detached process: this one is about to become supervisord."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    if os.fork():
        os._exit(0)
    try:
        report_readiness(config, stop_by="Ctrl-C")
        sys.stdout.flush()
    except HeadspaceError as error:
        print(f"claude-headspace: {error}", file=sys.stderr)
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    finally:
        os._exit(0)
