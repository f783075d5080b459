from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from claude_headspace.health.observation import disk_problem


def test_a_disk_with_room_is_no_problem(tmp_path: Path) -> None:
    assert disk_problem(tmp_path) == ""


@pytest.mark.parametrize(
    ("free", "nodes", "words"),
    [
        (0, 9, "is full: 0 bytes are left"),
        (100, 9, "409600 bytes"),
        (1000, 0, "no more files can be created"),
    ],
)
def test_a_full_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, nodes: int, words: str
) -> None:
    found = SimpleNamespace(f_bavail=free, f_bfree=free, f_frsize=4096, f_files=10, f_ffree=nodes)
    monkeypatch.setattr(os, "statvfs", lambda _: found)
    assert str(tmp_path) in disk_problem(tmp_path)
    assert words in disk_problem(tmp_path)


def test_file_systems_that_count_no_nodes_are_not_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = SimpleNamespace(f_bavail=1000, f_bfree=1000, f_frsize=4096, f_files=0, f_ffree=0)
    monkeypatch.setattr(os, "statvfs", lambda _: found)
    assert disk_problem(tmp_path) == ""


def test_a_directory_that_is_gone_is_named(tmp_path: Path) -> None:
    assert "cannot be examined: No such file" in disk_problem(tmp_path / "gone")


def test_one_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write everywhere but on a read-only disk."""
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)
    assert "cannot be written: is its disk read-only?" in disk_problem(tmp_path)
