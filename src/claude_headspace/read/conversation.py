"""The conversation of a session: its prompts and their replies, in the transcript's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import TypeAlias

from claude_headspace.read.connection import IS_TURN, Reader
from claude_headspace.read.exchange import Exchange, Item, Step, Stray, TurnRow
from claude_headspace.read.lines import Thought, Transcripts
from claude_headspace.read.outline import Outline, Prompt
from claude_headspace.read.tools import Call, calls_between

_TURNS = (
    "SELECT id, timestamp, payload->>'actor', payload->>'text', payload->>'subagent_id',"
    " payload->>'prompt_source', annotations->>'copy_of', retracted_at IS NOT NULL, source_id,"
    f" source_offset FROM events WHERE agent_id = %(agent)s AND {IS_TURN}"
    " AND ((id >= %(first)s AND id < %(after)s AND payload->>'subagent_id' IS NULL)"
    # A subagent's file may be read long after the session's: its turns go by time.
    " OR ((%(start)s::timestamptz IS NULL OR timestamp >= %(start)s)"
    " AND (%(end)s::timestamptz IS NULL OR timestamp < %(end)s)"
    " AND payload->>'subagent_id' IS NOT NULL)) ORDER BY id"
)
_LAST = 2**63 - 1
STARTING_TOOLS = ("Task", "Agent")


Entry: TypeAlias = TurnRow | Call | Thought


def read_page(
    reader: Reader, agent_id: int, outline: Outline, number: int, files: Transcripts | None = None
) -> list[Exchange]:
    """The exchanges of a page of the outline (see `Outline.pages`), from 0.

    Thinking is read from the transcripts, if they are given.
    """
    pages = outline.pages
    page = pages[number] if pages else ()
    # Everything before the first prompt belongs to the first page.
    begin = page[0] if number else None
    after = pages[number + 1][0] if number + 1 < len(pages) else None
    start, end = begin.at if begin else None, after.at if after else None
    asked = {
        "agent": agent_id, "first": begin.id if begin else 0, "after": after.id if after else _LAST,
        "start": start, "end": end,
    }  # fmt: skip
    rows = reader.fetch(TurnRow, _TURNS, asked)
    turns = [turn for turn in rows if not turn.retracted and not turn.copy_of]
    calls = calls_between(reader, agent_id, start, end)
    thoughts = _thoughts(files, [*turns, *calls], last=after is None) if files else []
    entries = _in_order(turns, calls, thoughts)
    parts = _split(
        [entry for entry in entries if entry.subagent is None],
        {prompt.id: prompt for prompt in page},
    )
    inner = _inner([entry for entry in entries if entry.subagent is not None], parts, files)
    return [_exchange(part, inner) for part in parts if part.said or part.entries]


@dataclass(slots=True)
class _Part:
    """A prompt, and everything up to the next one."""

    prompt: Prompt | None
    said: TurnRow | None
    entries: list[Entry]
    strays: dict[str, list[Entry]] = field(default_factory=dict)


def _split(entries: Sequence[Entry], prompts: Mapping[int, Prompt]) -> list[_Part]:
    parts = [_Part(None, None, [])]
    for entry in entries:
        if isinstance(entry, TurnRow) and entry.id in prompts:
            parts.append(_Part(prompts[entry.id], entry, []))
        else:
            parts[-1].entries.append(entry)
    return parts


def _thoughts(
    files: Transcripts, entries: Sequence[TurnRow | Call], *, last: bool
) -> list[Thought]:
    """The thinking between the first and the last turn or call, by file."""
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
    turns: Sequence[TurnRow], calls: Sequence[Call], thoughts: Sequence[Thought]
) -> list[Entry]:
    """Ordered by place in the file, the files by their first turn; else by time."""
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
    """What each subagent did, by the id of the call that started it, according to the result; else
    by the first open call when it began.
    """
    subagents: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda each: each.at):
        subagents.setdefault(entry.subagent or "", []).append(entry)
    every = [*(entry for part in parts for entry in part.entries), *entries]
    calls = [entry for entry in every if isinstance(entry, Call)]
    starting = [call for call in calls if call.tool in STARTING_TOOLS] if subagents else []
    told = {_started(files, call): call for call in starting} if files else {}
    inner: dict[str, list[Entry]] = {}
    placed: list[str | None] = [None]  # a subagent is started by one that is placed already
    for name, did in subagents.items():
        call = told.get(name) or next(
            (c for c in starting if c.at <= did[0].at <= (c.ended_at or did[0].at)), None
        )
        if call is not None and call.id not in inner and call.subagent in placed:
            starting.remove(call)
            inner[call.id] = did
        else:
            _part_of(parts, did[0].at).strays[name] = did
        placed.append(name)
    return inner


def _started(files: Transcripts, call: Call) -> str:
    """The subagent that a call started, by the line of its result."""
    result = files.result(call).get("toolUseResult")
    return str(result.get("agentId", "")) if isinstance(result, dict) else ""


def _part_of(parts: Sequence[_Part], moment: datetime) -> _Part:
    """The part during which something began."""
    asked = [part for part in parts if part.prompt is not None and part.prompt.at <= moment]
    return asked[-1] if asked else parts[0]


def _exchange(part: _Part, inner: Mapping[str, Sequence[Entry]]) -> Exchange:
    entries = [*part.entries]
    for did in part.strays.values():
        entries += did
    for entry in entries:  # it grows by those of subagents
        entries += inner.get(entry.id, ()) if isinstance(entry, Call) else ()
    calls = [entry for entry in entries if isinstance(entry, Call)]
    ends = [call.ended_at or call.at for call in calls]
    ends += [entry.at for entry in entries if isinstance(entry, TurnRow)]
    items = _items(part.entries, inner)
    items += tuple(Stray(name, _items(did, inner)) for name, did in part.strays.items())
    return Exchange(
        part.prompt, part.said, items, max(ends, default=None), len(calls),
        sum(call.failed for call in calls), sum(call.outcome is None for call in calls),
    )  # fmt: skip


def _items(entries: Sequence[Entry], inner: Mapping[str, Sequence[Entry]]) -> tuple[Item, ...]:
    """Texts one by one, calls in runs; a subagent's work inside the call that started it."""
    items: list[Item] = []
    for is_call, run in groupby(entries, lambda entry: isinstance(entry, Call)):
        if is_call:
            calls = [entry for entry in run if isinstance(entry, Call)]
            items.append(tuple(Step(call, _items(inner.get(call.id, ()), inner)) for call in calls))
        else:
            items += [entry for entry in run if not isinstance(entry, Call)]
    return tuple(items)
