"""One watcher at a time, which ends with its supervisord."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from claude_headspace.errors import AlreadyRunning

LOCK_NAME = "watcher.lock"
_PR_SET_PDEATHSIG = 1


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


def kill_with_parent() -> None:
    """Arrange to be killed when the parent dies, on systems that support it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class OneWatcher:
    """A lock that the system releases when the process that holds it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if it is free."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        # The pid is for people: on a full disk the lock works without it.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return True

    def acquire(self) -> None:
        """Take the lock or raise AlreadyRunning."""
        if not self.try_acquire():
            raise AlreadyRunning(
                f"another watcher (pid {self.holder() or 'unknown'}) is using {self._path.parent}: "
                "stop it, or give this one another state.directory"
            )

    def release(self) -> None:
        """Release the lock; harmless if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> int | None:
        """The pid that the holder wrote into the file."""
        try:
            return int(self._path.read_text("ascii"))
        except (OSError, ValueError):
            return None
