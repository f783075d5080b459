from __future__ import annotations

from claude_headspace.supervision.stuck import FIRST_BEAT_SECONDS, SILENCE_SECONDS, SilenceTimer


def test_not_armed_before_anything_was_heard() -> None:
    timer = SilenceTimer()
    timer.started(0)
    assert not timer.is_silent(1e9)


def test_silence_after_a_beat() -> None:
    timer = SilenceTimer()
    timer.beat(10)
    assert not timer.is_silent(10 + SILENCE_SECONDS - 0.01)
    assert timer.is_silent(10 + SILENCE_SECONDS)


def test_a_new_process_has_longer_for_its_first_beat() -> None:
    timer = SilenceTimer()
    timer.beat(0)
    timer.gone()
    assert not timer.is_silent(1e9)
    timer.started(100)
    assert not timer.is_silent(100 + FIRST_BEAT_SECONDS - 0.01)
    assert timer.is_silent(100 + FIRST_BEAT_SECONDS)
    assert timer.limit_seconds == FIRST_BEAT_SECONDS


def test_forgiving_begins_the_wait_anew_but_arms_nothing() -> None:
    timer = SilenceTimer()
    timer.forgive(0)
    assert timer.deadline is None
    timer.beat(0)
    timer.forgive(50)
    assert not timer.is_silent(50)
    assert timer.is_silent(50 + SILENCE_SECONDS)
