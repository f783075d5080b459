"""One session as people read it: its prompts, and what came of each, in the transcript's order."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Literal, TypeAlias

from claude_headspace.read.connection import Reader
from claude_headspace.read.lines import Thought, Transcripts
from claude_headspace.read.tools import Call, call_times, calls_between

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
_TURNS = (
    "SELECT id, timestamp, payload->>'actor', payload->>'text', payload->>'subagent_id',"
    " payload->>'prompt_source', annotations->>'copy_of', retracted_at IS NOT NULL, source_id,"
    " source_offset FROM events WHERE agent_id = %(agent)s AND event_type = 'turn_detected'"
    " AND ((id >= %(first)s AND id < %(after)s AND payload->>'subagent_id' IS NULL)"
    # A subagent's file may be read long after the session's: its turns go by time.
    " OR ((%(start)s::timestamptz IS NULL OR timestamp >= %(start)s)"
    " AND (%(end)s::timestamptz IS NULL OR timestamp < %(end)s)"
    " AND payload->>'subagent_id' IS NOT NULL)) ORDER BY id"
)
_LAST = 2**63 - 1
STARTING_TOOLS = ("Task", "Agent")


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


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody said."""

    id: int
    at: datetime
    actor: str
    text: str
    subagent: str | None
    prompt_source: str | None
    copy_of: str | None
    retracted: bool
    source_id: int | None
    offset: int | None


@dataclass(frozen=True, slots=True)
class Words:
    """Words of Claude, or of the person while a call waited (`declining`)."""

    turn: Turn
    kind: Literal["answer", "declining"] = "answer"


@dataclass(frozen=True, slots=True)
class Step:
    """A call, with what its subagent did; `words` are said when it was declined."""

    call: Call
    inner: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Stray:
    """What a subagent did of which it is not known what call started it."""

    subagent: str
    items: tuple[Item, ...]


Item: TypeAlias = Words | Thought | Stray | tuple[Step, ...]
Entry: TypeAlias = Turn | Call | Thought
CallTimes: TypeAlias = tuple[datetime, datetime | None, bool]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A prompt and all that came of it; without a prompt what stood before the first."""

    prompt: Prompt | None
    said: Turn | None
    items: tuple[Item, ...]
    last_at: datetime | None
    calls: int = 0
    failed: int = 0
    out: int = 0

    @property
    def seconds(self) -> float | None:
        """From the prompt to the last that is known of the reply."""
        if self.said is None or self.last_at is None:
            return None
        return max(0.0, (self.last_at - self.said.at).total_seconds())


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


def read_page(
    reader: Reader, agent_id: int, outline: Outline, number: int, files: Transcripts | None = None
) -> list[Exchange]:
    """The exchanges of a page of the outline (see `Outline.pages`), from 0.

    With the transcripts at hand, what was thought is read from them.
    """
    pages = outline.pages()
    if not pages:
        return _exchanges(reader, agent_id, (), (0, _LAST), (None, None), files)
    page = pages[number]
    after = pages[number + 1][0] if number + 1 < len(pages) else None
    # What stands before the first prompt belongs to the first page.
    ids = (0 if number == 0 else page[0].id, after.id if after else _LAST)
    times = (None if number == 0 else page[0].at, after.at if after else None)
    return _exchanges(reader, agent_id, page, ids, times, files)


def _exchanges(
    reader: Reader,
    agent_id: int,
    prompts: Sequence[Prompt],
    ids: tuple[int, int],
    times: tuple[datetime | None, datetime | None],
    files: Transcripts | None,
) -> list[Exchange]:
    asked = dict(zip(("first", "after", "start", "end"), (*ids, *times), strict=True))
    turns = reader.fetch(Turn, _TURNS, {"agent": agent_id, **asked})
    standing = [turn for turn in turns if not turn.retracted and not turn.copy_of]
    calls = calls_between(reader, agent_id, *times)
    thoughts = _thoughts(files, [*standing, *calls], last=ids[1] == _LAST) if files else []
    entries = _in_order(standing, calls, thoughts)
    parts = _split(
        [entry for entry in entries if entry.subagent is None],
        {prompt.id: prompt for prompt in prompts},
    )
    inner = _inner([entry for entry in entries if entry.subagent is not None], parts, files)
    return [_exchange(part, inner) for part in parts if part.said or part.entries]


@dataclass(slots=True)
class _Part:
    """A prompt and what stands between it and the next."""

    prompt: Prompt | None
    said: Turn | None
    entries: list[Entry]
    strays: dict[str, list[Entry]] = field(default_factory=dict)


def _split(entries: Sequence[Entry], prompts: Mapping[int, Prompt]) -> list[_Part]:
    parts = [_Part(None, None, [])]
    for entry in entries:
        prompt = prompts.get(entry.id) if isinstance(entry, Turn) else None
        if prompt is not None and isinstance(entry, Turn):
            parts.append(_Part(prompt, entry, []))
        else:
            parts[-1].entries.append(entry)
    return parts


def _thoughts(files: Transcripts, entries: Sequence[Turn | Call], *, last: bool) -> list[Thought]:
    """What was thought between the first and the last of what was said and done, by file."""
    found: list[Thought] = []
    places: dict[int, list[int]] = {}
    for entry in entries:
        if entry.source_id is not None and entry.offset is not None and entry.subagent is None:
            places.setdefault(entry.source_id, []).append(entry.offset)
    for source_id, offsets in places.items():
        end = _LAST if last else max(offsets)
        found += files.thoughts(source_id, min(offsets), end)
    return found


def _in_order(
    turns: Sequence[Turn], calls: Sequence[Call], thoughts: Sequence[Thought]
) -> list[Entry]:
    """By place in the file, the files in the order of what was said in them; else by time."""
    ranks: dict[int | None, int] = {}
    for turn in turns:
        ranks.setdefault(turn.source_id, len(ranks))
    entries: list[Entry] = [*turns, *calls, *thoughts]
    if all(entry.source_id in ranks and entry.offset is not None for entry in entries):
        return sorted(entries, key=lambda each: (ranks[each.source_id], each.offset or 0))
    return sorted(entries, key=lambda each: each.at)


def _inner(
    entries: Sequence[Entry], parts: Sequence[_Part], files: Transcripts | None
) -> dict[str, list[Entry]]:
    """What each subagent did, by the id of the call that started it, as its result says; without
    that, by the first call that was out when it began.
    """
    subagents: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda each: each.at):
        subagents.setdefault(entry.subagent or "", []).append(entry)
    calls = [entry for part in parts for entry in part.entries if isinstance(entry, Call)]
    starting = [call for call in calls if call.tool in STARTING_TOOLS] if subagents else []
    told = {_started(files, call): call for call in starting} if files else {}
    inner: dict[str, list[Entry]] = {}
    for name, did in subagents.items():
        call = told.get(name) or next((c for c in starting if _was_out(c, did[0].at)), None)
        if call is not None and call.id not in inner:
            starting.remove(call)
            inner[call.id] = did
        else:
            _part_of(parts, did[0].at).strays[name] = did
    return inner


def _started(files: Transcripts, call: Call) -> str:
    """The subagent that a call started, by the line of its result."""
    record = files.line(call.result_source_id, call.result_offset, call.result_length)
    result = record.get("toolUseResult")
    return str(result.get("agentId", "")) if isinstance(result, dict) else ""


def _was_out(call: Call, moment: datetime) -> bool:
    return call.at <= moment and (call.ended_at is None or moment <= call.ended_at)


def _part_of(parts: Sequence[_Part], moment: datetime) -> _Part:
    """The part during which something began."""
    asked = [part for part in parts if part.prompt is not None and part.prompt.at <= moment]
    return asked[-1] if asked else parts[0]


def _exchange(part: _Part, inner: Mapping[str, Sequence[Entry]]) -> Exchange:
    entries = [*part.entries]
    for entry in part.entries:
        entries += inner.get(entry.id, ()) if isinstance(entry, Call) else ()
    for did in part.strays.values():
        entries += did
    calls = [entry for entry in entries if isinstance(entry, Call)]
    ends = [call.ended_at or call.at for call in calls]
    ends += [entry.at for entry in entries if isinstance(entry, Turn)]
    items = _items(part.entries, inner)
    items += tuple(Stray(name, _items(did, {})) for name, did in part.strays.items())
    return Exchange(
        part.prompt, part.said, items, max(ends, default=None), len(calls),
        sum(call.failed for call in calls), sum(call.outcome is None for call in calls),
    )  # fmt: skip


def _items(entries: Sequence[Entry], inner: Mapping[str, Sequence[Entry]]) -> tuple[Item, ...]:
    """Words one by one, calls in runs; what a subagent did within the call that started it."""
    items: list[Item] = []
    for is_call, run in groupby(entries, lambda entry: isinstance(entry, Call)):
        if is_call:
            calls = [entry for entry in run if isinstance(entry, Call)]
            items.append(tuple(Step(call, _items(inner.get(call.id, ()), {})) for call in calls))
        else:
            items += [
                _words(each) if isinstance(each, Turn) else each
                for each in run
                if not isinstance(each, Call)
            ]
    return tuple(items)


def _words(turn: Turn) -> Words:
    return Words(turn, "declining" if turn.actor == "user" else "answer")
