from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from claude_headspace.errors import HookSettingsError
from claude_headspace.hooks.edit import EditReport
from claude_headspace.hooks.entries import configured, events_for
from claude_headspace.hooks.install import (
    claude_version,
    describe_edit,
    install,
    parse_version,
    remove,
)
from claude_headspace.hooks.settings_file import default_settings_path

NEW = (2, 1, 240)
INBOX = Path("/somewhere/var/inbox")
FOREIGN: dict[str, Any] = {
    "model": "opus",
    "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "say 'fertig, schön'"}]}]},
    "ratio": 0.5,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "claude" / "settings.json"


@pytest.fixture
def written(path: Path) -> Path:
    path.parent.mkdir()
    path.write_text(json.dumps(FOREIGN, indent=4, ensure_ascii=False) + "\n")
    return path


def put_in(path: Path, *, dry_run: bool = False) -> EditReport:
    return install(path, INBOX, version=NEW, dry_run=dry_run)


def settings_of(path: Path) -> dict[str, Any]:
    settings = json.loads(path.read_bytes().decode("utf-8-sig"))
    assert isinstance(settings, dict)
    return settings


def test_everything_else_is_kept_to_the_letter(written: Path) -> None:
    before = written.read_text()
    put_in(written)
    after = settings_of(written)
    assert {one.event for one in configured(after)} == set(events_for(NEW))
    assert after["hooks"]["Stop"][0] == FOREIGN["hooks"]["Stop"][0]
    assert "fertig, schön" in written.read_text()
    remove(written, INBOX)
    assert written.read_text() == before


@pytest.mark.parametrize(
    "content",
    [
        '{\n\t"a": 1\n}',
        '{\r\n  "a": "x"\r\n}\r\n',
        '\ufeff{\n  "a": 1\n}\n',
        '{\n  "a": "\\ud83d"\n}\n',
    ],
    ids=["tabs", "crlf", "mark", "surrogate"],
)
def test_the_manner_of_the_file_is_kept(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_bytes(content.encode())
    put_in(path)
    remove(path, INBOX)
    assert path.read_bytes() == content.encode()


def test_the_second_time_changes_nothing_and_makes_no_backup(written: Path) -> None:
    put_in(written)
    content, names = written.read_bytes(), sorted(written.parent.iterdir())
    report = put_in(written)
    assert not report.changes
    assert "needs no change" in describe_edit(report)
    assert (written.read_bytes(), sorted(written.parent.iterdir())) == (content, names)


def test_the_backup_is_what_was_there_with_its_mode(written: Path) -> None:
    written.chmod(0o640)
    before = written.read_bytes()
    backup = put_in(written).backup
    assert backup is not None
    assert backup.name == "settings.json.claude-headspace.bak"
    assert backup.read_bytes() == before
    assert {stat.S_IMODE(one.stat().st_mode) for one in (written, backup)} == {0o640}
    assert sorted(written.parent.iterdir()) == sorted([written, backup])


def test_a_new_file_is_for_its_owner_alone(path: Path) -> None:
    report = put_in(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert report.backup is None
    assert settings_of(path)["hooks"].keys() == set(events_for(NEW))
    assert list(path.parent.iterdir()) == [path]


def test_a_dry_run_shows_all_and_writes_nothing(written: Path) -> None:
    before = written.read_bytes()
    report = put_in(written, dry_run=True)
    assert written.read_bytes() == before
    assert list(written.parent.iterdir()) == [written]
    text = describe_edit(report)
    assert '+        "SessionEnd": [' in text
    assert "were not written" in text
    assert not any(line.startswith("-") for line in report.diff.splitlines()[2:] if "hooks" in line)


def test_a_dry_run_makes_no_directory(path: Path) -> None:
    assert put_in(path, dry_run=True).changes
    assert not path.parent.exists()


def test_the_file_behind_a_link_is_edited_and_the_link_stays(written: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(written)
    put_in(link)
    assert link.is_symlink()
    assert configured(settings_of(written))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["claude", "link.json"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"a": 1,}', b"// c\n{}", b"[]", b'{"a": 1, "a": 2}', b"\xff", b'{"a": NaN}'],
)
def test_what_is_not_valid_json_is_refused_and_left(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    for edit in (put_in, lambda file: remove(file, INBOX)):
        with pytest.raises(HookSettingsError, match=r"settings\.json"):
            edit(path)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_removing_where_there_is_nothing_makes_nothing(path: Path) -> None:
    assert not remove(path, INBOX).changes
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HookSettingsError, match="settings"):
        put_in(tmp_path / "file" / "settings.json")


def test_an_interpreter_that_cannot_run_the_hook_is_refused(path: Path, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(HookSettingsError, match="cannot load"):
        install(path, INBOX, version=NEW, interpreter=broken)
    cached = Path("/home/u/.cache/uv/archive-v0/x/bin/python")
    with pytest.raises(HookSettingsError, match="cache"):
        install(path, INBOX, version=NEW, interpreter=cached)
    assert not path.exists()


def test_the_interpreter_is_not_followed_out_of_its_environment(path: Path) -> None:
    put_in(path)
    assert {str(one.command.interpreter) for one in configured(settings_of(path))} == {
        sys.executable
    }


def test_a_relative_inbox_and_an_ancient_version_are_refused(path: Path) -> None:
    with pytest.raises(HookSettingsError, match="absolute"):
        install(path, Path("var/inbox"), version=NEW)
    with pytest.raises(HookSettingsError, match=r"1\.0\.40"):
        install(path, INBOX, version=(1, 0, 40))
    assert not path.exists()


def test_the_report_says_which_events_and_why_so_few(path: Path) -> None:
    known = describe_edit(put_in(path))
    assert "2.1.240" in known
    assert "SessionEnd" in known
    unknown = describe_edit(install(path, INBOX, version=None))
    assert "version is unknown" in unknown
    assert "SessionStart, SessionEnd." in unknown


def test_the_owner_stays_when_another_may_edit_it(written: Path) -> None:
    """Root edits a file of someone else; anybody else has only files of their own to try."""
    owner = (12345, 12345) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    os.chown(written, *owner)
    backup = put_in(written).backup
    assert backup is not None
    assert {(one.stat().st_uid, one.stat().st_gid) for one in (written, backup)} == {owner}


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("2.1.240 (Claude Code)\n", (2, 1, 240)),
        ("v1.0.62", (1, 0, 62)),
        ("2.1.0-beta.3 (Claude Code)", (2, 1, 0)),
        ("Claude Code 2.1", None),
        ("", None),
        ("2.1", None),
    ],
)
def test_the_version_is_read_from_what_claude_prints(
    printed: str, version: tuple[int, int, int] | None, tmp_path: Path
) -> None:
    assert parse_version(printed) == version
    program = tmp_path / "claude"
    (tmp_path / "printed").write_text(printed)
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/printed\n")
    program.chmod(0o755)
    assert claude_version(str(program)) == version


def test_no_claude_or_a_failing_one_has_no_version(tmp_path: Path) -> None:
    failing = tmp_path / "claude"
    failing.write_text("#!/bin/sh\necho 2.1.0\nexit 1\n")
    failing.chmod(0o755)
    assert claude_version(str(failing)) is None
    assert claude_version(str(tmp_path / "nowhere")) is None


def test_claude_code_is_looked_for_where_it_looks_itself() -> None:
    assert default_settings_path({"CLAUDE_CONFIG_DIR": "/c"}) == Path("/c/settings.json")
    assert default_settings_path({}) == Path.home() / ".claude" / "settings.json"
