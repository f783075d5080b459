from __future__ import annotations

from claude_headspace.supervision.beats import Beat
from claude_headspace.supervision.hangs import (
    FIRST_BEAT_SECONDS,
    SILENCE_SECONDS,
    HangDetector,
)

BEAT = Beat(pid=7, doing="work", seconds=0.1, limit=3.0)
LATE = Beat(pid=7, doing="list /slow", seconds=20.6, limit=20.0, overdue=True)


def test_the_first_process_has_as_long_for_its_first_beat() -> None:
    detector = HangDetector()
    assert not detector.is_stuck(1e9)
    detector.started(0)
    assert not detector.is_stuck(FIRST_BEAT_SECONDS - 0.01)
    assert detector.is_stuck(FIRST_BEAT_SECONDS)
    assert not detector.ever_heard


def test_silence_after_a_beat() -> None:
    detector = HangDetector()
    detector.beat(BEAT, 10)
    assert not detector.is_stuck(10 + SILENCE_SECONDS - 0.01)
    assert detector.is_stuck(10 + SILENCE_SECONDS)
    assert detector.explain() == "stuck: no heartbeat for 3 s; last activity: work"


def test_what_is_overdue_is_stuck_though_it_beats() -> None:
    detector = HangDetector()
    detector.beat(LATE, 10)
    assert detector.is_stuck(10)
    assert detector.explain() == "stuck: list /slow has taken 20.6 s (limit: 20 s)"
    detector.beat(BEAT, 11)
    assert not detector.is_stuck(11)


def test_a_new_process_has_longer_for_its_first_beat() -> None:
    detector = HangDetector()
    detector.beat(LATE, 0)
    detector.gone()
    assert not detector.is_stuck(1e9)
    detector.started(100)
    assert not detector.is_stuck(100 + FIRST_BEAT_SECONDS - 0.01)
    assert detector.is_stuck(100 + FIRST_BEAT_SECONDS)
    assert detector.explain() == "stuck: no heartbeat for 30 s"


def test_forgiving_begins_the_wait_anew_but_arms_nothing() -> None:
    detector = HangDetector()
    detector.forgive(0)
    assert detector.deadline is None
    detector.beat(LATE, 0)
    detector.forgive(50)
    assert not detector.is_stuck(50)
    assert detector.is_stuck(50 + SILENCE_SECONDS)
