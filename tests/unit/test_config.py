from __future__ import annotations

import socket
from pathlib import Path

import pytest
import yaml
from msgspec import structs

from claude_headspace.config import DEFAULTS, Config, describe, load_config
from claude_headspace.errors import ConfigError

NO_PATTERN = "must be a regular expression: unterminated character set at position 0"
PROJECT = Path(__file__).resolve().parents[2]


def load(directory: Path, text: str, **environ: str) -> Config:
    file = directory / "settings.yaml"
    file.write_text(text)
    return load_config({"CLAUDE_HEADSPACE_CONFIG": str(file), "HOME": "/home/ada", **environ})


def problems(directory: Path, text: str, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(directory, text, **environ)
    return caught.value.problems


def test_the_shipped_file_says_the_defaults() -> None:
    assert yaml.safe_load((PROJECT / "config.yaml").read_text()) == DEFAULTS


def test_the_shipped_file_explains_every_key() -> None:
    lines = (PROJECT / "config.yaml").read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if line.startswith("  ") and line[2] != "#"]
    assert len(keys) == sum(map(len, DEFAULTS.values()))
    assert all(lines[number - 1].startswith("  # ") for number in keys)


def test_defaults_without_a_file(tmp_path: Path) -> None:
    config = load(tmp_path, "")
    assert structs.asdict(config.event_system) == {
        "write_retry_attempts": 3,
        "write_retry_delay_ms": 100,
        "max_restarts_per_minute": 5,
        "shutdown_timeout_seconds": 2,
    }
    assert config.state.directory == tmp_path / "var"
    assert config.state.host
    assert config.claude.projects_path == (Path("/home/ada/.claude/projects"),)
    assert config.file_watcher.sessions == "all"
    assert config.database.url is None


def test_file_then_override_then_database_url(tmp_path: Path) -> None:
    text = "web: {port: 6001}\ndatabase: {url: postgresql://file/x}\nlogging: {level: DEBUG}"
    config = load(
        tmp_path,
        text,
        CLAUDE_HEADSPACE__WEB__PORT="6002",
        CLAUDE_HEADSPACE__DATABASE__URL="postgresql://override/x",
        DATABASE_URL="postgresql://environment/x",
    )
    assert config.web.port == 6002
    assert config.database.url == "postgresql://environment/x"
    assert config.logging.level == "DEBUG"


def test_relative_paths_belong_to_the_files_folder(tmp_path: Path) -> None:
    text = "state: {directory: ../state}\nclaude: {projects_path: [a, ~/b, /c, a]}"
    config = load(tmp_path, text)
    assert config.directory == tmp_path
    assert config.state.directory == tmp_path.parent / "state"
    assert config.claude.projects_path == (tmp_path / "a", Path("/home/ada/b"), Path("/c"))


def test_the_default_projects_folder_follows_claudes_own(tmp_path: Path) -> None:
    text = "claude: {projects_path: ~/.claude/projects}"
    moved = load(tmp_path, text, CLAUDE_CONFIG_DIR="/elsewhere")
    named = load(tmp_path, "claude: {projects_path: /mine}", CLAUDE_CONFIG_DIR="/elsewhere")
    assert moved.claude.projects_path == (Path("/elsewhere/projects"),)
    assert named.claude.projects_path == (Path("/mine"),)


def test_overrides_are_yaml_but_plain_text_is_kept(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "",
        CLAUDE_HEADSPACE__CLAUDE__PROJECTS_PATH="[/a, /b]",
        CLAUDE_HEADSPACE__STATE__DIRECTORY="/with #hash",
        CLAUDE_HEADSPACE__ALERTS__COMMAND="[notify, now]",
        CLAUDE_HEADSPACE__FILE_WATCHER__NOTIFICATIONS="false",
    )
    assert config.claude.projects_path == (Path("/a"), Path("/b"))
    assert config.state.directory == Path("/with #hash")
    assert config.alerts.command == ("notify", "now")
    assert config.file_watcher.notifications is False


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    text = """
web: {port: high, hots: 127.0.0.1}
watcher: {}
event_system: {write_retry_attempts: -1}
privacy: {patterns: ["["]}
"""
    found = problems(tmp_path, text, CLAUDE_HEADSPACE__WEB__HOST="192.0.2.1")
    assert found == (
        "watcher: unknown section (did you mean file_watcher?)",
        "event_system.write_retry_attempts: must be between 0 and 100 (got -1)",
        "web.host: must be a loopback address such as 127.0.0.1 (got '192.0.2.1')",
        "web.port: must be a whole number (got 'high')",
        "web.hots: unknown key (did you mean host?)",
        f"privacy.patterns[0]: {NO_PATTERN} (got '[')",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("web: {port: true}", "web.port: must be a whole number (got True)"),
        ("web: {port: 5055.5}", "web.port: must be a whole number (got 5055.5)"),
        ("web: {port: }", "web.port: must not be empty (got None)"),
        ("web: 5055", "web: must contain keys (got 5055)"),
        ("- web", "must contain sections with keys (got ['web'])"),
        ("web: [", "is not YAML"),
        ("database: {url: 'mysql://u:hush@h/d'}", "must be a postgresql:// address"),
        ("file_watcher: {sessions: some}", "must be one of all, registered (got 'some')"),
        ("file_watcher: {notifications: 1}", "must be true or false (got 1)"),
        ("file_watcher: {rescan_interval_seconds: .nan}", "must be between 0.05 and 3600"),
        ("claude: {projects_path: []}", "must be a path or a list of paths (got [])"),
        ("alerts: {command: notify}", "alerts.command: must be a list of text (got 'notify')"),
        ("privacy: {patterns: [1]}", "privacy.patterns[0]: must be text (got 1)"),
        ("claude: {projects_path: ~nobody-here/p}", "~nobody-here/p: no home directory is known"),
    ],
)
def test_one_mistake(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems(tmp_path, text)
    assert problem in found
    assert "hush" not in found


def test_a_named_file_that_is_missing_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config({"CLAUDE_HEADSPACE_CONFIG": str(tmp_path / "none.yaml")})


@pytest.mark.parametrize("name", ["WEB__PROT", "WBE__PORT", "WEB"])
def test_an_override_of_nothing_is_a_mistake(tmp_path: Path, name: str) -> None:
    variable = f"CLAUDE_HEADSPACE__{name}"
    assert problems(tmp_path, "", **{variable: "1"}) == (f"{variable}: no setting has this name",)


def test_bad_configuration_has_its_own_exit_status() -> None:
    assert ConfigError(["x"]).exit_status == 78


def test_described_settings_can_be_read_again_and_hold_no_password(tmp_path: Path) -> None:
    config = load(tmp_path, "", DATABASE_URL="postgresql://u:hu@sh@h:5432/d?sslmode=require")
    text = describe(config)
    assert "hu@sh" not in text
    again = load(tmp_path, text, DATABASE_URL=str(config.database.url))
    assert again == config


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("database: {url: 'postgresql://u:hush%zz@h/d'}", {}),
        ("database: {url: 'postgresql://u:hu/hush@h/d'}", {}),
        ("database: {url: 'postgresql://u:hush'}", {}),
        ("database: {url: 'postgresql://u:a hush@h/d'}", {}),
        ("database: {url: 'postgresql://h/d?password=a=hush'}", {}),
        ("database: {url: 'host=h password=hush'}", {}),
        ("database: {url: {host: h, password: hush}}", {}),
        ("database: {url: ['postgresql://u:hush@h/d']}", {}),
        ("database: postgresql://u:hush@h/d", {}),
        ("- postgresql://u:hush@h/d", {}),
        ("password=hush", {}),
        ("database:\n  url: postgresql://u:hush@h/d: x", {}),
        ("database:\n  url: *hush", {}),
        ("database:\n  url: !hush x", {}),
        ("database:\n  url: 'postgresql://u:hush@h/d", {}),
        ("", {"CLAUDE_HEADSPACE__DATABASE__URL": "postgresql://u:hush@h/d: x"}),
        ("", {"CLAUDE_HEADSPACE__DATABASE__URL": "{url: 'postgresql://u:hush@h/d'"}),
        ("", {"DATABASE_URL": "postgresql://u:hush%@h/d"}),
        ("", {"DATABASE_URL": "mysql://u:hush@h/d"}),
    ],
)
def test_no_mistake_tells_a_password(tmp_path: Path, text: str, environ: dict[str, str]) -> None:
    found = "\n".join(problems(tmp_path, text, **environ))
    assert found
    assert "hush" not in found


def test_a_mistake_in_the_file_is_told_with_its_place(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "web:\n  port: 1\n  host: a: b\n")
    assert found.endswith("settings.yaml: is not YAML (line 3, column 10: mapping values are not"
                          " allowed in this context)")  # fmt: skip


def test_a_machine_is_called_what_it_is_called_now(tmp_path: Path) -> None:
    text = "state: {directory: var}"
    assert load(tmp_path, text).state.host == socket.gethostname()
    assert load(tmp_path, text, CLAUDE_HEADSPACE__STATE__HOST="named").state.host == "named"
    assert load(tmp_path, text).state.machine is None
