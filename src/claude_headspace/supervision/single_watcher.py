"""One watcher at a time, under a supervisord that limits its restarts, and ends it with itself."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from claude_headspace.errors import AlreadyRunning, HeadspaceError, StateUnusable
from claude_headspace.health.observation import WATCHER
from claude_headspace.supervision.instance import pid_in, try_lock

LOCK_NAME = "watcher.lock"
# The guard's plugin sets this variable: its supervisord enforces the restart limit.
GUARDED = "CLAUDE_HEADSPACE_GUARDED"
_PR_SET_PDEATHSIG = 1


class Unguarded(HeadspaceError):
    """A supervisord would restart the watcher without a limit."""

    exit_status = 78


def check_guarded() -> None:
    """Raise Unguarded in a supervisord without the guard's plugin."""
    if os.environ.get("SUPERVISOR_PROCESS_NAME") == WATCHER and GUARDED not in os.environ:
        raise Unguarded(
            "supervisord has no working [rpcinterface:guard], so nothing would limit restarts:"
            " copy the section from the shipped supervisord.conf"
        )


def parent_check() -> Callable[[], bool]:
    """Return a function that says whether the supervisord that started us is gone."""
    if "SUPERVISOR_ENABLED" not in os.environ:
        return lambda: False
    parent = os.getppid()
    return lambda: os.getppid() != parent


def die_with_parent() -> Callable[[], bool]:
    """Under supervisord, arrange to be killed when it dies; return the result of `parent_check`.

    The check is for systems that cannot signal a child. SIGKILL, because a process that hangs must
    not keep its successor waiting.
    """
    is_orphaned = parent_check()
    if "SUPERVISOR_ENABLED" in os.environ:
        kill_with_parent()
        if sys.platform == "linux" and is_orphaned():
            os.kill(os.getpid(), signal.SIGKILL)
    return is_orphaned


def is_listed(pid: int) -> bool:
    """Whether there is such a process; an ended one stays listed until its parent reaps it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # of another user
    return True


def kill_with_parent() -> None:
    """Arrange to be killed when the parent dies, on systems that support it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@contextmanager
def only_watcher(state: Path) -> Iterator[None]:
    """Hold the lock of this state directory, or raise AlreadyRunning.

    The system releases it when the process ends.
    """
    path = state / LOCK_NAME
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = try_lock(path)
    except OSError as error:
        raise StateUnusable(
            f"{path} cannot be locked: {error.strerror}: make {state} writable, or use another"
            " state.directory"
        ) from error
    if descriptor is None:
        raise AlreadyRunning(
            f"another watcher (pid {pid_in(path) or 'unknown'}) is using {state}: "
            "stop it, or give this one another state.directory"
        )
    try:
        # The pid is for people: on a full disk the lock works without it.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
