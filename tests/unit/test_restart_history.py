from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from claude_headspace.cli.program import run
from claude_headspace.supervision import history
from claude_headspace.supervision.history import (
    RestartRecord,
    append_restart,
    format_restarts,
    read_restarts,
)

RECORD = RestartRecord(
    at=1_700_000_000.0,
    reason="killed by SIGKILL",
    outcome="restarted",
    attempt=2,
    limit=5,
    window_seconds=60.0,
    pid=7,
    uptime_seconds=12.34,
    number=9,
)


def test_records_come_back_in_order_and_private(tmp_path: Path) -> None:
    path = tmp_path / "restarts.jsonl"
    for number in range(3):
        append_restart(path, replace(RECORD, number=number))
    assert [record.number for record in read_restarts(path)] == [0, 1, 2]
    assert [record.number for record in read_restarts(path, 1)] == [2]
    assert path.stat().st_mode & 0o777 == 0o600


def test_torn_and_foreign_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "restarts.jsonl"
    append_restart(path, RECORD)
    with path.open("ab") as file:
        file.write(b'\xff\n[]\n{"at": 1}\n' + json.dumps({"at": 1e99}).encode() + b'\n{"at": 17')
    append_restart(path, RECORD)
    assert read_restarts(path) == [RECORD, RECORD]
    assert read_restarts(tmp_path / "none") == []


def test_it_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "restarts.jsonl"
    line = json.dumps({"filler": "x" * 2000}) + "\n"
    path.write_text(line * (history.LARGEST_BYTES // len(line) + 1))
    for number in range(3):
        append_restart(path, replace(RECORD, number=number))
    assert path.stat().st_size < history.LARGEST_BYTES
    assert [record.number for record in read_restarts(path)] == [0, 1, 2]


def test_the_table_says_it_all() -> None:
    trip = replace(RECORD, outcome="gave up", detail="crash loop: 5 restarts in 60 s")
    lines = format_restarts([RECORD, replace(trip, uptime_seconds=None)]).splitlines()
    assert lines[0].split() == ["time", "reason", "uptime", "attempt", "outcome"]
    assert "killed by SIGKILL  12.3 s  2 of 5 in 60 s  restarted" in lines[1]
    assert "?" in lines[2]
    assert lines[2].endswith("gave up: crash loop: 5 restarts in 60 s")
    assert format_restarts([]) == "The watcher has never been restarted."


def test_fewer_restarts_than_the_limit_are_all_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLAUDE_HEADSPACE_CONFIG", "/dev/null")
    monkeypatch.setenv("CLAUDE_HEADSPACE__STATE__DIRECTORY", str(tmp_path))
    for number in range(3):
        append_restart(history.history_path(tmp_path), replace(RECORD, number=number))
    shown = {}
    for limit in ("0", "2", "5", "all"):
        assert run(["restarts", "--limit", limit, "--json"]) == 0
        shown[limit] = len(capsys.readouterr().out.splitlines())
    assert shown == {"0": 0, "2": 2, "5": 3, "all": 3}
