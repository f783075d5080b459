"""Since when writes fail, and what ends it."""

from __future__ import annotations

import pytest

from claude_headspace.store.results import WriteCounters, WriteOutcome, WriteResult


def failing() -> WriteCounters:
    counters = WriteCounters()
    counters.count(WriteResult("failed", error="away"))
    return counters


def test_it_begins_with_the_first_failure() -> None:
    counters = failing()
    since = counters.failing_since
    assert since is not None
    counters.count(WriteResult("failed", error="away"))
    assert counters.failing_since == since


@pytest.mark.parametrize("outcome", ["written", "again", "duplicate", "rejected"])
def test_whatever_postgres_does_with_an_event_ends_it(outcome: WriteOutcome) -> None:
    counters = failing()
    counters.count(WriteResult(outcome))
    assert counters.failing_since is None


def test_what_never_got_to_postgres_says_nothing_about_it() -> None:
    counters = failing()
    counters.count(WriteResult("rejected", error="no uuid", asked=False))
    assert counters.failing_since is not None


def test_nothing_left_to_write_ends_it() -> None:
    counters = failing()
    counters.at_rest()
    assert counters.failing_since is None
    assert counters.failed == 1
