"""What is announced, and when it is late."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from claude_headspace.supervision.beats import Beat
from claude_headspace.watcher.liveness import WORK, Liveness


class Ear:
    def __init__(self) -> None:
        self.now = 100.0
        self.beats: list[Beat] = []
        self.liveness = Liveness(self.beats.append, work_seconds=3.0, clock=lambda: self.now)

    def tell(self, seconds: float = 0.0) -> Beat:
        """What is told after so long."""
        self.now += seconds
        self.liveness.tell()
        return self.beats[-1]


def test_the_loop_has_its_time_anew_with_every_beat() -> None:
    ear = Ear()
    for _ in range(10):
        ear.now += 2.0
        ear.liveness.beat()
        assert not ear.tell(0.9).overdue
    beat = ear.tell()
    assert (beat.doing, beat.limit) == (WORK, 3.0)
    assert round(beat.seconds, 3) == 0.9


def test_late_is_overdue_at_the_second_look_only() -> None:
    ear = Ear()
    assert not ear.tell(3.1).overdue
    assert ear.tell(0.1).overdue
    ear.liveness.beat()
    assert not ear.tell(0.1).overdue


def test_a_process_that_slept_as_a_whole_is_not_overdue() -> None:
    ear = Ear()
    for _ in range(3):
        assert not ear.tell(1000.0).overdue
        ear.liveness.beat()


def test_slow_and_announced_is_not_late_before_its_time() -> None:
    ear = Ear()
    with ear.liveness.doing("list /slow", 20.0):
        for _ in range(19):
            beat = ear.tell(1.0)
            assert not beat.overdue
        assert (beat.doing, beat.seconds, beat.limit) == ("list /slow", 19.0, 20.0)
        ear.tell(1.1)
        assert ear.tell(0.1).overdue
    assert not ear.tell().overdue


def test_a_beat_inside_begins_the_time_of_the_innermost_anew() -> None:
    ear = Ear()
    with ear.liveness.doing("list /slow", 20.0):
        for _ in range(5):
            ear.tell(15.0)
            assert not ear.tell(0.1).overdue
            ear.liveness.beat()
        with ear.liveness.doing("opening /slow/a", 5.0):
            assert ear.tell(4.0).doing == "opening /slow/a"
        beat = ear.tell(1.0)
        assert (beat.doing, beat.seconds) == ("list /slow", 1.0)
    assert ear.tell(1.0).doing == WORK
    assert ear.liveness.current().seconds == 1.0


def test_an_error_ends_the_current_work() -> None:
    ear = Ear()
    with pytest.raises(FileNotFoundError), ear.liveness.doing("opening /gone", 20.0):
        Path("/gone").stat()
    assert ear.tell().doing == WORK


def test_a_thread_tells_while_the_work_is_busy() -> None:
    heard = threading.Event()
    beats: list[Beat] = []

    def hear(beat: Beat) -> None:
        beats.append(beat)
        if beat.overdue:
            heard.set()

    liveness = Liveness(hear, interval_seconds=0.01, work_seconds=0.05)
    liveness.start()
    try:
        assert heard.wait(10), "a loop that does not beat was not noticed"
        assert not beats[0].overdue
    finally:
        liveness.stop()
