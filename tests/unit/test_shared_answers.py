"""Open pages share answers: none is made twice at a time, and none is kept for long."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from claude_headspace.web.shared_answers import REUSED_FOR, REUSED_IN_BACKLOG, SharedAnswers

PAGES = 10
WAIT_SECONDS = 10.0
MOST_VIEWS = 64


class Rendering:
    """A clock that is set by hand, and an answer that takes two seconds of it."""

    COST = 2.0

    def __init__(self) -> None:
        self.now = 0.0
        self.made = 0

    def make(self) -> str:
        self.now += self.COST
        self.made += 1
        return str(self.made)


def test_an_answer_is_used_again_for_as_long_as_it_was_dear() -> None:
    rendering = Rendering()
    answers = SharedAnswers(lambda: rendering.now)
    assert answers.answer("now", rendering.make) == "1"
    rendering.now += REUSED_FOR * Rendering.COST - 0.01
    assert answers.answer("now", rendering.make) == "1"
    rendering.now += 0.02
    assert answers.answer("now", rendering.make) == "2"


def test_while_a_backlog_is_read_an_answer_is_used_longer() -> None:
    rendering = Rendering()
    answers = SharedAnswers(lambda: rendering.now)
    assert answers.answer("now", rendering.make, REUSED_IN_BACKLOG) == "1"
    rendering.now += REUSED_IN_BACKLOG * Rendering.COST - 0.01
    assert answers.answer("now", rendering.make) == "1"
    rendering.now += 0.02
    assert answers.answer("now", rendering.make) == "2"


def test_views_share_nothing_with_each_other() -> None:
    rendering = Rendering()
    answers = SharedAnswers(lambda: rendering.now)
    assert answers.answer("now", rendering.make) == "1"
    assert answers.answer("sessions", rendering.make) == "2"


def test_pages_that_ask_at_once_wait_for_one_answer() -> None:
    rendering = Rendering()
    answers = SharedAnswers(lambda: rendering.now)
    begun, may_end = threading.Event(), threading.Event()

    def make() -> str:
        begun.set()
        assert may_end.wait(WAIT_SECONDS)
        return rendering.make()

    with ThreadPoolExecutor(PAGES) as threads:
        first = threads.submit(answers.answer, "now", make)
        assert begun.wait(WAIT_SECONDS)
        others = [threads.submit(answers.answer, "now", make) for _ in range(PAGES - 1)]
        may_end.set()
        assert {each.result(WAIT_SECONDS) for each in (first, *others)} == {"1"}


def test_an_error_is_not_kept() -> None:
    rendering = Rendering()
    answers = SharedAnswers(lambda: rendering.now)

    def fail() -> str:
        raise ValueError

    for _ in range(2):
        try:
            answers.answer("now", fail)
        except ValueError:
            continue
        raise AssertionError("no error was raised")
    assert answers.answer("now", rendering.make) == "1"


def test_views_that_nobody_asks_for_are_let_go() -> None:
    rendering = Rendering()
    answers = SharedAnswers(lambda: rendering.now)
    for number in range(5 * MOST_VIEWS):
        answers.answer(str(number), rendering.make)
    assert len(answers._views) <= MOST_VIEWS
