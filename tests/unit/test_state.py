"""What a session does, by what the log says of it last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from claude_headspace.read.state import LastFacts, OpenCall, derive_state

NOW = datetime(2026, 2, 7, 15, 41, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def call(tool: str, seconds: float, **values: Any) -> OpenCall:
    return OpenCall(tool, ago(seconds), **values)


ASKED = {"prompted_at": ago(600), "last_line_at": ago(200)}
CASES: dict[str, tuple[dict[str, Any], str, float, str]] = {
    "ended": ({**ASKED, "ended_at": ago(10), "end_reason": "timeout"}, "ended", 10, "no line"),
    "started, nothing asked": ({"started_at": ago(30)}, "turn", 30, "nothing asked yet"),
    "asked, no line yet": ({"prompted_at": ago(9), "last_line_at": ago(9)}, "work", 9, ""),
    "a call is out": ({**ASKED, "open_calls": (call("Bash", 200),)}, "work", 200, ""),
    "a subagent's call is out": (
        {**ASKED, "open_calls": (call("Task", 250), call("Grep", 200, subagent="a1"))},
        "work", 200, "",
    ),
    "asks": ({**ASKED, "open_calls": (call("AskUserQuestion", 200),)}, "needs", 200, "no answer"),
    "asks for long": (
        {"prompted_at": ago(4000), "last_line_at": ago(3000),
         "open_calls": (call("AskUserQuestion", 3000),)},
        "needs", 3000, "no answer",
    ),
    "wants its plan approved": (
        {**ASKED, "open_calls": (call("Read", 220), call("ExitPlanMode", 200))},
        "needs", 200, "no answer",
    ),
    "wants permission": (
        {**ASKED, "notified_at": ago(199), "notification": "permission_prompt",
         "message": "Claude needs your permission to use Bash",
         "open_calls": (call("Bash", 200),)},
        "needs", 199, "Claude needs your permission to use Bash",
    ),
    "wants permission, a subagent goes on": (
        {**ASKED, "last_line_at": ago(1), "notified_at": ago(199), "message": "m",
         "notification": "permission_prompt", "open_calls": (call("Bash", 200),)},
        "needs", 199, "m",
    ),
    "permission was given": (
        {**ASKED, "last_line_at": ago(20), "notified_at": ago(199), "message": "m",
         "notification": "permission_prompt"},
        "work", 600, "",
    ),
    "another call since permission was given": (
        {**ASKED, "last_line_at": ago(20), "notified_at": ago(199), "message": "m",
         "notification": "permission_prompt", "open_calls": (call("Edit", 20),)},
        "work", 20, "",
    ),
    "the client says it waits": (
        {**ASKED, "notified_at": ago(140), "notification": "idle_prompt", "message": "is waiting"},
        "turn", 140, "is waiting",
    ),
    "reply ended, by its stop reason": (
        {**ASKED, "answered_at": ago(200), "stopped_at": ago(200), "stop_reason": "end_turn"},
        "turn", 200, "reply ended (end_turn)",
    ),
    "reply ended, by hook or system line": (
        {**ASKED, "answered_at": ago(200), "over_at": ago(199)}, "turn", 199, "reply ended",
    ),
    "reply ended, the next is asked": (
        {"prompted_at": ago(5), "last_line_at": ago(5), "over_at": ago(199),
         "stopped_at": ago(200), "stop_reason": "end_turn"},
        "work", 5, "",
    ),
    "stopped for a tool": (
        {**ASKED, "stopped_at": ago(200), "stop_reason": "tool_use"}, "work", 600, "",
    ),
    "interrupted": ({**ASKED, "interrupted_at": ago(200)}, "turn", 200, "you interrupted it"),
    "interrupted, and went on": (
        {**ASKED, "interrupted_at": ago(250), "stopped_at": ago(200), "stop_reason": "tool_use"},
        "work", 600, "",
    ),
    "old client: words and quiet": (
        {**ASKED, "answered_at": ago(200)}, "turn", 200, "silent since its answer",
    ),
    "old client: words just now": (
        {**ASKED, "answered_at": ago(20), "last_line_at": ago(20)}, "work", 600, "",
    ),
    "stalled in a call": (
        {"prompted_at": ago(900), "last_line_at": ago(709),
         "open_calls": (call("Bash", 709, limit_seconds=15),)},
        "stalled", 709, "although its limit of 15 s has passed",
    ),
    "stalled in thought": (
        {"prompted_at": ago(900), "last_line_at": ago(301)}, "stalled", 301, "No line since",
    ),
    "not yet stalled": ({"prompted_at": ago(900), "last_line_at": ago(299)}, "work", 900, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_state_has_its_reason_and_its_time(name: str) -> None:
    facts, kind, seconds, reason = CASES[name]
    state = derive_state(LastFacts(**facts), NOW)
    assert (state.kind, state.since) == (kind, ago(seconds))
    assert reason in state.reason
