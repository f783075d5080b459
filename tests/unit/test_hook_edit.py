"""The settings file through edits: its bytes, its one backup, and others that write it too."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from claude_headspace.errors import HookSettingsError
from claude_headspace.hooks.edit import edit
from claude_headspace.hooks.entries import Settings, configured
from claude_headspace.hooks.install import describe_edit, install, remove

INBOX, OTHER = Path("/somewhere/var/inbox"), Path("/elsewhere/inbox")
# Neither an indentation nor an order of keys that anything would write by itself.
BYTES = b'{\n "z": 1e3,   "model": "\\u00e4",\r\n\t"hooks": {"Stop": []}, "a": [ ] }\n\n'
BACKUP = "settings.json.claude-headspace.bak"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "settings.json"
    path.write_bytes(BYTES)
    return path


def put_in(path: Path, inbox: Path = INBOX, version: tuple[int, int, int] = (2, 1, 240)) -> None:
    install(path, inbox, version=version)


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


def change(path: Path, **values: Any) -> None:
    """What a person or Claude Code does to the settings meanwhile."""
    settings = json.loads(path.read_bytes()) | values
    path.write_text(json.dumps(settings))


def to_the_earlier_form(path: Path) -> None:
    settings = json.loads(path.read_bytes())
    for groups in settings["hooks"].values():
        for handler in (handler for group in groups for handler in group["hooks"]):
            handler["command"], *handler["args"] = shlex.split(handler["command"])
    path.write_text(json.dumps(settings))


def test_removing_gives_every_byte_back_and_leaves_nothing_behind(path: Path) -> None:
    put_in(path)
    assert path.read_bytes() != BYTES
    assert "byte for byte" not in describe_edit(remove(path, INBOX, dry_run=True))
    report = remove(path, INBOX)
    assert path.read_bytes() == BYTES
    assert names(path) == ["settings.json"]
    assert report.backup is None
    assert "byte for byte" in describe_edit(report)


def test_a_file_that_installing_made_is_gone_after_removing(path: Path) -> None:
    path.unlink()
    put_in(path)
    remove(path, INBOX)
    assert names(path) == []


def test_a_link_to_a_file_that_installing_made_stays(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    path.unlink()
    put_in(link)
    remove(link, INBOX)
    assert json.loads(link.read_bytes()) == {}


def test_installing_again_and_again_keeps_one_backup_of_what_was_before(path: Path) -> None:
    for version in ((2, 1, 240), (1, 0, 41), (2, 1, 77), (2, 1, 332)):
        put_in(path, version=version)
        assert names(path) == ["settings.json", BACKUP]
        assert path.with_name(BACKUP).read_bytes() == BYTES
    remove(path, INBOX)
    assert path.read_bytes() == BYTES


def test_two_instances_come_and_go_and_the_bytes_come_back(path: Path) -> None:
    put_in(path, INBOX)
    put_in(path, OTHER)
    remove(path, INBOX)
    assert {one.command.inbox for one in configured(json.loads(path.read_bytes()))} == {OTHER}
    remove(path, OTHER)
    assert path.read_bytes() == BYTES
    assert names(path) == ["settings.json"]


def test_what_was_changed_meanwhile_stays_changed(path: Path) -> None:
    put_in(path)
    change(path, model="another")
    report = remove(path, INBOX)
    kept = {name: value for name, value in json.loads(BYTES).items() if name != "hooks"}
    assert json.loads(path.read_bytes()) == kept | {"model": "another"}
    assert names(path) == ["settings.json", BACKUP]
    assert not report.restored
    assert report.backup is not None
    assert configured(json.loads(report.backup.read_bytes()))


def test_another_order_of_keys_is_a_change_that_stays(path: Path) -> None:
    put_in(path)
    settings = json.loads(path.read_bytes())
    path.write_text(json.dumps(dict(reversed(settings.items()))))
    remove(path, INBOX)
    assert list(json.loads(path.read_bytes())) == ["a", "model", "z"]


def test_the_backup_of_another_time_is_replaced_when_the_hooks_come_in_again(path: Path) -> None:
    put_in(path)
    change(path, model="another")
    remove(path, INBOX)
    edited = path.read_bytes() + b"\n\n"
    path.write_bytes(edited)
    put_in(path)
    assert path.with_name(BACKUP).read_bytes() == edited
    remove(path, INBOX)
    assert path.read_bytes() == edited


def test_what_the_version_before_installed_and_backed_up_comes_back_too(path: Path) -> None:
    put_in(path)
    to_the_earlier_form(path)
    path.with_name(BACKUP).rename(path.with_name("settings.json.20260301T101010000000Z.bak"))
    put_in(path)
    assert not any(one.dangerous for one in configured(json.loads(path.read_bytes())))
    assert BACKUP not in names(path)
    remove(path, INBOX)
    assert path.read_bytes() == BYTES


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b'{"a": 1, "a": 1}'])
def test_a_backup_that_says_nothing_is_no_hindrance(path: Path, content: bytes) -> None:
    path.with_name("settings.json.old.bak").write_bytes(content)
    path.with_name("settings.json.folder.bak").mkdir()
    put_in(path)
    remove(path, INBOX)
    assert path.read_bytes() == BYTES


def add_color(settings: Settings) -> Settings:
    return settings | {"color": "red"}


def test_what_changes_between_reading_and_replacing_is_not_overwritten(path: Path) -> None:
    other = b'{"theirs": true}'

    def change_meanwhile(settings: Settings) -> Settings:
        path.write_bytes(other)
        return add_color(settings)

    with pytest.raises(HookSettingsError, match="Another program changed"):
        edit(path, change_meanwhile)
    assert path.read_bytes() == other
    assert not [name for name in names(path) if name.endswith(".tmp")]


def test_a_file_that_comes_up_between_reading_and_replacing_is_not_overwritten(path: Path) -> None:
    path.unlink()

    def change_meanwhile(settings: Settings) -> Settings:
        path.write_bytes(b"{}")
        return add_color(settings)

    with pytest.raises(HookSettingsError, match="Another program changed"):
        edit(path, change_meanwhile)
    assert path.read_bytes() == b"{}"


def test_a_session_that_writes_its_copy_right_after_is_noticed(path: Path) -> None:
    def replace_and_write_back(draft: Path, target: Path) -> None:
        draft.replace(target)
        target.write_bytes(BYTES)

    with pytest.raises(HookSettingsError, match="wrote its own copy") as raised:
        edit(path, add_color, replace=replace_and_write_back)
    assert BACKUP in str(raised.value)


def test_the_replacing_is_what_an_edit_does(path: Path) -> None:
    replaced: list[tuple[str, str]] = []

    def replace(draft: Path, target: Path) -> None:
        replaced.append((json.loads(draft.read_bytes())["color"], str(target)))
        draft.replace(target)

    edit(path, add_color, replace=replace)
    assert replaced == [("red", str(path))]


def test_a_draft_left_by_one_that_died_is_no_hindrance(path: Path) -> None:
    path.with_name(f"settings.json.{os.getpid()}.tmp").write_text("half")
    assert edit(path, add_color).diff
    assert names(path) == ["settings.json", BACKUP]
