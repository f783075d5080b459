"""One supervisord per state directory, and a supervisorctl that finds it.

The socket is no proof: it may be in the temporary folder, and be deleted while supervisord runs. A
lock in the state directory lasts as long as the process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from claude_headspace.errors import AlreadyRunning, ConfigError

LOCK_NAME = "supervisord.lock"
PID_NAME = "supervisord.pid"
_held: dict[Path, int] = {}


def make_instance(supervisord: Any) -> SimpleNamespace:
    """Called by supervisord, which ends if this raises because another one uses the state."""
    try:
        hold(Path(supervisord.options.pidfile).parent)
    except AlreadyRunning as error:
        print(f"supervisord: {error}", file=sys.stderr)
        raise
    return SimpleNamespace()


def hold(state: Path) -> None:
    """Take the lock for as long as this process lives; AlreadyRunning if another has it."""
    path = state / LOCK_NAME
    if _is_held(path):
        return
    descriptor = try_lock(path)
    if descriptor is None:
        raise AlreadyRunning(_explain(state))
    _held[path] = descriptor


def require_free(state: Path) -> None:
    """Raise AlreadyRunning while a supervisord uses this state, reachable or not."""
    if is_locked(state):
        raise AlreadyRunning(
            f"{_explain(state)}, but does not answer: run `claude-headspace down`, then start again"
        )


def is_locked(state: Path) -> bool:
    """Whether a supervisord uses this state directory."""
    try:
        descriptor = try_lock(state / LOCK_NAME, os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def holder(state: Path) -> int | None:
    """The process id of the supervisord that uses this state directory, if it is known."""
    return pid_in(state / PID_NAME) if is_locked(state) else None


def pid_in(path: Path) -> int | None:
    """The process id in this file, if there is one."""
    with suppress(OSError, ValueError):
        return int(path.read_text("ascii"))
    return None


def try_lock(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int | None:
    """A descriptor that holds the lock until it is closed; None while another holds it."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _is_held(path: Path) -> bool:
    """A reload calls again in the same process, after closing all files, lock included."""
    try:
        return os.path.samestat(os.fstat(_held[path]), path.stat())
    except (KeyError, OSError):
        return False


def _explain(state: Path) -> str:
    pid = holder(state)
    process = f"process {pid}" if pid else "another process"
    return f"a supervisord ({process}) is using {state}"


def reach_configured(controller: Any) -> SimpleNamespace:
    """Called by supervisorctl: selects the instance that config.yaml beside its file names."""
    from claude_headspace.config import CONFIG_VARIABLE, load_config
    from claude_headspace.embedded.location import SUPERVISOR_SOCKET, supervisor_socket

    options = controller.options
    folder = Path(options.here)
    if options.serverurl == f"unix://{folder / 'var' / SUPERVISOR_SOCKET}":
        settings = {CONFIG_VARIABLE: str(folder / "config.yaml"), **os.environ}
        try:
            state = load_config(settings).state.directory
            options.serverurl = f"unix://{supervisor_socket(state)}"
        except ConfigError as error:
            print("The configuration has mistakes:", *error.problems, sep="\n  ", file=sys.stderr)
    return SimpleNamespace(ctl=controller, do_help=lambda _: None)
