"""What may have changed is found in time, and looking never takes long at a stretch."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from claude_headspace.discovery import scanner, walks
from claude_headspace.discovery.listing import look
from claude_headspace.discovery.notifier import Changes
from claude_headspace.discovery.scanner import Scanner
from claude_headspace.discovery.work_queue import WorkQueue

LONG_AGO = 1_000_000_000


class Told:
    """Notifications made to order."""

    def __init__(self, *, complete: bool) -> None:
        self.complete = self.in_use = complete
        self.watched: dict[str, int] = {}
        self.doubted: list[str] = []
        self.is_new = False

    def fileno(self) -> int | None:
        return None

    def take(self) -> Changes:
        return Changes()

    def watch(self, directory: str, active_at: int) -> None:
        self.watched[directory] = active_at

    def discard(self, directory: str) -> None:
        pass

    def begin_round(self) -> None:
        pass

    def end_round(self) -> None:
        pass

    def doubt(self, path: str) -> None:
        self.doubted.append(path)

    def renew(self) -> bool:
        was, self.is_new = self.is_new, False
        return was

    def stop(self) -> None:
        pass


class Place:
    """Roots, an work queue, and a scanner over them."""

    def __init__(
        self,
        root: Path,
        *,
        complete: bool = True,
        look_at: Callable[[str], os.stat_result] = os.stat,
    ) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        self.work_queue = WorkQueue()
        self.told = Told(complete=complete)
        self.ready = False
        self.scanner = Scanner(
            roots=[str(root)],
            inbox=str(root.parent / "inbox"),
            notifier=self.told,
            work_queue=self.work_queue,
            interval_seconds=2.0,
            troubled=lambda _: False,
            tell_ready=self._tell_ready,
            look_at=look_at,
        )

    def _tell_ready(self) -> None:
        self.ready = True

    def begin(self) -> None:
        """Everything is listed and read."""
        self.scanner.begin([])
        self.finish()
        self.read()

    def finish(self) -> None:
        """Until nothing is urgent."""
        while self.scanner.urgent:
            self.scanner.step()

    def read(self) -> list[str]:
        """What is in the work queue, read to its end."""
        found: list[str] = []
        while (path := self.work_queue.take_fresh() or self.work_queue.take_backlog()) is not None:
            seen = look(path)
            if seen is not None:
                self.work_queue.finish(path, seen.stamp)
            else:
                self.work_queue.reopen(path)
            found.append(path)
        return found

    def make(self, name: str, *, when: int = LONG_AGO) -> str:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as out:
            out.write("x")
        os.utime(path, (when, when))
        return str(path)


def test_everything_is_found_at_the_start(tmp_path: Path) -> None:
    place = Place(tmp_path / "p")
    made = {place.make(f"{number % 3}/{number}.jsonl") for number in range(30)}
    place.scanner.begin([])
    states = [place.ready]
    place.finish()
    assert [*states, place.ready] == [False, True]
    assert set(place.read()) == made
    assert {str(tmp_path / "p" / str(number)) for number in range(3)} < set(place.told.watched)


def test_a_step_is_short_however_slow_the_files_are(tmp_path: Path) -> None:
    """Looks in one step stay as few when there are twice as many files."""

    def most(number: int) -> int:
        looks: list[str] = []

        def slow(path: str) -> os.stat_result:
            looks.append(path)
            time.sleep(0.001)
            return Path(path).stat()

        place = Place(tmp_path / str(number), look_at=slow)
        for each in range(number):
            place.make(f"{each}.jsonl", when=int(time.time()))
        place.scanner.begin([])
        counts = []
        while not place.ready:
            before = len(looks)
            place.scanner.step()
            counts.append(len(looks) - before)
        place.scanner.rescan()
        while place.scanner.urgent:
            before = len(looks)
            place.scanner.step()
            counts.append(len(looks) - before)
        assert len(looks) >= 2 * min(number, 100)
        return max(counts)

    assert most(50) <= 15
    assert most(100) <= 15


def test_a_start_in_the_middle_of_another_leaves_no_directory_open(tmp_path: Path) -> None:
    def slow(path: str) -> os.stat_result:
        time.sleep(0.003)
        return Path(path).stat()

    place = Place(tmp_path / "p", look_at=slow)
    for number in range(5):
        place.make(f"{number}.jsonl")
    counts = []
    gc.disable()
    try:
        for _ in range(3):
            place.scanner.begin([])
            place.scanner.step()
            counts.append(len(os.listdir("/dev/fd")))  # noqa: PTH208
    finally:
        gc.enable()
    assert len(set(counts)) == 1


def test_a_directory_that_is_told_of_is_listed(tmp_path: Path) -> None:
    place = Place(tmp_path / "p")
    place.begin()
    made = place.make("new/a.jsonl")
    place.scanner.note(Changes(directories={str(tmp_path / "p" / "new"): None}))
    assert place.scanner.urgent
    place.finish()
    assert place.read() == [made]


def test_lost_notifications_have_everything_looked_at(tmp_path: Path) -> None:
    place = Place(tmp_path / "p")
    place.make("a.jsonl")
    place.begin()
    changed = place.make("b.jsonl")
    place.scanner.note(Changes(lost=True))
    place.finish()
    assert place.read() == [changed]


def test_files_of_a_directory_that_is_gone_are_visited(tmp_path: Path) -> None:
    place = Place(tmp_path / "p")
    made = place.make("d/a.jsonl")
    place.begin()
    (tmp_path / "p" / "d").rename(tmp_path / "away")
    place.scanner.note(Changes(directories={str(tmp_path / "p" / "d"): None}))
    place.finish()
    assert place.read() == [made]


def test_files_of_a_root_that_is_missing_are_not_gone(tmp_path: Path) -> None:
    place = Place(tmp_path / "p")
    made = place.make("d/a.jsonl")
    place.begin()
    (tmp_path / "p").rename(tmp_path / "away")
    place.scanner.rescan()
    place.finish()
    assert place.scanner.unreadable == {str(tmp_path / "p"): "No such file or directory"}
    place.read()
    assert place.work_queue.below(str(tmp_path / "p")) == [made]
    (tmp_path / "away").rename(tmp_path / "p")
    place.scanner.rescan()
    place.finish()
    assert place.scanner.unreadable == {}


@pytest.mark.parametrize("complete", [True, False])
def test_a_change_that_nobody_told_is_found(tmp_path: Path, *, complete: bool) -> None:
    place = Place(tmp_path / "p", complete=complete)
    place.make("d/old.jsonl")
    place.begin()
    changed = place.make("d/old.jsonl", when=LONG_AGO + 5)
    place.scanner._next_round = 0.0  # a minute has gone
    for _ in range(3):
        place.scanner.rescan()
        place.finish()
    assert place.read() == [changed]
    assert place.told.doubted == ([changed] if complete else [])
    if not complete:
        directory = str(tmp_path / "p" / "d")
        assert place.told.watched[directory] == (LONG_AGO + 5) * 10**9


def test_without_notifications_a_new_file_is_found_by_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No round through everything is needed for it."""
    place = Place(tmp_path / "p", complete=False)
    place.make("d/old.jsonl")
    place.begin()
    monkeypatch.setattr(place.scanner, "_slice_of_round", lambda *_: None)
    new = place.make("d/new.jsonl")
    deeper = place.make("d/s/subagents/agent.jsonl")
    for _ in range(3):
        place.scanner.rescan()
        place.finish()
    assert sorted(place.read()) == sorted([new, deeper])


def test_a_rescan_costs_the_same_however_many_files_are_finished(tmp_path: Path) -> None:
    def most(number: int) -> int:
        looks: list[str] = []

        def look_at(path: str) -> os.stat_result:
            looks.append(path)
            until = time.thread_time() + 0.0001
            while time.thread_time() < until:
                pass
            return Path(path).stat()

        place = Place(tmp_path / str(number), complete=False, look_at=look_at)
        for each in range(number):
            place.make(f"{each % 20}/{each}.jsonl")
        place.begin()
        counts = []
        for _ in range(8):
            before = len(looks)
            place.scanner._next_round = 0.0
            place.scanner.rescan()
            place.finish()
            counts.append(len(looks) - before)
        return max(counts)

    # Linear growth would be a factor of four.
    assert most(800) <= 2 * most(200)
    share = walks.SLICE_CORE_SECONDS + walks.CHECK_CORE_SECONDS
    assert share / scanner.POLLING_RESCAN_SECONDS < 0.012
