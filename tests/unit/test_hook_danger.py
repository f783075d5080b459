"""Hook entries that an older Claude Code turns against its user are found wherever they are."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from claude_headspace.hooks.entries import HookCommand
from claude_headspace.hooks.settings_file import settings_paths, warnings

ARGV = HookCommand(Path("/a b/python"), Path("/its state/inbox")).argv()
EARLIER = {"type": "command", "command": ARGV[0], "args": ARGV[1:], "timeout": 5}
TODAYS = {"type": "command", "command": shlex.join(ARGV), "timeout": 5}
FOREIGN = {"type": "command", "command": "/bin/sh", "args": ["-c", "echo hello"]}


def settings(handler: Any) -> bytes:
    return json.dumps({"hooks": {"Stop": [{"hooks": [handler]}]}}).encode()


def test_the_earlier_form_is_dangerous_and_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "it is" / "settings.json"
    path.parent.mkdir()
    path.write_bytes(settings(EARLIER))
    (told,) = warnings([tmp_path / "none", path])
    assert told.startswith(f"{path} contains dangerous hook entries")
    assert "(Stop)" in told
    assert f"`claude-headspace hooks install --settings '{path}'`" in told


@pytest.mark.parametrize(
    "content",
    [
        settings(TODAYS),
        settings(FOREIGN),
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"hooks": 1}',
    ],
    ids=range(8),
)
def test_what_is_not_dangerous_or_not_readable_is_no_warning(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    assert warnings([path]) == []


def test_what_claude_code_reads_and_an_edit_would_refuse_is_found(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1, "a": 2, ' + settings(EARLIER)[1:])
    assert len(warnings([path])) == 1


def test_a_pipe_or_a_folder_in_its_place_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert warnings([tmp_path / "pipe", tmp_path]) == []


def test_the_settings_of_the_user_and_those_beside_the_transcripts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", "/c")
    found = settings_paths([Path("/c/projects"), Path("/work/.claude/projects")])
    assert found == [Path("/c/settings.json"), Path("/work/.claude/settings.json")]
