"""Dealing with an earlier server on the same data: a running one, or its lock file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from claude_headspace.errors import EmbeddedServerError

# Each signal is stronger than the one before: fast shutdown, immediate shutdown, kill.
_STEPS = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))


def clear_predecessor(data: Path) -> None:
    """Stop a server that still runs on this data, and release the lock file of a dead one."""
    lock = data / "postmaster.pid"
    pid = _locked_by(lock)
    if pid is None:
        return
    if serves(pid, data):
        _stop(pid, data)
    elif pid != os.getpid():
        _disown(lock)


def serves(pid: int, data: Path) -> bool:
    """Whether that process is a Postgres on this data directory, not another with its id."""
    arguments = _arguments(pid)
    return "postgres" in arguments.partition(" ")[0] and f"-D {data} " in f"{arguments} "


def _locked_by(lock: Path) -> int | None:
    try:
        # A single-user server writes its id with a minus sign.
        return abs(int(lock.read_text("utf-8", errors="replace").split("\n", 1)[0]))
    except (FileNotFoundError, ValueError):
        return None


def _arguments(pid: int) -> str:
    listed = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self/cmdline").exists():
        try:
            return listed.read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    done = subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _stop(pid: int, data: Path) -> None:
    print(f"postgres: stopping an earlier server on {data}, process {pid}", file=sys.stderr)
    for number, seconds in _STEPS:
        try:
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not serves(pid, data):
                return
            time.sleep(0.02)
    raise EmbeddedServerError(f"process {pid} serves {data} and could not be stopped: kill it")


def _disown(lock: Path) -> None:
    """Put our own process id into the lock file, which makes it stale for Postgres.

    The file must not be removed: it names the shared memory that shows Postgres whether children
    of the dead server are still writing.
    """
    _, _, rest = lock.read_text("utf-8").partition("\n")
    lock.write_text(f"{os.getpid()}\n{rest}", "utf-8")
