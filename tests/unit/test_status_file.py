from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_headspace.health.status_file import (
    StatusProblem,
    WatcherStatus,
    read_status,
    write_status,
)

STATUS = WatcherStatus(
    pid=12, started_at=100.0, beat_at=200.0, state="capturing", written=3, last_error="é\n"
)


def problem_of(path: Path, now: float = 201.0) -> StatusProblem:
    found = read_status(path, now)
    assert isinstance(found, StatusProblem)
    return found


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text("{}")
    path.chmod(0o644)
    write_status(path, STATUS)
    assert read_status(path, 201.0) == STATUS
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_long_texts_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_status(path, replace(STATUS, reason="x" * 1_000_000, last_error="y" * 1_000_000))
    found = read_status(path, 201.0)
    assert isinstance(found, WatcherStatus)
    assert len(found.reason or "") == 2000


def test_a_reader_in_the_middle_of_a_write_sees_one_whole_status(tmp_path: Path) -> None:
    """Whoever has the file open keeps what was whole when he opened it."""
    path = tmp_path / "status.json"
    write_status(path, STATUS)
    with path.open() as reader:
        write_status(path, replace(STATUS, reason="x" * 2000))
        assert reader.read() == STATUS.to_json()


def test_a_write_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_status(path, STATUS)
    (tmp_path / "status.json.tmp").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_status(path, replace(STATUS, pid=13))
    assert read_status(path, 201.0) == STATUS


def test_missing_unreadable_and_future(tmp_path: Path) -> None:
    assert problem_of(tmp_path / "none").kind == "missing"
    assert problem_of(tmp_path).kind == "unreadable"
    write_status(tmp_path / "status.json", STATUS)
    assert problem_of(tmp_path / "status.json", 190.0).kind == "future"
    assert read_status(tmp_path / "status.json", 196.0) == STATUS


def test_every_torn_prefix_is_torn(tmp_path: Path) -> None:
    text = STATUS.to_json().rstrip()
    path = tmp_path / "status.json"
    for length in range(len(text)):
        path.write_text(text[:length])
        assert problem_of(path).kind == "torn"


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"pid": "12"}, {"pid": True}, {"state": "well"}, {"beat_at": None}],
)
def test_another_format_is_foreign(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "status.json"
    path.write_text(json.dumps({**json.loads(STATUS.to_json()), **change}))
    assert problem_of(path).kind == "foreign"


def test_another_version_may_write_more_or_less(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    values = json.loads(STATUS.to_json())
    path.write_text(json.dumps({**values, "later": 1}))
    assert read_status(path, 201.0) == STATUS
    del values["poison_lines"]
    path.write_text(json.dumps(values))
    assert read_status(path, 201.0) == STATUS
    del values["pid"]
    path.write_text(json.dumps(values))
    assert problem_of(path).kind == "foreign"


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    path = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")  # noqa: S108
    file = path / f"headspace-status-{id(data)}"
    try:
        file.write_bytes(data)
        assert isinstance(read_status(file, 0.0), StatusProblem)
    finally:
        file.unlink()
