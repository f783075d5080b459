"""What a turn in a file and its event in the log have to have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from claude_headspace.events.event import storable
from claude_headspace.events.position import LineCounts
from claude_headspace.events.taxonomy import TURN_DETECTED
from claude_headspace.source.transcript import Turn
from claude_headspace.verify.logged import LoggedTurn

_FIELDS = (
    "session_uuid", "actor", "text", "turn_timestamp", "line_uuid", "message_id", "subagent_id",
    "parent_uuid", "prompt_source", "entrypoint",
)  # fmt: skip
_REDACTED = re.compile(r"\[redacted:[^\]\s]+\]")


def differences(turn: Turn, logged: LoggedTurn) -> list[str]:
    """The names of the fields in which the event is not what the line says."""
    found = [
        name
        for name, expected in _expected(turn).items()
        if not _agrees(name, expected, logged.payload.get(name), logged)
    ]
    if logged.event_type != TURN_DETECTED:
        found.append("event_type")
    if logged.timestamp != turn.timestamp:
        found.append("timestamp")
    if logged.agent_session is not None and logged.agent_session != turn.session:
        found.append("agent_id")
    elif logged.project_of_agent not in (None, logged.project_id):
        found.append("project_id")
    return found


def _expected(turn: Turn) -> dict[str, str | None]:
    payload = turn.payload()
    return {name: payload.get(name) for name in _FIELDS}


def _agrees(name: str, expected: str | None, stored: Any, logged: LoggedTurn) -> bool:
    if expected is None or not isinstance(stored, str):
        return expected is None and stored is None
    expected = storable(expected)[0]
    if name == "text" and logged.annotations.get("redacted"):
        return is_redacted_form(expected, stored)
    return expected == stored


def is_redacted_form(original: str, redacted: str) -> bool:
    """Whether the text is the original with parts of it replaced by markers."""
    pieces = _REDACTED.split(redacted)
    if len(pieces) == 1:
        return original == redacted
    first, *middle, last = pieces
    if len(original) < len(first) + len(last):
        return False
    if not (original.startswith(first) and original.endswith(last)):
        return False
    at, end = len(first), len(original) - len(last)
    for piece in middle:
        found = original.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def contradictions(
    claimed: LineCounts, found: LineCounts, *, joined: int, coarse: bool, uncertain: int
) -> Iterator[str]:
    """Where the stored counts of a source are not what its settled lines are.

    `joined`: records beyond the first of their line; each may have been a line of its own when it
    was read, before the next one was written behind it. `coarse`: what kind a line was may have
    changed since (capture switched on or off for a session, limits, rejected lines written).
    `uncertain`: turns beside those found of which it is not known whether they were duplicates.
    """
    if not found.lines <= claimed.lines <= found.lines + joined:
        yield f"{claimed.lines} lines claimed, {found.lines} found"
    if coarse:
        total, counted = _total(claimed), _total(found) + uncertain
        if not counted <= total + joined or not total <= counted + joined:
            yield f"{total} records claimed, {counted} found"
        return
    yield from _turn_contradictions(claimed, found, uncertain)
    for what, claims, finds in (
        ("", claimed.other, found.other),
        (" rejected", claimed.rejected, found.rejected),
    ):
        for kind in sorted(claims.keys() | finds.keys()):
            if claims[kind] != finds[kind]:
                yield f"{claims[kind]} {kind}{what} claimed, {finds[kind]} found"


def _turn_contradictions(claimed: LineCounts, found: LineCounts, uncertain: int) -> Iterator[str]:
    if not found.turns <= claimed.turns <= found.turns + uncertain:
        yield f"{claimed.turns} turns claimed, {found.turns} found"
    claims = claimed.turns + claimed.duplicates
    finds = found.turns + found.duplicates + uncertain
    if claims != finds:
        yield f"{claims} turns and duplicates claimed, {finds} found"


def _total(counts: LineCounts) -> int:
    kinds = sum(counts.other.values()) + sum(counts.rejected.values())
    return counts.turns + counts.duplicates + kinds
