"""Waits until everything on this machine has arrived: for machines that go away, as CI jobs do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from claude_headspace.config import CONFIG_VARIABLE, Config
from claude_headspace.deployment.configuration import prepare
from claude_headspace.deployment.left_behind import LeftBehind
from claude_headspace.deployment.stop import is_up
from claude_headspace.embedded import binaries
from claude_headspace.errors import AlreadyRunning, DatabaseError
from claude_headspace.health.status_file import BAD_CONFIGURATION_STATUS

LOOK_SECONDS = 0.2
# The last check may take this long.
GRACE_SECONDS = 5.0
# In the order in which they are started; the first is stopped last.
MODULES = {
    "postgres": "embedded",
    "migrate": "migrate",
    "watcher": "watcher",
    "forwarder": "forwarding",
}
# A check of a large history is slow: leave most of the time to the watcher.
_REST = 4.0
STOP_SECONDS = 10.0
# Running, done, done by another process, or impossible: not started again.
_ENDED_FOR_GOOD = (None, 0, AlreadyRunning.exit_status, BAD_CONFIGURATION_STATUS)


class ProgramRun:
    """One of the programs that supervisord usually runs; it dies with this process."""

    def __init__(self, name: str, logs: Path) -> None:
        self._command = [sys.executable, "-I", "-m", f"claude_headspace.{MODULES[name]}"]
        self._log = logs / f"{name}.log"
        self._stop_signal = signal.SIGINT if name == "postgres" else signal.SIGTERM
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "SUPERVISOR_ENABLED": "1"}
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command, env=environment, stdout=log, stderr=log)

    def keep(self) -> None:
        """Start it again after a crash."""
        if self._process.poll() not in _ENDED_FOR_GOOD:
            self._process = self._started()

    def stop(self) -> None:
        """As supervisord would."""
        self._process.send_signal(self._stop_signal)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self._process.kill()
        self._process.wait()


def drain(config: Config, seconds: float) -> tuple[LeftBehind, list[str]]:
    """Wait until everything has arrived, or until the time is up; returns what is missing, too.

    If no instance runs, the programs that are needed run meanwhile.
    """
    ends = time.monotonic() + seconds
    with ExitStack() as stack:
        programs = [] if is_up(config) else stack.enter_context(_running(config))
        left = stack.enter_context(closing(LeftBehind(config, ends + GRACE_SECONDS)))
        while (missing := _missing(left)) and time.monotonic() < ends:
            for program in programs:
                program.keep()
            time.sleep(min(LOOK_SECONDS, max(0.0, ends - time.monotonic())))
    return left, missing


def _missing(left: LeftBehind) -> list[str]:
    began = time.monotonic()
    try:
        return left.missing()
    except DatabaseError as error:
        return [f"the log cannot be asked: {error}"]
    finally:
        time.sleep(min(_REST * (time.monotonic() - began), 10.0))


@contextmanager
def _running(config: Config) -> Iterator[list[ProgramRun]]:
    prepare(config.state.directory)
    if config.path is not None:
        os.environ[CONFIG_VARIABLE] = str(config.path)
    needed = {**MODULES}
    if config.database.url:
        del needed["postgres"]
    else:
        binaries.installed()
    if config.forward.url is None:
        del needed["forwarder"]
    with ExitStack() as stack:
        programs = [ProgramRun(name, config.state.directory / "log") for name in needed]
        for program in programs:
            stack.callback(program.stop)
        yield programs
