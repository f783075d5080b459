"""What fails is tried again with pauses that grow, to an end, and begin anew after a success."""

from __future__ import annotations

import pytest

from claude_headspace.errors import DatabaseRefused, DatabaseUnavailable, StateUnusable
from claude_headspace.quarantine import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    NUDGED_SECONDS,
    Quarantine,
    summary,
)
from claude_headspace.watcher.error_boundary import Boundary


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def pause_of(quarantine: Quarantine[str], clock: Clock) -> float:
    assert quarantine.next_due is not None
    return quarantine.next_due - clock.now


def test_pauses_grow_to_an_end_and_begin_anew() -> None:
    clock = Clock()
    quarantine: Quarantine[str] = Quarantine(clock)
    pauses = []
    for _ in range(40):
        quarantine.put("a", "bad")
        pauses.append(pause_of(quarantine, clock))
        clock.now += pauses[-1]
        assert quarantine.due() == ["a"]
    assert pauses[:3] == [FIRST_PAUSE_SECONDS * factor for factor in (1, 2, 4)]
    assert set(pauses[10:]) == {LONGEST_PAUSE_SECONDS}
    quarantine.release("a")
    assert (quarantine.due(), quarantine.next_due, bool(quarantine)) == ([], None, False)
    quarantine.put("a", "bad")
    assert pause_of(quarantine, clock) == FIRST_PAUSE_SECONDS


def test_news_of_it_shorten_a_long_pause_and_no_more() -> None:
    clock = Clock()
    quarantine: Quarantine[str] = Quarantine(clock)
    for _ in range(20):
        quarantine.put("a", "bad")
    quarantine.nudge("a")
    quarantine.nudge("unknown")
    assert pause_of(quarantine, clock) == NUDGED_SECONDS
    assert quarantine.holds("a")
    clock.now += NUDGED_SECONDS
    assert not quarantine.holds("a")


def test_the_first_few_are_named_and_all_are_counted() -> None:
    assert summary("files", {}) is None
    reasons = {f"/{number}": "denied" for number in range(5)}
    assert summary("files", reasons) == "files (5): /0: denied; /1: denied; /2: denied and 2 more"


class Bounded:
    """A boundary, and what it called."""

    def __init__(self) -> None:
        self.quarantine: Quarantine[str] = Quarantine()
        self.calls: list[str] = []
        self.boundary = Boundary(
            self.quarantine,
            learn_anew=lambda: self.calls.append("learn anew"),
            count_death=lambda: self.calls.append("count death"),
        )

    def run(self, error: BaseException | None) -> str | None:
        def work() -> str:
            if error is not None:
                raise error
            return "done"

        return self.boundary.run("/a", work)


@pytest.mark.parametrize(
    ("error", "reason", "calls"),
    [
        (PermissionError(13, "Permission denied", "/a"), "Permission denied", ["learn anew"]),
        (DatabaseRefused("out of range", "22003"), "out of range", ["learn anew"]),
        (
            OverflowError("too large"),
            "OverflowError: too large",
            ["count death", "learn anew"],
        ),
        (KeyError("x"), "KeyError: 'x'", ["count death", "learn anew"]),
    ],
)
def test_a_fault_costs_its_own_source(error: Exception, reason: str, calls: list[str]) -> None:
    it = Bounded()
    assert it.run(error) is None
    assert it.quarantine.reasons == {"/a": reason}
    assert it.calls == calls
    assert it.run(None) == "done"
    assert it.quarantine.reasons == {}


@pytest.mark.parametrize(
    "error",
    [DatabaseUnavailable("away"), StateUnusable("full"), MemoryError(), KeyboardInterrupt()],
)
def test_what_concerns_everything_passes(error: BaseException) -> None:
    it = Bounded()
    with pytest.raises(type(error)):
        it.run(error)
    assert (it.quarantine.reasons, it.calls) == ({}, [])


def test_work_of_no_one_source_is_put_off() -> None:
    it = Bounded()

    def fail() -> None:
        it.calls.append("tried")
        raise OSError(5, "Input/output error")

    for _ in range(3):
        it.boundary.run_when_due("the inbox", fail)
    assert it.calls == ["tried", "learn anew"]
    assert it.boundary.put_off == {"the inbox": "Input/output error"}
