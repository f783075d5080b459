"""A real supervisord with the guard, and a toy in place of the watcher, in its own directory."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import yaml

from claude_headspace.config import Config, load_config
from claude_headspace.supervision.control import (
    Supervisor,
    SupervisorError,
    SupervisorUnavailable,
    socket_path,
)
from claude_headspace.supervision.history import RestartRecord, history_path, read_restarts

T = TypeVar("T")
BIN = Path(sys.executable).parent
TOY = Path(__file__).with_name("toy_watcher.py")

CONFIGURATION = """\
[unix_http_server]
file = {socket}
chmod = 0700
[supervisord]
nodaemon = true
{user}
logfile = {state}/supervisord.log
pidfile = {state}/supervisord.pid
childlogdir = {state}
[supervisorctl]
serverurl = unix://{socket}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
{enforcer}
[program:watcher]
command = {watcher}
autorestart = true
startsecs = 2
startretries = 5
stopwaitsecs = 2
stdout_logfile = {state}/watcher.out
stderr_logfile = {state}/watcher.err
[program:other]
command = sleep 100000
stdout_logfile = NONE
stderr_logfile = NONE
{listener}
"""
ENFORCER = """
[rpcinterface:guard]
supervisor.rpcinterface_factory = claude_headspace.supervision.enforcer:make_enforcer
window_seconds = {window}
"""
LISTENER = """
[eventlistener:guard]
command = {listener_command}
events = PROCESS_STATE,REMOTE_COMMUNICATION,TICK_5
buffer_size = 500
autorestart = unexpected
exitcodes = 78
startsecs = 1
startretries = 10
stderr_logfile = {state}/guard.log
"""


@dataclass
class Supervised:
    """One supervisord under test; moments are of the monotonic clock."""

    state: Path
    plan: Sequence[tuple[float, str]] = ()
    settings: dict[str, dict[str, object]] = field(default_factory=dict)
    window: float = 60.0
    enforcer: bool = True
    listener: str = f"{sys.executable} -I -m claude_headspace.supervision.listener"
    further_configuration: str = ""
    watcher: str = f"{sys.executable} -I {TOY}"

    def __post_init__(self) -> None:
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.environment = os.environ | {"CLAUDE_HEADSPACE_CONFIG": str(self.config_file)}
        self.write_settings(self.settings)
        self.write_plan(self.plan)
        self.config: Config = load_config(self.environment)
        self.supervisor = Supervisor(socket_path(self.config))
        self.conf = self.state / "supervisord.conf"
        self.conf.write_text(self._configuration())
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def config_file(self) -> Path:
        return self.state / "config.yaml"

    def write_settings(self, settings: dict[str, dict[str, object]]) -> None:
        tree = {"state": {"directory": str(self.state)}, **settings}
        self.config_file.write_text(yaml.safe_dump(tree))

    def write_plan(self, plan: Sequence[tuple[float, str]]) -> None:
        (self.state / "plan.json").write_text(json.dumps(list(plan)))

    def _configuration(self) -> str:
        values = {
            "state": self.state,
            "socket": socket_path(self.config),
            "user": "user = root" if os.getuid() == 0 else "",
            "window": self.window,
            "watcher": f"{self.watcher} {self.state}",
            "listener_command": self.listener,
        }
        values["enforcer"] = ENFORCER.format(**values) if self.enforcer else ""
        values["listener"] = LISTENER.format(**values) if self.listener else ""
        return CONFIGURATION.format(**values) + self.further_configuration

    def start(self) -> None:
        """Launch supervisord and return when it answers."""
        self.process = subprocess.Popen(
            [BIN / "supervisord", "-c", self.conf],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.answers, "supervisord does not answer")

    def answers(self) -> bool:
        try:
            self.supervisor.call("supervisor.getState")
        except SupervisorUnavailable:
            return False
        return True

    def close(self) -> None:
        """End it and everything under it, whatever state it is in."""
        assert self.process is not None
        pids = self.pids()
        self.process.kill()
        self.process.wait()
        for pid in pids:
            for number in (signal.SIGKILL, signal.SIGCONT):
                kill(pid, number)

    def pids(self) -> list[int]:
        try:
            return [each.pid for each in self.supervisor.all_processes() if each.pid]
        except SupervisorError:
            return []

    def ctl(self, *arguments: str) -> str:
        """Output of supervisorctl, its exit status as a last line."""
        done = subprocess.run(
            [BIN / "supervisorctl", "-c", self.conf, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        return f"{done.stdout}{done.stderr}[{done.returncode}]"

    def state_of(self, program: str = "watcher") -> str:
        try:
            return self.supervisor.process(program).state
        except SupervisorError:
            return "unknown"

    def pid_of(self, program: str = "watcher") -> int:
        return self.supervisor.process(program).pid

    def moments(self, what: str) -> list[float]:
        path = self.state / "toy.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [float(line.split()[2]) for line in lines if line.split()[0] == what]

    def starts(self) -> list[float]:
        return self.moments("start")

    def history(self) -> list[RestartRecord]:
        return read_restarts(history_path(self.state))

    def text(self, name: str) -> str:
        path = self.state / name
        return path.read_text() if path.exists() else ""

    def wait_state(self, wanted: str, program: str = "watcher", seconds: float = 30.0) -> None:
        wait_for(
            lambda: self.state_of(program) == wanted,
            f"{program} did not become {wanted}",
            seconds,
        )

    def seconds_up(self) -> int:
        """How long the watcher has been running, as supervisord has it."""
        info = self.supervisor.call("supervisor.getProcessInfo", "watcher")
        return int(info["now"]) - int(info["start"])

    def wait_beating(self) -> int:
        """Wait until the watcher has given a first sign of life; return its pid."""
        wait_for(lambda: bool(self.moments("start")), "the watcher did not start")
        wait_for(lambda: self.pid_of() > 0, "the watcher has no pid")
        return self.pid_of()


@contextmanager
def supervised(state: Path, **options: object) -> Iterator[Supervised]:
    it = Supervised(state, **options)  # type: ignore[arg-type]
    try:
        it.start()
        yield it
    finally:
        it.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], T], problem: str, seconds: float = 30.0) -> T:
    """Wait until the condition holds and return what it gave."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{problem} within {seconds:g} s"
        time.sleep(0.02)
    return value


def kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
