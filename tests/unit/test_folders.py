"""Where an installation has its configuration and data, in a checkout and elsewhere."""

from __future__ import annotations

import pwd
import sys
from pathlib import Path

import platformdirs.unix
import pytest

from claude_headspace.config import load_config
from claude_headspace.config.folders import NAME, config_directory, default_state
from claude_headspace.deployment.configuration import configuration_file, prepare
from claude_headspace.errors import ConfigError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation in an environment of its own, of a user who has nothing yet."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "tools" / "venv"))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_without_any_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config.yaml").write_text("of: another program")
    monkeypatch.chdir(home)
    config = load_config({})
    assert config.path is None
    assert config.state.directory == home / ".local/share/claude-headspace"


@pytest.mark.parametrize("given", [None, "", "relative", "/else/where", "/with space/"])
def test_the_folders_are_those_of_the_platform(
    home: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    if given is not None:
        monkeypatch.setenv("XDG_CONFIG_HOME", given)
        monkeypatch.setenv("XDG_DATA_HOME", given)
    unix = platformdirs.unix.Unix(NAME, appauthor=False)
    assert config_directory() == unix.user_config_path
    assert default_state(None) == str(unix.user_data_path)


def test_with_a_file_where_the_platform_has_them(home: Path) -> None:
    folder = home / ".config/claude-headspace"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("web: {port: 6001}")
    found = load_config({})
    assert (found.path, found.web.port) == (folder / "config.yaml", 6001)
    assert found.state.directory == home / ".local/share/claude-headspace"
    assert load_config({"CLAUDE_HEADSPACE_CONFIG": str(found.path)}) == found
    (folder / "config.yaml").write_text("state: {directory: here}")
    assert load_config({}).state.directory == folder / "here"


def test_a_file_that_is_named_has_its_state_beside_it(home: Path) -> None:
    (home / "config.yaml").touch()
    config = load_config({"CLAUDE_HEADSPACE_CONFIG": str(home / "config.yaml")})
    assert config.state.directory == home / "var"


def test_in_a_checkout(home: Path) -> None:
    root = home / "tools"
    (root / "deploy").mkdir(parents=True)
    for name in ("config.yaml", "supervisord.conf", "deploy/launch.py"):
        (root / name).touch()
    found = load_config({})
    assert (found.path, found.state.directory) == (root / "config.yaml", root / "var")
    assert configuration_file(root / "var") == root / "supervisord.conf"
    (root / "config.yaml").unlink()
    assert load_config({}).state.directory == root / "var"
    assert configuration_file(root / "elsewhere") == root / "elsewhere" / "supervisord.conf"


def test_the_configuration_of_supervisord_outside_a_checkout(home: Path) -> None:
    state = home / "state"
    made = prepare(state)
    text = made.read_text()
    assert made == configuration_file(state) == state / "supervisord.conf"
    assert f'command="{sys.executable}" -I -m claude_headspace.watcher' in text
    assert f"logfile={state}/log/supervisord.log" in text
    assert "%(here)s" not in text


def test_a_user_without_a_home_is_told_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError("a user id without a name, as in a container")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME")
    with pytest.raises(ConfigError, match=r"no home directory is known .* set HOME"):
        load_config({})
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home))
    (home / NAME).mkdir()
    (home / NAME / "config.yaml").write_text(f"claude: {{projects_path: {home}}}")
    assert load_config({}).claude.projects_path == (home,)
