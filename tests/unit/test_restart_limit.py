from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from claude_headspace.supervision.restart_limit import RestartLimit

steps = st.lists(st.floats(min_value=0, max_value=70, allow_nan=False), max_size=60)
limits = st.integers(min_value=1, max_value=8)


def play(limit: int, pauses: list[float]) -> tuple[list[float], list[float]]:
    """Crashes after these pauses: the moments that were granted, and those refused."""
    restarts = RestartLimit(limit, 60)
    granted: list[float] = []
    refused: list[float] = []
    now = 0.0
    for pause in pauses:
        now += pause
        if restarts.is_spent(now):
            refused.append(now)
        else:
            restarts.grant(now)
            granted.append(now)
    return granted, refused


@given(limits, steps)
def test_never_more_than_the_limit_in_any_window(limit: int, pauses: list[float]) -> None:
    granted, _ = play(limit, pauses)
    for first in granted:
        assert sum(0 <= moment - first < 60 for moment in granted) <= limit


@given(limits, steps)
def test_refused_only_when_the_window_is_full(limit: int, pauses: list[float]) -> None:
    granted, refused = play(limit, pauses)
    for moment in refused:
        assert sum(one <= moment and moment - one < 60 for one in granted) == limit


@given(limits, steps)
def test_a_copy_made_from_its_memory_decides_the_same(limit: int, pauses: list[float]) -> None:
    restarts = RestartLimit(limit, 60)
    now = 0.0
    for pause in pauses:
        now += pause
        copy = RestartLimit(limit, 60, reversed(restarts.granted()))
        assert copy.is_spent(now) == restarts.is_spent(now)
        assert copy.used(now) == restarts.used(now)
        if not restarts.is_spent(now):
            assert copy.grant(now) == restarts.grant(now)


def test_crashes_every_thirteen_seconds_are_all_granted() -> None:
    granted, refused = play(5, [13.0] * 100)
    assert len(granted) == 100
    assert refused == []
