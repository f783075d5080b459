"""Notifications: hints that are trusted until one is found to be missing."""

from __future__ import annotations

import errno
import os
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_headspace.discovery.inotify import OVERFLOW, Inotify, Notice
from claude_headspace.discovery.notifier import Changes, Waker
from claude_headspace.discovery.observer import TreeNotifier
from claude_headspace.discovery.watches import DirectoryNotifier

ENOUGH_SECONDS = 20.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@pytest.fixture
def notifier() -> Iterator[DirectoryNotifier]:
    made = DirectoryNotifier(doubt_seconds=0.05)
    yield made
    made.stop()


def begun(notifier: DirectoryNotifier, *directories: Path) -> None:
    assert notifier.renew()
    name_all(notifier, *directories)


def name_all(notifier: DirectoryNotifier, *directories: Path) -> None:
    notifier.begin_round()
    for number, directory in enumerate(directories):
        notifier.watch(str(directory), number)
    notifier.end_round()


def changes_until(notifier: DirectoryNotifier, path: Path) -> Changes:
    """What was told until the path was among it."""
    told = Changes()
    deadline = time.monotonic() + ENOUGH_SECONDS
    while str(path) not in (*told.files, *told.directories):
        assert time.monotonic() < deadline, f"{path} was not reported, only {told}"
        select.select([fd for fd in [notifier.fileno()] if fd is not None], [], [], 0.1)
        found = notifier.take()
        told.files.update(found.files)
        told.directories.update(found.directories)
    return told


def test_files_and_directories_are_told(notifier: DirectoryNotifier, tmp_path: Path) -> None:
    begun(notifier, tmp_path)
    assert notifier.complete
    (tmp_path / "a.jsonl").write_text("x")
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "new").mkdir()
    told = changes_until(notifier, tmp_path / "new")
    assert list(told.files) == [str(tmp_path / "a.jsonl")]
    assert list(told.directories) == [str(tmp_path / "new")]


@pytest.mark.parametrize("change", ["append", "rename", "delete", "date", "mode"])
def test_every_change_of_a_file_is_told(
    notifier: DirectoryNotifier, tmp_path: Path, change: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("x")
    begun(notifier, tmp_path)
    if change == "append":
        with path.open("a") as out:
            out.write("y")
    elif change == "rename":
        path.rename(tmp_path / "b.jsonl")
    elif change == "delete":
        path.unlink()
    elif change == "date":
        os.utime(path, (1, 1))
    else:
        path.chmod(0o400)
    changes_until(notifier, path)


def test_a_directory_that_is_watched_under_another_name_now(
    notifier: DirectoryNotifier, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    begun(notifier, tmp_path, old)
    old.rename(new)
    assert str(old) in changes_until(notifier, new).directories
    notifier.watch(str(new), 0)
    (new / "c.jsonl").write_text("x")
    told = changes_until(notifier, new / "c.jsonl")
    assert str(old / "c.jsonl") not in told.files


def test_a_directory_that_was_replaced_is_watched_again(
    notifier: DirectoryNotifier, tmp_path: Path
) -> None:
    directory = tmp_path / "projects"
    directory.mkdir()
    begun(notifier, directory)
    directory.rename(tmp_path / "moved")
    directory.mkdir()
    name_all(notifier, directory)
    (directory / "b.jsonl").write_text("x")
    changes_until(notifier, directory / "b.jsonl")
    (tmp_path / "moved" / "c.jsonl").write_text("x")
    (directory / "d.jsonl").write_text("x")
    told = changes_until(notifier, directory / "d.jsonl")
    assert str(directory / "c.jsonl") not in told.files


def test_a_doubt_lasts_until_everything_was_named_anew(
    notifier: DirectoryNotifier, tmp_path: Path
) -> None:
    begun(notifier, tmp_path)
    notifier.doubt("some path")
    states = [notifier.complete]
    deadline = time.monotonic() + ENOUGH_SECONDS
    while not notifier.renew():
        assert time.monotonic() < deadline
    states.append(notifier.complete)
    name_all(notifier, tmp_path)
    assert [*states, notifier.complete] == [False, False, True]
    (tmp_path / "c.jsonl").write_text("x")
    changes_until(notifier, tmp_path / "c.jsonl")


def test_without_notifications_nothing_is_complete(tmp_path: Path) -> None:
    notifier = DirectoryNotifier(enabled=False)
    assert not notifier.renew()
    name_all(notifier, tmp_path)
    assert (notifier.complete, notifier.fileno()) == (False, None)


class Limited(Inotify):
    """A kernel that watches only so many directories."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.watched: dict[int, str] = {}
        self.made = 0
        self.notices: list[Notice] = []
        self.closed = False

    def fileno(self) -> int:
        return 0

    def add(self, path: str) -> int:
        for watch, known in self.watched.items():
            if known == path:
                return watch
        if len(self.watched) >= self.limit:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.made += 1
        self.watched[self.made] = path
        return self.made

    def remove(self, watch: int) -> None:
        self.watched.pop(watch, None)

    def take(self) -> list[Notice]:
        notices, self.notices = self.notices, []
        return notices

    def close(self) -> None:
        self.closed = True


def limited(limit: int) -> tuple[DirectoryNotifier, Limited]:
    kernel = Limited(limit)
    notifier = DirectoryNotifier(make=lambda: kernel)
    assert notifier.renew()
    return notifier, kernel


def test_a_tree_is_watched_as_a_whole_until_a_change_was_not_told(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    waker = Waker()
    tree = TreeNotifier([str(tmp_path)], waker)
    try:
        assert not tree.complete
        assert tree.renew()
        for directory in (tmp_path, tmp_path / "project"):
            tree.watch(str(directory), 0)
        (tmp_path / "project" / "a.jsonl").write_text("x")
        assert select.select([waker.fileno()], [], [], ENOUGH_SECONDS)[0]
        deadline, told = time.monotonic() + ENOUGH_SECONDS, set[str]()
        while str(tmp_path / "project" / "a.jsonl") not in told:
            assert time.monotonic() < deadline
            told.update(tree.take().files)
        tree.doubt("b.jsonl")
        assert not tree.complete
        assert not tree.renew(), "it is tried again after a while"
    finally:
        tree.stop()


def test_of_too_many_directories_the_latest_are_watched() -> None:
    notifier, kernel = limited(10)
    paths = [Path(f"/p/{(number * 7) % 30:02}") for number in range(30)]
    notifier.begin_round()
    for path in paths:
        notifier.watch(str(path), int(path.name))
    notifier.end_round()
    assert sorted(kernel.watched.values()) == [f"/p/{number}" for number in range(20, 30)]
    assert not notifier.complete


def test_a_directory_that_is_written_to_takes_the_place_of_the_longest_silent() -> None:
    notifier, kernel = limited(3)
    name_all(notifier, *(Path(f"/p/{number}") for number in range(5)))
    notifier.watch("/p/3", 90)
    notifier.watch("/p/0", 100)
    notifier.watch("/p/1", 101)
    assert set(kernel.watched.values()) == {"/p/3", "/p/0", "/p/1"}


def test_what_was_left_out_and_is_gone_is_of_no_account() -> None:
    notifier, _ = limited(3)
    name_all(notifier, *(Path(f"/p/{number}") for number in range(4)))
    states = [notifier.complete]
    name_all(notifier, *(Path(f"/p/{number}") for number in range(1, 4)))
    assert [*states, notifier.complete] == [False, True]


def test_the_choice_of_whom_to_watch_grows_with_the_directories() -> None:
    def seconds(number: int) -> float:
        fake = Counting(number // 2)
        notifier = DirectoryNotifier(make=lambda: fake)
        notifier.renew()
        began = time.thread_time()
        for each in range(number):
            notifier.watch(f"/p/{each}", each)
        return time.thread_time() - began

    seconds(1_000)
    once, twice = (min(seconds(number) for _ in range(3)) for number in (10_000, 20_000))
    assert twice < 3.5 * once


class Counting(Limited):
    """The same, without a search of its own."""

    def add(self, path: str) -> int:
        if len(self.watched) >= self.limit:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.made += 1
        self.watched[self.made] = path
        return self.made


def test_until_a_round_has_ended_nothing_is_known_to_be_left_out() -> None:
    notifier, _ = limited(2)
    states = [(notifier.in_use, notifier.complete)]
    notifier.begin_round()
    for number in range(3):
        notifier.watch(f"/p/{number}", number)
        states.append((notifier.in_use, notifier.complete))
    assert states == [(True, False)] * 3 + [(False, False)]
    name_all(notifier, Path("/p/1"))
    assert (notifier.in_use, notifier.complete) == (True, True)


def test_lost_notifications_are_told() -> None:
    notifier, kernel = limited(3)
    kernel.notices.append(Notice(-1, OVERFLOW, b""))
    assert notifier.take().lost
    assert not notifier.take().lost


def test_no_instance_leaves_nothing_open_and_is_tried_again_after_a_pause(tmp_path: Path) -> None:
    tries: list[None] = []

    def make() -> Inotify:
        tries.append(None)
        raise OSError(errno.EMFILE, "Too many open files")

    notifier = DirectoryNotifier(make=make)
    for _ in range(100):
        assert not notifier.renew()
        name_all(notifier, tmp_path)
    assert (len(tries), notifier.complete) == (1, False)


def test_an_instance_that_watches_no_more_is_kept_and_leaks_nothing(tmp_path: Path) -> None:
    class Full(Inotify):
        def add(self, path: str) -> int:
            raise OSError(errno.ENOSPC, f"No space left on device: {path}")

    notifier = DirectoryNotifier(make=Full)
    begun(notifier, tmp_path)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(50):
        notifier.renew()
        name_all(notifier, tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    notifier.stop()
    assert len(os.listdir("/proc/self/fd")) == before - 1  # noqa: PTH208
