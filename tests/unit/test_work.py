"""What a line says of tools and usage; nothing odd in it fails the line."""

from __future__ import annotations

from typing import Any

import pytest

import lines
from claude_headspace.events.work import Work
from claude_headspace.transcripts.parsed import Other, Turn
from claude_headspace.transcripts.transcript import Transcript

SESSION = lines.new_session()


def work(line: bytes) -> list[Work | None]:
    parsed = Transcript().parse(line, 0)
    assert all(isinstance(found, (Turn, Other)) for found in parsed)
    return [found.work for found in parsed if isinstance(found, (Turn, Other))]


def answer(usage: Any, *blocks: Any) -> lines.Record:
    record = lines.assistant(SESSION, list(blocks) or [lines.tool_use()])
    record["message"]["usage"] = usage
    return record


@pytest.mark.parametrize(
    "usage",
    [None, 5, "much", [], {"input_tokens": "many"}, {"input_tokens": -1}, {"input_tokens": 1e300}],
)
def test_odd_usage_is_left_out(usage: Any) -> None:
    (found,) = work(lines.raw(answer(usage)))
    assert found is not None
    assert (found.usage, [each.tool for each in found.calls]) == (None, ["Bash"])


@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_use", "id": 5, "name": "Bash", "input": {}},
        {"type": "tool_use", "id": "t"},
        {"type": "tool_use", "id": "t", "name": {"a": 1}},
        {"type": "tool_result", "content": {"no": ["list"]}, "is_error": "maybe"},
        {"type": "image", "id": [], "name": 1, "content": 7, "input": "x", "is_error": {}},
        {"type": 9, "attributionSkill": {"name": None}},
    ],
)
def test_odd_blocks_are_left_out(block: Any) -> None:
    (found,) = work(lines.raw(answer({"output_tokens": 5}, block, lines.text("said"))))
    assert found is not None
    assert found.calls == ()
    assert found.usage is not None
    assert found.usage.output == 5
    assert work(lines.raw(lines.user(SESSION, [block]))) == [None]


def test_both_records_of_a_damaged_line_tell() -> None:
    one, other = answer({"output_tokens": 1}), answer({"output_tokens": 2})
    found = work(lines.raw(one) + lines.raw(other))
    assert [each and each.usage and each.usage.output for each in found] == [1, 2]
    assert [bytes(each.calls[0].input) for each in found if each] == [b'{"command": "ls"}'] * 2


def test_names_fit_into_an_index() -> None:
    block = {"type": "tool_use", "id": "\0" + "t" * 5000, "name": "n" * 5000, "input": 1}
    (found,) = work(lines.raw(answer(None, block)))
    assert found is not None
    assert (len(found.calls[0].id), len(found.calls[0].tool)) == (200, 200)
    assert found.calls[0].id.startswith("\N{REPLACEMENT CHARACTER}t")


@pytest.mark.parametrize(
    ("content", "more", "outcome"),
    [
        ("fine", {}, "ok"),
        ('{"interrupted":true}', {}, "ok"),
        ("killed", {"toolUseResult": {"stdout": "", "interrupted": True}}, "interrupted"),
        ("Exit code 1\nno", {"is_error": True}, "error"),
        ("Exit code 137\n[Request interrupted by user for tool use]\n", {"is_error": True},
         "interrupted"),
        ("[Request interrupted by user for tool use]", {"is_error": True}, "interrupted"),
        ([lines.text("The user doesn't want to take this action right now.")], {"is_error": True},
         "denied"),
        ("Permission to use Bash with command ls has been denied.", {"is_error": True}, "denied"),
        ("anything", {"is_error": True, "toolDenialKind": "automode-blocked"}, "denied"),
        ("anything", {"is_error": True, "toolDenialKind": "cancelled"}, "interrupted"),
        ("anything", {"is_error": True, "toolDenialKind": 7}, "error"),
        (None, {"is_error": True}, "error"),
    ],
)  # fmt: skip
def test_how_a_call_ended(content: Any, more: dict[str, Any], outcome: str) -> None:
    error = more.pop("is_error", False)
    block = {"type": "tool_result", "tool_use_id": "t", "content": content, "is_error": error}
    (found,) = work(lines.raw(lines.user(SESSION, [block], **more)))
    assert found is not None
    assert [each.outcome for each in found.results] == [outcome]
