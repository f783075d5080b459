from __future__ import annotations

import random

import pytest

from claude_headspace.source.discovery import Sighting
from claude_headspace.watcher.agenda import Agenda, Waiting


def sighting(path: str, mtime_ns: int, size: int = 10) -> Sighting:
    return Sighting(path, 1, 2, size, mtime_ns)


def test_what_just_happened_comes_in_order_and_once() -> None:
    agenda = Agenda()
    for path in ("a", "b", "a"):
        agenda.add_fresh(path)
    assert [agenda.take_fresh() for _ in range(3)] == ["a", "b", None]


def test_of_what_waits_the_newest_comes_first() -> None:
    agenda = Agenda()
    for path, mtime_ns in (("old", 1), ("new", 9), ("middle", 5)):
        agenda.add_seen(sighting(path, mtime_ns))
    agenda.add_backlog("old", Waiting(7, 3))
    assert [agenda.take_backlog() for _ in range(4)] == ["new", "old", "middle", None]


def test_a_file_read_to_its_end_is_left_alone_until_it_changes() -> None:
    agenda = Agenda()
    seen = sighting("a", 1)
    assert agenda.add_seen(seen)
    assert agenda.take_backlog() == "a"
    agenda.settle("a", seen.stamp)
    assert not agenda.add_seen(seen)
    assert agenda.add_seen(sighting("a", 2))
    assert agenda.add_seen(sighting("a", 1, size=11))
    agenda.unsettle("a")
    assert agenda.add_seen(seen)


@pytest.mark.parametrize("seed", range(30))
def test_every_path_is_taken_as_often_as_it_was_due(seed: int) -> None:
    """Whatever the order of adding and taking: none is forgotten, none comes twice."""
    dice, agenda = random.Random(seed), Agenda()
    waiting: set[str] = set()
    for _ in range(300):
        path = f"p{dice.randrange(8)}"
        if dice.random() < 0.6:
            agenda.add_backlog(path, Waiting(dice.randrange(5), 1))
            waiting.add(path)
        else:
            taken = agenda.take_backlog()
            assert (taken in waiting) if waiting else (taken is None), f"seed {seed}"
            waiting.discard(str(taken))
    while (taken := agenda.take_backlog()) is not None:
        waiting.remove(taken)
    assert not waiting


def test_what_is_queued_is_expected() -> None:
    agenda = Agenda()
    agenda.add_fresh("fresh")
    agenda.add_backlog("waiting", Waiting(1, 1))
    assert agenda.expects("fresh")
    assert agenda.expects("waiting")
    assert not agenda.expects("settled")
