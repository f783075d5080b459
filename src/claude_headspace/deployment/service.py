"""The service that starts everything at login: a systemd user unit, or a launchd agent."""

from __future__ import annotations

import os
import plistlib
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from claude_headspace.config import Config
from claude_headspace.config.folders import NAME, checkout, expanded
from claude_headspace.deployment.configuration import own_program
from claude_headspace.deployment.stop import is_up, stop
from claude_headspace.errors import HeadspaceError
from claude_headspace.health.status_file import write_private

# Variables that decide where things are; a service does not see the shell's.
CARRIED = ("CLAUDE_CONFIG_DIR", "CLAUDE_HEADSPACE_CONFIG", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
PASSING = frozenset({"archive-v0", "environments-v2", ".cache"})
STOP_SECONDS = 70
_UNIT = """\
[Unit]
Description=Claude Headspace, the event log of Claude Code
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=exec
ExecStart={start}
ExecStop={stop}
Restart=on-failure
RestartSec=1
TimeoutStopSec={stop_seconds}
KillMode=mixed
UMask=0077
NoNewPrivileges=yes
{environment}
[Install]
WantedBy=default.target
"""

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True, slots=True)
class Commands:
    """The service's commands: one that runs in the foreground, and one that stops it."""

    start: tuple[str, ...]
    stop: tuple[str, ...]


class ServiceRefused(HeadspaceError):
    """The system's service manager did not do what was asked."""

    exit_status = 69


@dataclass(frozen=True)
class _Service:
    path: Path
    commands: Commands
    environ: Mapping[str, str]
    run: Run

    def demand(self, *command: str) -> None:
        """Run a command of the system; raises ServiceRefused with its complaint."""
        done = self.run(command)
        if done.returncode:
            told = " ".join((done.stderr or done.stdout).split()) or f"status {done.returncode}"
            raise ServiceRefused(f"`{' '.join(command)}` failed: {told}")


class Systemd(_Service):
    """A systemd user unit."""

    def text(self) -> str:
        """The file that `service install` writes."""
        pairs = (f"{name}={text}" for name, text in self.environ.items())
        return _UNIT.format(
            start=" ".join(map(_quoted, self.commands.start)),
            stop=" ".join(map(_quoted, self.commands.stop)),
            stop_seconds=STOP_SECONDS,
            environment="".join(f"Environment={_quoted(pair)}\n" for pair in pairs),
        )

    def is_active(self) -> bool:
        """Whether the service runs now."""
        return self.run(("systemctl", "--user", "is-active", "--quiet", NAME)).returncode == 0

    def load(self) -> None:
        """Read the installed file; ServiceRefused where systemd does not answer."""
        self.demand("systemctl", "--user", "daemon-reload")

    def start(self) -> None:
        """Start the loaded file, now and at each login; raises ServiceRefused."""
        for step in ("enable", "restart"):
            self.demand("systemctl", "--user", step, NAME)

    def stop(self) -> None:
        """Stop it, now and for later logins."""
        self.demand("systemctl", "--user", "disable", "--now", NAME)

    def remarks(self) -> Iterator[str]:
        """What else the user has to know or do."""
        if not (Path("/var/lib/systemd/linger") / pwd.getpwuid(os.getuid()).pw_name).exists():
            yield (
                "It runs while you are logged in. To run it from boot on, and after you log out:"
                " loginctl enable-linger"
            )


class Launchd(_Service):
    """A launchd agent of the user."""

    def text(self) -> str:
        """The file that `service install` writes."""
        log = str(expanded(f"~/Library/Logs/{NAME}.log"))
        job = {
            "Label": NAME,
            "ProgramArguments": list(self.commands.start),
            "EnvironmentVariables": dict(self.environ),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ProcessType": "Background",
            "ExitTimeOut": STOP_SECONDS,
            "Umask": 0o077,
            "StandardOutPath": log,
            "StandardErrorPath": log,
        }
        return plistlib.dumps(job, sort_keys=False).decode()

    def is_active(self) -> bool:
        """Whether the service runs now."""
        return "state = running" in self.run(("launchctl", "print", _target())).stdout

    def load(self) -> None:
        """Nothing: launchd reads the file when it starts it."""

    def start(self) -> None:
        """Start the installed file, now and at each login; raises ServiceRefused."""
        if self.run(("launchctl", "print", _target())).returncode == 0:
            self.stop()
        self.demand("launchctl", "bootstrap", f"gui/{os.getuid()}", str(self.path))

    def stop(self) -> None:
        """Stop it, now and for later logins."""
        self.demand("launchctl", "bootout", _target())

    def remarks(self) -> Iterator[str]:
        """What else the user has to know or do."""
        yield "It runs while you are logged in."


def _target() -> str:
    return f"gui/{os.getuid()}/{NAME}"


Manager: TypeAlias = Systemd | Launchd


def manager(run: Run | None = None, platform: str = sys.platform) -> Manager:
    """The service manager of this system, for the running program."""
    run = run or _run
    commands = service_commands()
    environ = {name: os.environ[name] for name in CARRIED if os.environ.get(name)}
    if platform == "darwin":
        folder = expanded("~/Library/LaunchAgents")
        return Launchd(folder / f"{NAME}.plist", commands, environ, run)
    configuration = Path(os.environ.get("XDG_CONFIG_HOME") or expanded("~/.config"))
    return Systemd(configuration / "systemd" / "user" / f"{NAME}.service", commands, environ, run)


def service_commands() -> Commands:
    """Commands that survive an upgrade: deploy/run in a checkout, else the command on the path."""
    if root := checkout():
        return Commands((str(root / "deploy" / "run"),), (str(root / "deploy" / "stop"),))
    program = own_program()
    if PASSING.intersection(program.resolve().parts):
        raise ServiceRefused(
            f"{program} is in a cache; the service would fail once the cache is emptied: install"
            f" the program, for example with `uv tool install {NAME}`"
        )
    return Commands((str(program), "up"), (str(program), "down"))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def installed_text(service: Manager) -> str:
    """The installed file; empty if there is none."""
    return service.path.read_text("utf-8") if service.path.exists() else ""


def active_service() -> Manager | None:
    """The active service of this very program, if there is one."""
    try:
        service = manager()
    except ServiceRefused:
        return None
    is_ours = installed_text(service) == service.text()
    return service if is_ours and service.is_active() else None


def install(service: Manager, config: Config) -> None:
    """Write the file and start the service, replacing programs that were started by hand."""
    service.path.parent.mkdir(parents=True, exist_ok=True)
    write_private(service.path, service.text())
    service.load()
    if not service.is_active() and is_up(config):
        stop(config.state.directory, config)
    service.start()


def uninstall(service: Manager) -> None:
    """Stop and remove the service, even where it cannot be stopped; the data stays."""
    try:
        service.stop()
    finally:
        service.path.unlink()
