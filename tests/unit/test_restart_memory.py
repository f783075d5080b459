from __future__ import annotations

from pathlib import Path

import pytest

from claude_headspace.machine import boot_id
from claude_headspace.supervision.restart_limit import SavedRestarts


def memory(path: Path, clock: float, wall: float, boot: str) -> SavedRestarts:
    return SavedRestarts(path, lambda: clock, lambda: wall, lambda: boot)


def test_within_one_boot_the_moments_stand_whatever_the_wall_clock_does(tmp_path: Path) -> None:
    path = tmp_path / "guard.json"
    memory(path, 100.0, 5000.0, "one").save([70.0, 99.0])
    assert memory(path, 101.0, 9000.0, "one").load() == (70.0, 99.0)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("before", "after"), [("one", "two"), ("", "")])
def test_otherwise_their_age_by_the_wall_clock_stands(
    tmp_path: Path, before: str, after: str
) -> None:
    path = tmp_path / "guard.json"
    memory(path, 100.0, 5000.0, before).save([90.0])
    assert memory(path, 7.0, 5020.0, after).load() == (-23.0,)


def test_moments_of_the_future_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "guard.json"
    memory(path, 100.0, 5000.0, "one").save([90.0, 99.0])
    assert memory(path, 95.0, 5000.0, "one").load() == (90.0,)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"boot": 1}', '{"boot": "", "restarts": ["x"]}'])
def test_a_damaged_memory_is_an_empty_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "guard.json"
    assert SavedRestarts(path).load() == ()
    path.write_text(text)
    assert SavedRestarts(path).load() == ()


def test_the_boot_has_one_name() -> None:
    assert boot_id() == boot_id()
