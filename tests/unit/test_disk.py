"""A full disk is told as such."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from claude_headspace.health.disk import full_disk

STATE = Path("/state")


def disk(*, blocks: int, files: int = 100) -> os.statvfs_result:
    return os.statvfs_result((4096, 4096, 10_000, blocks, blocks, 500, files, files, 0, 255))


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (disk(blocks=5_000), None),
        (disk(blocks=0), "the disk of /state is full (0 kB are free): make room"),
        (disk(blocks=100), "the disk of /state is full (409 kB are free): make room"),
        (disk(blocks=5_000, files=0), "the disk of /state can hold no more files: remove some"),
    ],
)
def test_what_is_told(found: os.statvfs_result, told: str | None) -> None:
    assert full_disk(STATE, lambda _: found) == told


def test_a_directory_that_is_not_there_is_told_of_elsewhere(tmp_path: Path) -> None:
    assert full_disk(tmp_path / "none") is None
    assert full_disk(tmp_path, lambda path: os.statvfs(path / "none")) is None
