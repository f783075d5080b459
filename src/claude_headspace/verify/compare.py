"""Comparing a turn in a file with its event in the log."""

from __future__ import annotations

import re
from typing import Any

from claude_headspace.events.event import storable
from claude_headspace.events.taxonomy import TURN_DETECTED
from claude_headspace.transcripts.outcomes import Turn
from claude_headspace.verify.logged import EventOfTurn

_REDACTED = re.compile(r"\[redacted:[^\]\s]+\]")


def differences(turn: Turn, logged: EventOfTurn) -> list[str]:
    """The names of the fields in which the event differs from the line."""
    expected, stored = turn.payload(), logged.payload
    names = [*expected, *(name for name in stored if name not in expected)]
    found = [n for n in names if not _agrees(n, expected.get(n), stored.get(n), turn, logged)]
    wrong = {
        "event_type": logged.event_type != TURN_DETECTED,
        "timestamp": logged.timestamp != turn.timestamp,
        "retracted_at": logged.retracted,
        "agent_id": logged.agent_session not in (None, str(turn.session)),
        "project_id": logged.project_of_agent not in (None, logged.project_id),
    }
    return found + [name for name, is_wrong in wrong.items() if is_wrong]


def _agrees(name: str, expected: Any, stored: Any, turn: Turn, logged: EventOfTurn) -> bool:
    if not isinstance(expected, str) or not isinstance(stored, str):
        return bool(expected == stored)
    expected = storable(expected)[0]
    # A prompt without a line of its own may have been redacted while it waited.
    if name == "text" and (turn.uuid is None or logged.annotations.get("redacted")):
        return is_redacted_form(expected, stored)
    return bool(expected == stored)


def is_redacted_form(original: str, redacted: str) -> bool:
    """Whether the text is the original, possibly with parts replaced by markers."""
    if original == redacted:
        return True
    first, *rest = _REDACTED.split(redacted)
    if not rest or not original.startswith(first):
        return False
    *middle, last = rest
    at, end = len(first), len(original) - len(last)
    for piece in middle:
        found = original.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return at <= end and original.endswith(last)
