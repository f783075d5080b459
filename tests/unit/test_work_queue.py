from __future__ import annotations

import random

import pytest

from claude_headspace.discovery.listing import Sighting
from claude_headspace.discovery.work_queue import UnreadFile, WorkQueue


def sighting(path: str, mtime_ns: int, size: int = 10) -> Sighting:
    return Sighting(path, 1, 2, size, mtime_ns)


def test_what_just_happened_comes_in_order_and_once() -> None:
    work_queue = WorkQueue()
    for path in ("a", "b", "a"):
        work_queue.add_fresh(path)
    assert [work_queue.take_fresh() for _ in range(3)] == ["a", "b", None]


def test_of_what_waits_the_newest_comes_first() -> None:
    work_queue = WorkQueue()
    for path, mtime_ns in (("old", 1), ("new", 9), ("middle", 5)):
        work_queue.add_seen(sighting(path, mtime_ns))
    work_queue.add_backlog("old", UnreadFile(7, 3))
    assert [work_queue.take_backlog() for _ in range(4)] == ["new", "old", "middle", None]


def test_a_file_read_to_its_end_is_left_alone_until_it_changes() -> None:
    work_queue = WorkQueue()
    seen = sighting("a", 1)
    assert work_queue.add_seen(seen)
    assert work_queue.take_backlog() == "a"
    work_queue.finish("a", seen.stamp)
    assert not work_queue.add_seen(seen)
    assert work_queue.add_seen(sighting("a", 2))
    assert work_queue.add_seen(sighting("a", 1, size=11))
    work_queue.reopen("a")
    assert work_queue.add_seen(seen)


def test_an_empty_file_is_of_no_account_until_something_was_in_it() -> None:
    work_queue = WorkQueue()
    assert not work_queue.add_seen(sighting("new", 1, size=0))
    assert work_queue.add_seen(sighting("new", 2)), "it was written to"
    assert work_queue.add_seen(sighting("new", 3, size=0)), "it waits, and was truncated"
    assert work_queue.add_seen(sighting("committed", 1, size=0), committed_bytes=5)
    work_queue.finish("read", 1)
    assert work_queue.add_seen(sighting("read", 2, size=0))


@pytest.mark.parametrize("seed", range(30))
def test_every_path_is_taken_as_often_as_it_was_due(seed: int) -> None:
    """Whatever the order of adding and taking: none is forgotten, none comes twice."""
    dice, work_queue = random.Random(seed), WorkQueue()
    waiting: set[str] = set()
    for _ in range(300):
        path = f"p{dice.randrange(8)}"
        if dice.random() < 0.6:
            work_queue.add_backlog(path, UnreadFile(dice.randrange(5), 1))
            waiting.add(path)
        else:
            taken = work_queue.take_backlog()
            assert (taken in waiting) if waiting else (taken is None), f"seed {seed}"
            waiting.discard(str(taken))
    while (taken := work_queue.take_backlog()) is not None:
        waiting.remove(taken)
    assert not waiting


def test_what_is_queued_is_expected() -> None:
    work_queue = WorkQueue()
    work_queue.add_fresh("fresh")
    work_queue.add_backlog("waiting", UnreadFile(1, 1))
    assert work_queue.expects("fresh")
    assert work_queue.expects("waiting")
    assert not work_queue.expects("committed")
