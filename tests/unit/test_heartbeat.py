"""The status file is written beside the work: a disk that is full or hangs holds nobody."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from claude_headspace.health.status_file import WatcherState, WatcherStatus, read_status
from claude_headspace.supervision.beats import Beat
from claude_headspace.watcher.heartbeat import Heartbeat, StatusWriter
from claude_headspace.watcher.liveness import Liveness


def snapshot(state: WatcherState, reason: str | None) -> WatcherStatus:
    return WatcherStatus(pid=7, started_at=1.0, beat_at=1.0, state=state, reason=reason)


def heartbeat_of(path: Path, send: Callable[[Beat], None] | None = None) -> Heartbeat:
    heartbeat = Heartbeat(Liveness(send, interval_seconds=0.01), path, snapshot)
    heartbeat.start()
    return heartbeat


def wait_for(path: Path, wanted: Callable[[WatcherStatus], bool]) -> WatcherStatus:
    deadline = time.monotonic() + 20
    while True:
        found = read_status(path)
        if isinstance(found, WatcherStatus) and wanted(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.005)


def test_a_new_state_is_told_at_once_and_the_last_one_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    heartbeat = heartbeat_of(path)
    heartbeat.become("capturing")
    wait_for(path, lambda status: status.state == "capturing")
    for _ in range(20):
        heartbeat.become("waiting", "for something")
        heartbeat.become("stopping", "SIGTERM")
    heartbeat.finish()
    found = read_status(path)
    assert isinstance(found, WatcherStatus)
    assert (found.state, found.reason) == ("stopping", "SIGTERM")


def test_what_the_work_is_busy_with_is_told_while_it_is(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    liveness = Liveness(None)
    writer = StatusWriter(path, liveness, repeat_seconds=0.01)
    writer.start()
    writer.write(snapshot("capturing", None))
    with liveness.doing("list /slow", 20.0):
        first = wait_for(path, lambda status: status.doing == "list /slow")
        later = wait_for(path, lambda status: status.doing_seconds > first.doing_seconds)
    assert later.doing_limit == 20.0
    assert later.beat_at >= first.beat_at > 1.0
    writer.finish()


@pytest.mark.timeout(30)
def test_a_disk_that_hangs_holds_neither_the_work_nor_the_beats(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    # Opening a pipe that nobody reads takes for ever.
    os.mkfifo(tmp_path / "status.json.tmp")
    beats: list[Beat] = []
    heartbeat = heartbeat_of(path, beats.append)
    heartbeat.become("capturing")
    deadline = time.monotonic() + 20
    while len(beats) < 5:
        heartbeat.beat()
        heartbeat.tell()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not any(beat.overdue for beat in beats)
    heartbeat.finish()
    os.close(os.open(tmp_path / "status.json.tmp", os.O_RDONLY | os.O_NONBLOCK))


def test_a_full_disk_is_complained_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "status.json"
    (tmp_path / "status.json.tmp").mkdir()
    writer = StatusWriter(path, Liveness(None), repeat_seconds=0.005)
    writer.start()
    writer.write(snapshot("capturing", None))
    deadline = time.monotonic() + 20
    # A writer that an earlier test has left may complain of its own file.
    told = f"{path} cannot be written"
    while told not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    (tmp_path / "status.json.tmp").rmdir()
    wait_for(path, lambda status: status.state == "capturing")
    writer.finish()
    assert caplog.text.count(told) == 1
