"""Prepares the embedded Postgres and becomes it: the program that supervisord runs.

It exits with NOT_NEEDED when another database is configured. Postgres never uses that status: after
an operator's `kill`, Postgres exits with 0 and must be restarted.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from claude_headspace.config import load_config
from claude_headspace.embedded.cluster import (
    make_passable,
    prepare,
    say,
    server_environment,
    write_settings,
)
from claude_headspace.embedded.takeover import clear_predecessor
from claude_headspace.errors import EmbeddedServerError, HeadspaceError

NOT_NEEDED = 100
_PR_SET_PDEATHSIG = 1
_WINDOW_SECONDS = 60
_FREE_STARTS = 3
_LONGEST_PAUSE_SECONDS = 10.0


def main() -> int:
    """Run the embedded server in the foreground until it is stopped."""
    # A script's background process inherits an ignored SIGINT, but SIGINT must stop this one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        config = load_config()
        if config.database.url:
            say("database.url is set: the embedded server is not needed")
            return NOT_NEEDED
        serve(config.state.directory)
    except HeadspaceError as error:
        say(str(error))
        return error.exit_status
    except OSError as error:
        say(f"the embedded server cannot be prepared: {error}")
        return EmbeddedServerError.exit_status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def serve(state_directory: Path) -> NoReturn:
    """Prepare the server of this state directory and replace this process with it."""
    parent = os.getppid()
    os.umask(0o077)
    state_directory.parent.mkdir(parents=True, exist_ok=True)
    make_passable(state_directory)
    make_passable(state_directory / "postgres")
    with _alone(state_directory):
        _pause_after_crashes(state_directory)
        cluster, record = prepare(state_directory)
        cluster.owner.become()
        os.chdir(cluster.data)
        clear_predecessor(cluster.data)
        write_settings(cluster, record.socket)
        _end_with_parent(parent)
        program = str(cluster.binaries.directory / "postgres")
        # This releases the lock.
        os.execve(program, [program, "-D", str(cluster.data)], server_environment())  # noqa: S606


@contextmanager
def _alone(state_directory: Path) -> Iterator[None]:
    """Delay a second start of the same server until this one is ready to be executed."""
    lock = os.open(state_directory / "postgres" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _pause_after_crashes(state_directory: Path) -> None:
    """Wait, longer each time, if the server was started repeatedly within a minute."""
    path = state_directory / "postgres" / "starts.json"
    now = time.time()
    try:
        starts = [
            start for start in json.loads(path.read_bytes()) if 0 <= now - start < _WINDOW_SECONDS
        ]
    except (OSError, ValueError):
        starts = []
    path.write_text(json.dumps([*starts, now]), "utf-8")
    excess = len(starts) - _FREE_STARTS
    if excess > 0:
        pause = min(0.5 * 2 ** min(excess, 10), _LONGEST_PAUSE_SECONDS)
        say(f"started {len(starts)} times in the last minute: waiting {pause:g} s")
        time.sleep(pause)


def _end_with_parent(parent: int) -> None:
    """Make the kernel stop the server when supervisord is killed; only on Linux."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
