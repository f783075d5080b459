from __future__ import annotations

import plistlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from claude_headspace.config import Config, load_config
from claude_headspace.deployment.service import (
    Launchd,
    Manager,
    ServiceRefused,
    install,
    installed_text,
    manager,
    service_commands,
    uninstall,
)
from claude_headspace.deployment.service_problems import problems

INSTALL = ["daemon-reload", "enable claude-headspace", "restart claude-headspace"]


class System:
    """In place of systemctl and launchctl: remembers what it was told, and what that made of it."""

    def __init__(self, refuses: str = "nothing at all") -> None:
        self.told: list[str] = []
        self.active = False
        self._refuses = refuses

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        words = " ".join(command).removeprefix("systemctl --user ")
        if words.startswith(("is-active", "launchctl print")):
            running = "state = running" if self.active else ""
            return subprocess.CompletedProcess(command, 0 if self.active else 3, running, "")
        self.told.append(words)
        if self._refuses in words:
            return subprocess.CompletedProcess(command, 1, "", "Failed to connect\nto bus")
        self.active = "restart" in words or "bootstrap" in words
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def system() -> System:
    return System()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(
        {
            "CLAUDE_HEADSPACE_CONFIG": "/dev/null",
            "CLAUDE_HEADSPACE__STATE__DIRECTORY": str(tmp_path / "state"),
        }
    )


@pytest.fixture
def service(tmp_path: Path, system: System, monkeypatch: pytest.MonkeyPatch) -> Manager:
    """Of a program on the path, which is a link to one in an environment of its own."""
    scripts = tmp_path / "my tools" / "venv" / "bin"
    scripts.mkdir(parents=True)
    program = scripts / "claude-headspace"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "claude-headspace").symlink_to(program)
    monkeypatch.setattr(sys, "prefix", str(scripts.parent))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(scripts))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "50% config"))
    return manager(system, "linux")


def test_a_unit_calls_the_command_on_the_path(service: Manager, tmp_path: Path) -> None:
    lines = service.text().splitlines()
    assert f'ExecStart="{tmp_path}/bin/claude-headspace" "up"' in lines
    assert f'ExecStop="{tmp_path}/bin/claude-headspace" "down"' in lines
    assert f'Environment="XDG_CONFIG_HOME={tmp_path}/50%% config"' in lines
    assert service.path == tmp_path / "50% config/systemd/user/claude-headspace.service"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_systemd_takes_the_unit(service: Manager, tmp_path: Path) -> None:
    unit = tmp_path / service.path.name
    unit.write_text(service.text())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", unit],
        env={"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_launchd_takes_the_agent(service: Manager, tmp_path: Path) -> None:
    agent = manager(System(), "darwin")
    assert isinstance(agent, Launchd)
    told = plistlib.loads(agent.text().encode())
    assert told["ProgramArguments"] == [f"{tmp_path}/bin/claude-headspace", "up"]
    assert told["EnvironmentVariables"]["XDG_CONFIG_HOME"] == f"{tmp_path}/50% config"
    assert (told["RunAtLoad"], told["KeepAlive"]) == (True, {"SuccessfulExit": False})
    assert agent.path == tmp_path / "Library/LaunchAgents/claude-headspace.plist"


def test_it_is_installed_twice_and_taken_away(
    service: Manager, system: System, config: Config
) -> None:
    assert "is not installed" in next(problems(service, {}))
    for _ in range(2):
        install(service, config)
        assert list(problems(service, {})) == []
    assert system.told == INSTALL * 2
    assert installed_text(service) == service.text()
    uninstall(service)
    assert system.told[-1] == "disable --now claude-headspace"
    assert not service.path.exists()


def test_launchd_lets_go_of_an_older_agent_first(service: Manager, config: Config) -> None:
    system = System()
    agent = manager(system, "darwin")
    install(agent, config)
    install(agent, config)
    assert [words.split()[1] for words in system.told] == ["bootstrap", "bootout", "bootstrap"]


def test_what_is_wrong_with_it(service: Manager, system: System, config: Config) -> None:
    install(service, config)
    service.path.write_text("of another version")
    system.active = False
    environ = {"DATABASE_URL": "x", "CLAUDE_HEADSPACE__WEB__PORT": "1"}
    told = " ".join(problems(service, environ))
    assert "is not up to date" in told
    assert "is not running" in told
    assert "does not see CLAUDE_HEADSPACE__WEB__PORT, DATABASE_URL" in told


def test_a_system_that_refuses_is_quoted(service: Manager, config: Config) -> None:
    refusing = manager(System("daemon-reload"), "linux")
    with pytest.raises(ServiceRefused, match="daemon-reload` failed: Failed to connect to bus"):
        install(refusing, config)


def test_without_systemd_what_runs_goes_on_and_the_file_can_be_removed(
    service: Manager, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[object] = []
    monkeypatch.setattr("claude_headspace.deployment.service.is_up", lambda _: 7)
    monkeypatch.setattr("claude_headspace.deployment.service.stop", lambda *of: stopped.append(of))
    absent = manager(System(""), "linux")
    with pytest.raises(ServiceRefused):
        install(absent, config)
    assert stopped == []
    with pytest.raises(ServiceRefused):
        uninstall(absent)
    assert not installed_text(absent)
    install(service, config)
    assert len(stopped) == 1


def test_an_environment_in_a_cache_is_refused(
    service: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing = tmp_path / "uv" / "archive-v0" / "x" / "bin"
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(passing))
    with pytest.raises(ServiceRefused, match="is in a cache"):
        manager()


def test_a_checkout_is_started_by_its_own_script(service: Manager, tmp_path: Path) -> None:
    root = tmp_path / "my tools"
    (root / "deploy").mkdir()
    for name in ("supervisord.conf", "deploy/launch.py"):
        (root / name).touch()
    assert service_commands().start == (f"{root}/deploy/run",)
