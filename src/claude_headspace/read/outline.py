"""The outline of a session: its prompts in order."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import accumulate
from operator import itemgetter
from typing import Any, NamedTuple

from claude_headspace.read.connection import IS_TURN, Reader
from claude_headspace.read.session_facts import LineCache
from claude_headspace.read.state import NEVER

PAGE_TURNS = 30
PAGE_PROMPTS = 30
PAUSE_SECONDS = 600
FIRST_WORDS = 160
_OUTLINE = (
    "SELECT id, timestamp, actor, CASE WHEN actor = 'user' THEN left(text, %s) END, subagent,"
    " parent, copy_of, retracted FROM (SELECT id, timestamp, payload->>'actor' AS actor,"
    " payload->>'text' AS text, payload->>'subagent_id' AS subagent,"
    " payload->>'parent_uuid' AS parent, annotations->>'copy_of' AS copy_of,"
    " retracted_at IS NOT NULL AS retracted FROM events WHERE agent_id = %s"
    f" AND {IS_TURN}) turn ORDER BY id"
)
_CALLS = (
    "SELECT c.started_at, c.ended_at, c.outcome IS NOT DISTINCT FROM 'error' FROM tool_calls c"
    " JOIN agents a ON a.session_uuid = c.session_uuid WHERE a.id = %s ORDER BY c.started_at"
)


# A session continues with a line; its other changes show a little later.
_AGE = (
    "SELECT last_seen_at, (SELECT max(id) FROM events WHERE agent_id = a.id) FROM agents a"
    " WHERE id = %s"
)
KNOWN_SECONDS = 30.0
MOST_KNOWN = 16


class _CallTimes(NamedTuple):
    start: datetime
    end: datetime | None
    failed: bool


@dataclass(slots=True)
class Prompt:
    """One line of the outline. `pause`: seconds of silence before it, if it was long.

    `turns`: the number of turns up to the next prompt. `abandoned`: the user went back to before
    this prompt.
    """

    number: int
    id: int
    at: datetime
    words: str
    pause: float | None = None
    failed: int = 0
    turns: int = 0
    abandoned: bool = False


@dataclass(frozen=True)
class Outline:
    """All prompts, the number of turns copied from each session, and of retracted turns."""

    prompts: tuple[Prompt, ...]
    copies: tuple[tuple[str, int], ...] = ()
    retracted: int = 0

    @cached_property
    def pages(self) -> list[tuple[Prompt, ...]]:
        """The prompts of each page."""
        pages: list[list[Prompt]] = []
        room = 0
        for prompt in self.prompts:
            if not pages or room < prompt.turns or len(pages[-1]) >= PAGE_PROMPTS:
                pages.append([])
                room = PAGE_TURNS
            pages[-1].append(prompt)
            room -= prompt.turns
        return [tuple(page) for page in pages]


_known = LineCache[tuple[Any, ...], Outline](MOST_KNOWN)


def read_outline(reader: Reader, agent_id: int) -> Outline:
    """Every prompt of a session; copied and retracted turns are only counted."""
    last = reader.first(_AGE, [agent_id]) or ()
    age = agent_id, time.monotonic() // KNOWN_SECONDS, *last
    return _known.of([age], lambda new: {age: _read(reader, agent_id) for age in new})[age]


def _read(reader: Reader, agent_id: int) -> Outline:
    prompts: list[Prompt] = []
    copies: Counter[str] = Counter()
    retracted, last_at = 0, NEVER
    parents: dict[str, int] = {}
    calls = reader.fetch(_CallTimes, _CALLS, [agent_id])
    # When the last of the first n calls was over, for every n.
    ends = [NEVER, *accumulate((max(call.start, call.end or NEVER) for call in calls), max)]
    for event_id, at, actor, words, subagent, parent, copy_of, gone in reader.rows(
        _OUTLINE, [FIRST_WORDS, agent_id]
    ):
        if gone:
            retracted += 1
        elif copy_of:
            copies[copy_of] += 1
        elif actor == "user" and subagent is None:
            before = max(last_at, ends[bisect_right(calls, at, key=itemgetter(0))])
            silence = (at - before).total_seconds() if before > NEVER else 0.0
            pause = silence if silence >= PAUSE_SECONDS else None
            prompts.append(Prompt(len(prompts) + 1, event_id, at, words, pause))
            _abandon(prompts, parents, parent)
        elif prompts and subagent is None:
            prompts[-1].turns += 1
        last_at = max(at, last_at)
    starts = [prompt.at for prompt in prompts]
    for call in calls:
        if call.failed and (number := bisect_right(starts, call.start)):
            prompts[number - 1].failed += 1
    return Outline(tuple(prompts), tuple(copies.items()), retracted)


def _abandon(prompts: list[Prompt], parents: dict[str, int], parent: str | None) -> None:
    """Of two prompts that follow the same line, the user abandoned the earlier one."""
    if parent is None:
        return
    for prompt in prompts[parents.get(parent, len(prompts) - 1) : -1]:
        prompt.abandoned = True
    parents[parent] = len(prompts) - 1
