"""The answers as text for a model, of limited size, with directions to continue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from claude_headspace.errors import BadQuestion
from claude_headspace.health.units import counted
from claude_headspace.read.connection import Reader
from claude_headspace.read.conversation import read_page
from claude_headspace.read.exchange import ConversationItem, Wanted, items_of
from claude_headspace.read.outline import Outline, read_outline
from claude_headspace.read.query import Hit, SearchQuestion
from claude_headspace.read.search import search
from claude_headspace.read.selection import paths_named
from claude_headspace.read.sessions import (
    Session,
    SessionQuestion,
    find_sessions,
    list_sessions,
    session_named,
)
from claude_headspace.read.usage import DailyWork, work_between

# A client accepts about 25,000 tokens, and warns about more than 10,000.
MOST_CHARACTERS = 24_000
LONGEST_TEXT = 6_000
ROWS = 20
MOST_DAYS = 92
_WHO = {"prompt": "Person", "answer": "Claude", "declining": "Person", "thought": "Claude"}


def found_words(reader: Reader, asked: SearchQuestion) -> str:
    """Turns or tool calls that match a search."""
    page = search(reader, asked)
    known = find_sessions(reader, (hit.agent_id for hit in page.rows))
    lines = [_hit(hit, known.get(hit.agent_id or 0)) for hit in page.rows]
    return _list(lines, "Nothing was found.", page.next)


def _hit(hit: Hit, session: Session | None) -> str:
    passage = " ".join("".join(text for text, _ in hit.passage).split())
    title = f" ({session.title})" if session and session.title else ""
    return (
        f"- {_moment(hit.timestamp)} {hit.actor}, session {hit.session}{title},"
        f" {hit.project or 'unknown project'}: {passage}"
    )


def sessions(reader: Reader, asked: SessionQuestion) -> str:
    """Sessions, the newest first."""
    page = list_sessions(reader, asked)
    return _list([_session(each) for each in page.rows], "No session matches.", page.next)


def _session(session: Session) -> str:
    turns = counted(session.done.turns, "turn")
    return (
        f"- {session.uuid}: {session.title or 'without a title'}; {session.state.kind}, {turns},"
        f" last {_moment(session.last_line_at)}, {session.project}"
    )


def conversation(reader: Reader, name: str, begin: str) -> str:
    """A session from a place on: `12` is the twelfth prompt, `12.40` the 40th item after it."""
    prompt, skipped = _position(begin)
    session = session_named(reader, name)
    outline = read_outline(reader, session.id)
    prompts = counted(len(outline.prompts), "prompt")
    about = f"Session {session.uuid}, {session.project}, {session.state.kind}, {prompts}."
    told = [f"# {session.title or session.uuid}\n\n{about}\n"]
    size = len(told[0])
    for number, at, each in _said_from(reader, session, outline, prompt):
        if number == prompt and at < skipped:
            continue
        text = _said(each)
        if size + len(text) > MOST_CHARACTERS:
            told.append(f"\nThere is more: continue with begin={number}.{at}")
            break
        told.append(text)
        size += len(text)
    return "".join(told)


def _position(begin: str) -> tuple[int, int]:
    prompt, _, at = begin.partition(".")
    if not (prompt.isdecimal() and (at or "0").isdecimal()) or len(begin) > 20:
        raise BadQuestion(
            "begin", f"{begin!r} is not a place: give 1, or the place that an answer named"
        )
    return int(prompt), int(at or 0)


def _said_from(
    reader: Reader, session: Session, outline: Outline, prompt: int
) -> Iterator[tuple[int, int, ConversationItem]]:
    """The number of the prompt, the number of the item after it, and the item."""
    telling = Wanted(None, session.directory, subagents=True)
    for page, prompts in enumerate(outline.pages or [()]):
        if prompts and prompts[-1].number < prompt:
            continue
        for exchange in read_page(reader, session.id, outline, page):
            number = exchange.prompt.number if exchange.prompt else 0
            if number >= prompt or (number == 0 and prompt <= 1):
                for at, each in enumerate(items_of(exchange, telling)):
                    yield number, at, each


def _said(each: ConversationItem) -> str:
    if each.kind == "tool":
        return f"{'  ' * each.depth}- {each.tool}: {each.line}\n"
    text = each.text.strip()
    if len(text) > LONGEST_TEXT:
        left = f"… ({len(text) - LONGEST_TEXT} more characters)"
        text = f"{text[:LONGEST_TEXT]}{left}"
    who = "Subagent" if each.depth else _WHO[each.kind]
    return f"\n## {who}, {_moment(each.at)}\n\n{text}\n\n"


def work_done(reader: Reader, project: str | None, since: datetime, until: datetime) -> str:
    """The work between two moments, by day and session."""
    if not since < until or until - since > timedelta(days=MOST_DAYS):
        raise BadQuestion("since", f"must be before until, by at most {MOST_DAYS} days")
    worked = work_between(reader, since, until)
    known = find_sessions(reader, (each.agent_id for each in worked))
    paths = paths_named(reader, project) if project else None
    lines = [
        _worked(each, known[each.agent_id])
        for each in worked
        if each.agent_id in known and (paths is None or known[each.agent_id].project in paths)
    ]
    return _list(lines, "No work was recorded in that time.", None)


def _worked(each: DailyWork, session: Session) -> str:
    long = counted(round(each.seconds / 60), "minute")
    return (
        f"- {each.day}: {session.title or 'without a title'}; {long},"
        f" {counted(each.prompts, 'prompt')}, {counted(each.calls, 'tool call')},"
        f" {each.failed} failed; session {session.uuid}, {session.project}"
    )


def _list(lines: Sequence[str], nothing: str, following: str | None) -> str:
    """As many lines as fit."""
    told, size = list[str](), 0
    for line in lines:
        size += len(line) + 1
        if size > MOST_CHARACTERS:
            told.append(
                f"({len(lines) - len(told)} more: narrow the query, for example to a shorter time)"
            )
            break
        told.append(line)
    if following and len(told) == len(lines):
        told.append(f"There is more: call again with cursor={following}")
    return "\n".join(told) or nothing


def _moment(at: datetime | None) -> str:
    return at.astimezone().isoformat(" ", "minutes") if at else "unknown"
