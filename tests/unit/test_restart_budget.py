from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from claude_headspace.supervision.restart_budget import RestartBudget

steps = st.lists(st.floats(min_value=0, max_value=70, allow_nan=False), max_size=60)
limits = st.integers(min_value=1, max_value=8)


def play(limit: int, pauses: list[float]) -> tuple[list[float], list[float]]:
    """Crashes after these pauses: the moments that were granted, and those refused."""
    budget = RestartBudget(limit, 60)
    granted: list[float] = []
    refused: list[float] = []
    now = 0.0
    for pause in pauses:
        now += pause
        if budget.is_spent(now):
            refused.append(now)
        else:
            budget.grant(now)
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
    budget = RestartBudget(limit, 60)
    now = 0.0
    for pause in pauses:
        now += pause
        copy = RestartBudget(limit, 60, reversed(budget.granted()))
        assert copy.is_spent(now) == budget.is_spent(now)
        assert copy.used(now) == budget.used(now)
        if not budget.is_spent(now):
            assert copy.grant(now) == budget.grant(now)


def test_crashes_every_thirteen_seconds_are_all_granted() -> None:
    granted, refused = play(5, [13.0] * 100)
    assert len(granted) == 100
    assert refused == []
