from __future__ import annotations

from pathlib import Path

import pytest

from claude_headspace.discovery.listing import Listing
from claude_headspace.transcripts.directories import repository_of


@pytest.mark.parametrize(("directory", "repository"), [
    ("/home/u/app/.claude/worktrees/fix", "/home/u/app"),
    ("/home/u/app/.claude/worktrees/fix/src/deep", "/home/u/app"),
    ("/home/u/app/.claude/worktrees/fix/", "/home/u/app"),
    ("/home/u/a/.claude/worktrees/b/.claude/worktrees/c", "/home/u/a"),
    ("/home/u/app", "/home/u/app"),
    ("/home/u/app/.claude/worktrees", "/home/u/app/.claude/worktrees"),
    ("/home/u/app/.claude/worktrees/", "/home/u/app/.claude/worktrees/"),
    ("/.claude/worktrees/fix", "/.claude/worktrees/fix"),
    ("/home/u/worktrees/fix", "/home/u/worktrees/fix"),
    ("", ""),
])  # fmt: skip
def test_a_worktree_belongs_to_its_repository(directory: str, repository: str) -> None:
    assert repository_of(directory) == repository


def test_shadows_of_files_are_no_transcripts(tmp_path: Path) -> None:
    for name in ("a.jsonl", "._a.jsonl", "journal.jsonl", "a.meta.json"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    assert [seen.path for found in Listing([str(tmp_path)]) for seen in found] == [
        str(tmp_path / "a.jsonl")
    ]
