from __future__ import annotations

from collections import Counter

import pytest

from code_turns import turns_of_code
from said import CLIENTS, Conversation, in_one_file
from turn_cases import CASES, file_of, turns_due


@pytest.mark.parametrize("name", CASES)
def test_the_turns_are_what_was_said(name: str) -> None:
    assert Counter(turns_of_code(file_of(CASES[name]))) == Counter(turns_due(CASES[name]))


@pytest.mark.parametrize("client", [*CLIENTS, None])
def test_the_turns_of_conversations_made_up_are_what_was_said(client: str | None) -> None:
    for seed in range(150):
        made_up = Conversation(seed, client)
        found = turns_of_code(made_up.lines)
        assert Counter(found) == Counter(made_up.turns), f"Conversation({seed}, {client!r})"


def test_two_sessions_in_one_file_do_not_touch_each_other() -> None:
    for seed in range(50):
        first, second = Conversation(seed), Conversation(seed + 1000)
        found = turns_of_code(in_one_file(first, second, seed))
        assert Counter(found) == Counter(first.turns + second.turns), seed
