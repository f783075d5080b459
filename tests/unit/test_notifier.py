"""Notifications: hints that are trusted until one is found to be missing."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_headspace.source.notifier import Notifier, Waker

ENOUGH_SECONDS = 20.0


@pytest.fixture
def waker() -> Waker:
    return Waker()


@pytest.fixture
def notifier(tmp_path: Path, waker: Waker) -> Iterator[Notifier]:
    made = Notifier([str(tmp_path / "projects")], waker, doubt_seconds=0.05)
    yield made
    made.stop()


def files_noted(notifier: Notifier, waker: Waker, path: Path) -> bool:
    deadline = time.monotonic() + ENOUGH_SECONDS
    while time.monotonic() < deadline:
        if str(path) in notifier.take().files:
            return True
        select.select([waker], [], [], 0.1)
        waker.clear()
    return False


def test_a_directory_that_comes_later_is_watched(
    notifier: Notifier, waker: Waker, tmp_path: Path
) -> None:
    assert notifier.renew() == []
    (tmp_path / "projects").mkdir()
    assert notifier.renew() == [str(tmp_path / "projects")]
    path = tmp_path / "projects" / "a.jsonl"
    path.write_text("x")
    assert files_noted(notifier, waker, path)
    assert notifier.complete


def test_a_directory_that_was_replaced_is_watched_again(
    notifier: Notifier, waker: Waker, tmp_path: Path
) -> None:
    root = tmp_path / "projects"
    root.mkdir()
    notifier.renew()
    root.rename(tmp_path / "old")
    root.mkdir()
    assert notifier.renew() == [str(root)]
    (root / "b.jsonl").write_text("x")
    assert files_noted(notifier, waker, root / "b.jsonl")


def test_a_doubt_lasts_until_a_new_observer_watches(
    notifier: Notifier, waker: Waker, tmp_path: Path
) -> None:
    root = tmp_path / "projects"
    root.mkdir()
    notifier.renew()
    notifier.doubt("some path")
    states = [notifier.complete]
    deadline = time.monotonic() + ENOUGH_SECONDS
    while not notifier.renew():
        assert time.monotonic() < deadline
    assert [*states, notifier.complete] == [False, True]
    (root / "c.jsonl").write_text("x")
    assert files_noted(notifier, waker, root / "c.jsonl")


def test_without_notifications_nothing_is_complete(tmp_path: Path, waker: Waker) -> None:
    notifier = Notifier([str(tmp_path)], waker, enabled=False)
    assert notifier.renew() == []
    assert not notifier.complete
