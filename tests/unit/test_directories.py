from __future__ import annotations

import pytest

from claude_headspace.source.directories import repository_of


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
