from __future__ import annotations

from claude_headspace.supervision.beats import Beat
from claude_headspace.supervision.stuck import FIRST_BEAT_SECONDS, SILENCE_SECONDS, Pulse

BEAT = Beat(pid=7, doing="work", seconds=0.1, limit=3.0)
LATE = Beat(pid=7, doing="list /slow", seconds=20.6, limit=20.0, overdue=True)


def test_the_first_process_has_as_long_for_its_first_beat() -> None:
    pulse = Pulse()
    assert not pulse.is_stuck(1e9)
    pulse.started(0)
    assert not pulse.is_stuck(FIRST_BEAT_SECONDS - 0.01)
    assert pulse.is_stuck(FIRST_BEAT_SECONDS)
    assert not pulse.ever_heard


def test_silence_after_a_beat() -> None:
    pulse = Pulse()
    pulse.beat(BEAT, 10)
    assert not pulse.is_stuck(10 + SILENCE_SECONDS - 0.01)
    assert pulse.is_stuck(10 + SILENCE_SECONDS)
    assert pulse.explain() == "stuck: no heartbeat for 3 s; last activity: work"


def test_what_is_overdue_is_stuck_though_it_beats() -> None:
    pulse = Pulse()
    pulse.beat(LATE, 10)
    assert pulse.is_stuck(10)
    assert pulse.explain() == "stuck: list /slow has taken 20.6 s (limit: 20 s)"
    pulse.beat(BEAT, 11)
    assert not pulse.is_stuck(11)


def test_a_new_process_has_longer_for_its_first_beat() -> None:
    pulse = Pulse()
    pulse.beat(LATE, 0)
    pulse.gone()
    assert not pulse.is_stuck(1e9)
    pulse.started(100)
    assert not pulse.is_stuck(100 + FIRST_BEAT_SECONDS - 0.01)
    assert pulse.is_stuck(100 + FIRST_BEAT_SECONDS)
    assert pulse.explain() == "stuck: no heartbeat for 30 s"


def test_forgiving_begins_the_wait_anew_but_arms_nothing() -> None:
    pulse = Pulse()
    pulse.forgive(0)
    assert pulse.deadline is None
    pulse.beat(LATE, 0)
    pulse.forgive(50)
    assert not pulse.is_stuck(50)
    assert pulse.is_stuck(50 + SILENCE_SECONDS)
