"""Starts and stops supervisord with everything under it; runs inside .venv."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from claude_headspace.config import CONFIG_VARIABLE, Config, load_config, mask_password
from claude_headspace.embedded.cluster import make_directory, make_passable
from claude_headspace.embedded.location import (
    SUPERVISOR_SOCKET,
    is_private,
    server_record,
    supervisor_socket,
)
from claude_headspace.errors import AlreadyRunning, ConfigError, HeadspaceError
from claude_headspace.health.status import WatcherStatus, read_status, status_path
from claude_headspace.supervision.control import (
    Supervisor,
    SupervisorFault,
    SupervisorUnavailable,
)

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
DEFAULT_STATE = ROOT / "var"
ANSWER_SECONDS = 10.0
CAPTURE_SECONDS = 60.0
STOP_SECONDS = 60.0
LOOK_SECONDS = 0.02


def main(arguments: list[str]) -> int:
    """Dispatch `check`, `run [--detach]` and `stop`."""
    command, *options = arguments
    try:
        if command == "check":
            return check(load_config())
        if command == "stop":
            return stop(state_directory())
        return run(load_config(), detach="--detach" in options)
    except ConfigError as error:
        print("The configuration has mistakes:", *error.problems, sep="\n  ", file=sys.stderr)
        return error.exit_status
    except HeadspaceError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return error.exit_status


def check(config: Config) -> int:
    """Say whether the embedded server is wanted."""
    print("other" if config.database.url else "embedded")
    return 0


def run(config: Config, *, detach: bool) -> int:
    """Start supervisord, in the background or by becoming it."""
    supervisor = Supervisor(str(supervisor_socket(config.state.directory)))
    pid = running(supervisor)
    if pid is not None:
        print(f"Claude Headspace runs already (process {pid}); deploy/stop stops it.")
        return 0
    if config.path is not None:
        os.environ[CONFIG_VARIABLE] = str(config.path)
    command = supervisord_command(prepare(config))
    if detach:
        status = subprocess.run(command, check=False).returncode
        return status or announce(config, supervisor, foreground=False)
    announce_from_aside(config, supervisor)
    return become([*command, "--nodaemon", "--silent"])


def running(supervisor: Supervisor) -> int | None:
    """The process id of a supervisord that works on this state already."""
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            return int(supervisor.call("supervisor.getPID"))
        except SupervisorFault:  # it refuses everything while it shuts down
            time.sleep(LOOK_SECONDS)
        except SupervisorUnavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                raise AlreadyRunning(f"{error}: it hangs; end it and try again") from error
            return None
    raise AlreadyRunning(f"supervisord has been shutting down for {STOP_SECONDS:.0f} s")


def prepare(config: Config) -> Path:
    """Make the folders that supervisord insists on; return its configuration file."""
    state = config.state.directory
    for path in (state, ROOT):
        if "%" in str(path) or ";" in str(path):
            raise HeadspaceError(f"{path}: supervisord takes no path with % or ; in it, move it")
    state.parent.mkdir(parents=True, exist_ok=True)
    os.umask(0o077)
    make_passable(state)
    make_directory(state / "log", 0o700)
    socket = supervisor_socket(state)
    if state == DEFAULT_STATE and socket.parent == state:
        return ROOT / "supervisord.conf"
    if socket.parent != state:
        make_directory(socket.parent, 0o700)
        if not is_private(socket.parent, os.getuid()):
            raise HeadspaceError(f"{socket.parent} belongs to someone else: remove it")
    return write_configuration(state, socket)


def write_configuration(state: Path, socket: Path) -> Path:
    """The project's supervisord.conf with the paths of another state directory."""
    text = (ROOT / "supervisord.conf").read_text("utf-8")
    places = {
        f"%(here)s/var/{SUPERVISOR_SOCKET}": socket,
        "%(here)s/var": state,
        "%(here)s": ROOT,
    }
    for name, path in places.items():
        text = text.replace(name, str(path))
    target = state / "supervisord.conf"
    target.write_text(f"; Made from {ROOT / 'supervisord.conf'} at each start.\n{text}", "utf-8")
    return target


def supervisord_command(configuration: Path) -> list[str]:
    """supervisord without the reach of PYTHON* variables; root says that it means it."""
    command = [str(BIN / "python"), "-I", "-m", "supervisor.supervisord", "-c", str(configuration)]
    return command if os.getuid() else [*command, "-u", "root"]


def become(command: list[str]) -> NoReturn:
    """Replace this process, so that signals reach supervisord itself."""
    os.execv(command[0], command)  # noqa: S606


def announce_from_aside(config: Config, supervisor: Supervisor) -> None:
    """Announce from a process that is nobody's child: this one is about to be supervisord."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    if os.fork():
        os._exit(0)
    try:
        announce(config, supervisor, foreground=True)
        sys.stdout.flush()
    except KeyboardInterrupt:
        pass
    finally:
        os._exit(0)


def announce(config: Config, supervisor: Supervisor, *, foreground: bool) -> int:
    """Wait until the watcher captures and say so, or say what it waits for."""
    launched = time.time()
    if not wake(supervisor):
        print("supervisord did not start.", file=sys.stderr)
        return 1
    status = wait_for_capture(config, supervisor, launched)
    if status is None:
        return 1
    print(describe_run(config, status, foreground=foreground), flush=True)
    return 0


def wake(supervisor: Supervisor) -> bool:
    """Ask as soon as it can answer: its first pass sleeps for a second unless it is asked."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while running(supervisor) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def wait_for_capture(
    config: Config, supervisor: Supervisor, launched: float
) -> WatcherStatus | None:
    """The watcher's first status as capturing; None, and the reason told, if none comes."""
    deadline = time.monotonic() + CAPTURE_SECONDS
    reason = "it has not begun"
    while time.monotonic() < deadline:
        status = read_status(status_path(config.state.directory))
        if isinstance(status, WatcherStatus) and status.started_at >= launched - 1:
            if status.state == "capturing":
                return status
            reason = status.reason or status.state
        try:
            fate = supervisor.process("watcher")
        except (SupervisorUnavailable, SupervisorFault):
            print("supervisord has ended.", file=sys.stderr)
            return None
        if fate.state in ("FATAL", "STOPPED"):
            reason = f"{fate.state} {fate.error}".strip()
            break
        time.sleep(LOOK_SECONDS)
    log = config.state.directory / "log"
    print(f"The watcher does not capture yet ({reason}); its log is in {log}.", file=sys.stderr)
    return None


def describe_run(config: Config, status: WatcherStatus, *, foreground: bool) -> str:
    """What runs and where everything is."""
    lines = {
        "transcripts": ", ".join(map(str, config.claude.projects_path)),
        "database": describe_database(config),
        "health": f"http://{config.web.host}:{config.web.port}/health",
        "log": str(config.state.directory / "log"),
        "see it": f"{BIN}/claude-headspace events --follow",
        "stop it": "Ctrl-C" if foreground else f"{ROOT}/deploy/stop",
    }
    table = "".join(f"\n  {name:<12} {text}" for name, text in lines.items())
    return f"Claude Headspace is capturing (watcher: process {status.pid}).{table}"


def describe_database(config: Config) -> str:
    """Where the log is kept, without a password."""
    if config.database.url:
        return str(mask_password(config.database.url))
    record = server_record(config.state.directory)
    return f"embedded Postgres, data in {record.data}" if record else "embedded Postgres"


def state_directory() -> Path:
    """The state directory; the default one when the configuration cannot be read."""
    try:
        return load_config().state.directory
    except ConfigError:
        print(f"deploy: the configuration has mistakes; looking in {DEFAULT_STATE}")
        return DEFAULT_STATE


def stop(state: Path) -> int:
    """Shut supervisord down and wait until it and its programs have ended."""
    supervisor = Supervisor(str(supervisor_socket(state)))
    pid = running(supervisor)
    if pid is None:
        print("Claude Headspace does not run.")
        return 0
    supervisor.call("supervisor.shutdown")
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        if not alive(pid):
            print("Claude Headspace has stopped.")
            return 0
        nudge(supervisor)
        time.sleep(LOOK_SECONDS)
    print(f"supervisord (process {pid}) has not stopped in {STOP_SECONDS:.0f} s.", file=sys.stderr)
    return 1


def nudge(supervisor: Supervisor) -> None:
    """Have it look at once what has ended: left alone it looks once a second."""
    with suppress(SupervisorUnavailable, SupervisorFault):
        supervisor.call("supervisor.getState")


def alive(pid: int) -> bool:
    """Whether the process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
