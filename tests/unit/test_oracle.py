from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lines import joined, queue
from oracle import turns_below, turns_of_lines
from said import CLIENTS, Conversation, in_one_file
from turn_cases import CASES, SESSION, Turn, file_of, turns_due


def turns_of_oracle(lines: list[bytes]) -> list[Turn]:
    found = turns_of_lines(lines)
    return [(turn.session, turn.actor, turn.text, turn.timestamp) for turn in found]


@pytest.mark.parametrize("name", CASES)
def test_the_second_opinion_is_that_of_a_person(name: str) -> None:
    found = turns_of_oracle(file_of(CASES[name]))
    assert sorted(found, key=lambda turn: turn[3]) == turns_due(CASES[name])


def test_a_queued_prompt_stands_where_it_left_the_queue() -> None:
    found = turns_of_oracle(file_of(CASES["queued, in operations only"]))
    assert [turn[2] for turn in found][2:8] == [
        "first", "second", "Well.", "goes ahead", "Well.", "waits",
    ]  # fmt: skip


def test_two_prompts_of_one_moment_are_two_turns_and_a_repeated_line_is_none(
    tmp_path: Path,
) -> None:
    operations = [
        queue(SESSION, "enqueue", content="a"),
        queue(SESSION, "enqueue", content="b"),
        queue(SESSION, "remove"),
        queue(SESSION, "remove"),
    ]
    (tmp_path / "x.jsonl").write_bytes(joined(*operations, *operations))
    (tmp_path / "._x.jsonl").write_bytes(b"\0\5\x16\7")
    assert Counter(turn.text for turn in turns_below(tmp_path).values()) == {"a": 1, "b": 1}


@pytest.mark.parametrize("client", [*CLIENTS, None])
def test_of_conversations_made_up_it_knows_what_was_said(client: str | None) -> None:
    for seed in range(150):
        made_up = Conversation(seed, client)
        found = turns_of_oracle(made_up.lines)
        assert Counter(found) == Counter(made_up.turns), f"Conversation({seed}, {client!r})"


def test_two_sessions_in_one_file_do_not_touch_each_other() -> None:
    for seed in range(50):
        first, second = Conversation(seed), Conversation(seed + 1000)
        found = turns_of_oracle(in_one_file(first, second, seed))
        assert Counter(found) == Counter(first.turns + second.turns), seed
