"""The state of a session and its reason, derived from the latest facts in the log.

The page, the API and the command line use the same function; its test lists all cases.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from msgspec import Struct

Kind = Literal["needs", "turn", "work", "stalled", "ended"]
WORDS: dict[Kind, str] = {
    "needs": "Needs you", "turn": "Your turn", "work": "Working", "stalled": "Stalled",
    "ended": "Ended",
}  # fmt: skip

NEVER = datetime.min.replace(tzinfo=UTC)
STALLED_AFTER = timedelta(minutes=5)
# Old clients do not write why a reply stopped: then a text is the end after this much silence.
QUIET_AFTER = timedelta(seconds=60)
ASKING_TOOLS = {"AskUserQuestion": "question", "ExitPlanMode": "plan"}
IDLE_NOTIFICATION = "idle_prompt"
_ENDINGS = {
    "timeout": "no line for too long", "unregistered": "unregistered", "closed": "closed",
}  # fmt: skip
# Stop reasons after which the reply continues with a tool's result.
GOES_ON = ("tool_use", "pause_turn")


class OpenCall(Struct, frozen=True):
    """A tool call without a result yet; `telling` is its input in one line."""

    tool: str
    since: datetime
    telling: str = ""
    limit_seconds: float | None = None
    subagent: str | None = None
    asks: Any = None


class LastFacts(Struct, frozen=True):
    """The latest facts about one session; the newest of `open_calls` is last.

    `prompted_at`: the last prompt. `answered_at`: the last text of the main agent after it.
    `stopped_at`, `stop_reason`: the last reply of the model after it. `over_at`: when the client
    said that the turn is over (by a hook or a system line). `interrupted_at`: a call that the user
    stopped. `notified_at`: the last Notification hook.
    """

    last_line_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    started_at: datetime | None = None
    prompted_at: datetime | None = None
    answered_at: datetime | None = None
    stopped_at: datetime | None = None
    stop_reason: str | None = None
    over_at: datetime | None = None
    interrupted_at: datetime | None = None
    notified_at: datetime | None = None
    notification: str | None = None
    message: str | None = None
    open_calls: tuple[OpenCall, ...] = ()


class State(Struct, frozen=True):
    """What a session does, since when, and why we think so.

    `call` is the call that is open or asks; `asks` is "question" or "plan" if one waits.
    """

    kind: Kind
    since: datetime | None
    reason: str
    call: OpenCall | None = None
    asks: str = ""


def derive_state(facts: LastFacts, now: datetime) -> State:
    """The state at this moment."""
    if facts.ended_at is not None:
        return State("ended", facts.ended_at, _ENDINGS.get(facts.end_reason or "", ""))
    return _needs_you(facts) or _your_turn(facts, now) or _at_work(facts, now)


def _needs_you(facts: LastFacts) -> State | None:
    for asking in reversed(facts.open_calls):
        if asking.tool in ASKING_TOOLS:
            asks = ASKING_TOOLS[asking.tool]
            return State("needs", asking.since, "no answer yet", asking, asks)
    notified = facts.notified_at
    if notified is None or facts.notification == IDLE_NOTIFICATION:
        return None
    # It is unanswered if a call from before it is still open, or no line came after it.
    calls = facts.open_calls
    is_open = any(call.subagent is None and call.since <= notified for call in calls)
    if not is_open and max(facts.prompted_at or NEVER, facts.last_line_at or NEVER) > notified:
        return None
    call = calls[-1] if calls else None
    return State("needs", notified, facts.message or "Claude Code wants you", call)


def _your_turn(facts: LastFacts, now: datetime) -> State | None:
    begun = facts.prompted_at
    if begun is None:
        return State("turn", facts.started_at or facts.last_line_at, "nothing asked yet")
    stop = None if facts.stop_reason in GOES_ON else facts.stop_reason
    if (facts.over_at or NEVER) >= begun:
        return State("turn", facts.over_at, f"reply ended ({stop})" if stop else "reply ended")
    if facts.open_calls:
        return None
    if stop and (facts.stopped_at or NEVER) >= begun:
        return State("turn", facts.stopped_at, f"reply ended ({stop})")
    interrupted = facts.interrupted_at or NEVER
    if interrupted >= max(begun, facts.stopped_at or NEVER):
        return State("turn", interrupted, "you interrupted it")
    if facts.notification == IDLE_NOTIFICATION and (facts.notified_at or NEVER) >= begun:
        return State("turn", facts.notified_at, facts.message or "waits for your input")
    return _quiet(facts, begun, now)


def _quiet(facts: LastFacts, begun: datetime, now: datetime) -> State | None:
    answered, line = facts.answered_at or NEVER, facts.last_line_at
    if answered < begun or facts.stop_reason is not None:
        return None
    if line is None or now - line < QUIET_AFTER:
        return None
    return State("turn", answered, "silent since its answer")


def _at_work(facts: LastFacts, now: datetime) -> State:
    call = facts.open_calls[-1] if facts.open_calls else None
    line = facts.last_line_at or facts.prompted_at
    if line is not None and now - line >= STALLED_AFTER:
        limit = call.limit_seconds if call else None
        over = f", although its limit of {limit:g} s has passed" if limit else ""
        return State("stalled", line, f"No line since {line.astimezone():%H:%M:%S}{over}.", call)
    return State("work", call.since if call else facts.prompted_at, "", call)
