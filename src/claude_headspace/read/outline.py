"""The prompts of a session, in order: what it is read by."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from typing import TypeAlias

from claude_headspace.read.connection import Reader
from claude_headspace.read.tools import call_times

PAGE_TURNS = 60
PAGE_PROMPTS = 30
PAUSE_SECONDS = 600
FIRST_WORDS = 160
_OUTLINE = (
    "SELECT id, timestamp, actor, CASE WHEN actor = 'user' THEN left(text, %s) END, subagent,"
    " parent, copy_of, retracted FROM (SELECT id, timestamp, payload->>'actor' AS actor,"
    " payload->>'text' AS text, payload->>'subagent_id' AS subagent,"
    " payload->>'parent_uuid' AS parent, annotations->>'copy_of' AS copy_of,"
    " retracted_at IS NOT NULL AS retracted FROM events WHERE agent_id = %s"
    " AND event_type = 'turn_detected') turn ORDER BY id"
)
CallTimes: TypeAlias = tuple[datetime, datetime | None, bool]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One line of the outline. `pause`: seconds of silence before it, where they are many.

    `turns`: how many there are up to the next prompt. `abandoned`: the conversation went back to
    before it.
    """

    number: int
    id: int
    at: datetime
    words: str
    pause: float | None = None
    failed: int = 0
    turns: int = 0
    abandoned: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    """All prompts, how many turns are copies of which session, and how many were retracted."""

    prompts: tuple[Prompt, ...]
    copies: tuple[tuple[str, int], ...] = ()
    retracted: int = 0

    def pages(self) -> list[tuple[Prompt, ...]]:
        """The prompts that are shown together."""
        pages: list[list[Prompt]] = []
        room = 0
        for prompt in self.prompts:
            if not pages or room < prompt.turns or len(pages[-1]) >= PAGE_PROMPTS:
                pages.append([])
                room = PAGE_TURNS
            pages[-1].append(prompt)
            room -= prompt.turns
        return [tuple(page) for page in pages]


def read_outline(reader: Reader, agent_id: int) -> Outline:
    """Every prompt of a session; what was copied or retracted is counted beside them."""
    prompts: list[Prompt] = []
    copies: dict[str, int] = {}
    retracted, last_at = 0, None
    parents: dict[str, int] = {}
    calls = call_times(reader, agent_id)
    ends = _latest_ends(calls)
    for event_id, at, actor, words, subagent, parent, copy_of, gone in reader.rows(
        _OUTLINE, [FIRST_WORDS, agent_id]
    ):
        if gone:
            retracted += 1
        elif copy_of:
            copies[copy_of] = copies.get(copy_of, 0) + 1
        elif actor == "user" and subagent is None:
            pause = _long(at, last_at, ends[bisect_right(calls, at, key=itemgetter(0))])
            prompts.append(Prompt(len(prompts) + 1, event_id, at, words, pause))
            _abandon(prompts, parents, parent)
        elif prompts and subagent is None:
            prompts[-1] = replace(prompts[-1], turns=prompts[-1].turns + 1)
        last_at = max(at, last_at or at)
    return Outline(_with_failures(prompts, calls), tuple(copies.items()), retracted)


def _latest_ends(calls: Sequence[CallTimes]) -> list[datetime | None]:
    """When the last of the first n calls was over, for every n."""
    ends: list[datetime | None] = [None]
    for out, back, _ in calls:
        ends.append(max(filter(None, (ends[-1], out, back))))
    return ends


def _long(at: datetime, *before: datetime | None) -> float | None:
    """The silence before a prompt, if it was one."""
    last = max((moment for moment in before if moment is not None), default=at)
    seconds = (at - last).total_seconds()
    return seconds if seconds >= PAUSE_SECONDS else None


def _abandon(prompts: list[Prompt], parents: dict[str, int], parent: str | None) -> None:
    """Two prompts that follow the same line: the person went back, and the earlier is no more."""
    if parent is None:
        return
    first = parents.get(parent)
    if first is not None:
        for number in range(first, len(prompts) - 1):
            prompts[number] = replace(prompts[number], abandoned=True)
    parents[parent] = len(prompts) - 1


def _with_failures(prompts: Sequence[Prompt], calls: Sequence[CallTimes]) -> tuple[Prompt, ...]:
    counts = [0] * (len(prompts) + 1)
    starts = [prompt.at for prompt in prompts]
    for out, _, failed in calls:
        counts[bisect_right(starts, out)] += failed
    return tuple(replace(each, failed=counts[number]) for number, each in enumerate(prompts, 1))
