"""Searching what was said and done; hits are grouped by session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from claude_headspace.cli.access import all_pages, configured, open_reader
from claude_headspace.cli.command import command, filters, flag, json_output, limit
from claude_headspace.cli.naming import SHORT_ID, session_by_name
from claude_headspace.cli.sessions import JSON_LINES, age, resuming
from claude_headspace.cli.terminal import (
    announce,
    fit,
    local_time,
    paint,
    print_json,
    print_lines,
    printable,
    terminal_width,
    wrapped,
    zone_told,
)
from claude_headspace.errors import BadQuestion
from claude_headspace.web.words import counted, project_name, waited

if TYPE_CHECKING:
    from claude_headspace.read.connection import Reader
    from claude_headspace.read.query import Hit, SearchScope
    from claude_headspace.read.sessions import Session

SHOWN_OF_SESSION = 5
BEHIND_SECONDS = 10


@command(
    "search",
    "claude-headspace search lint parser",
    "claude-headspace search 'exit code' --tools --since 1w",
    "claude-headspace search -- cache -redis",
)
@click.argument("words", metavar="WORDS...", nargs=-1, required=True)
@flag("--tools", "search the input and output of tools instead")
@flag("--everything", "search what was said, thinking, and the input and output of tools")
@flag("--prompts", "search only your prompts")
@flag("--plain", "search for exactly this text, in any case")
@filters("session project host since until", "hits")
@limit(100)
@json_output(JSON_LINES)
def search(limit: int | None, *, in_json: bool, session: str | None, **asked: Any) -> int:
    """Search what was said; hits are grouped by session, newest first.

    A hit contains all words. An argument of several words is a phrase, `begin*` matches longer
    words, and after `--`, `-word` excludes a word. Each session is shown with the command that
    resumes it. Exit status 1: nothing was found.
    """
    with open_reader(configured()) as reader:
        chosen = session_by_name(reader, session).uuid if session else None
        if asked["tools"] or asked["everything"]:
            announce("Reading transcripts. This takes a while; --since shortens it.")
        try:
            hits = list(islice(_found(reader, limit, session=chosen, **asked), limit))
        except BadQuestion as error:
            told = str(error).removeprefix("q: ")
            raise click.UsageError(f"{' '.join(asked['words'])!r} {told}") from error
        if in_json:
            print_json(hits)
        elif hits:
            print_lines(_by_session(reader, hits))
        else:
            print(f"Nothing was found{_unless_behind(reader)}.")
    return 0 if hits else 1


def _unless_behind(reader: Reader) -> str:
    """The search index may not contain the newest turns yet."""
    from claude_headspace.read.search import seconds_behind

    behind = seconds_behind(reader)
    if behind < BEHIND_SECONDS:
        return ""
    return f"; the search index is {waited(behind)} behind (--plain does not use it)"


def _found(
    reader: Reader, limit: int | None, words: Sequence[str], *, tools: bool, everything: bool,
    prompts: bool, plain: bool, **asked: Any,
) -> Iterator[Hit]:  # fmt: skip
    from heapq import merge

    from claude_headspace.read.query import SearchQuestion
    from claude_headspace.read.search import search as ask

    if tools + everything + prompts > 1:
        raise click.UsageError("--tools, --everything and --prompts exclude one another")
    scopes: tuple[SearchScope, ...] = ("prompts",) if prompts else ("turns",)
    if tools or everything:
        scopes = ("inputs", "outputs") if tools else ("turns", "inputs", "outputs", "thinking")
    typed = (
        " ".join(words)
        if plain
        else " ".join(f'"{word}"' if " " in word and '"' not in word else word for word in words)
    )
    questions = [
        SearchQuestion(typed, match="plain" if plain else "words", where=where, **asked)
        for where in scopes
    ]
    pages = [all_pages(ask, reader, each, limit) for each in questions]
    return merge(*pages, key=lambda hit: hit.timestamp, reverse=True)


def _by_session(reader: Reader, hits: Sequence[Hit]) -> Iterator[str]:
    from claude_headspace.read.sessions import find_sessions

    yield from zone_told()
    groups: dict[str, list[Hit]] = {}
    for hit in hits:
        groups.setdefault(hit.session, []).append(hit)
    agents = {hit.agent_id for hit in hits if hit.agent_id is not None}
    known = find_sessions(reader, agents)
    for uuid, members in groups.items():
        yield from _group(uuid, known.get(members[0].agent_id or 0), members)


def _group(uuid: str, session: Session | None, hits: Sequence[Hit]) -> Iterator[str]:
    title = (session and session.title) or hits[0].project or "-"
    yield fit(f"{uuid[:SHORT_ID]}  {title}", bold=True)
    if session:
        where = project_name(session.project, session.directory)
        told = f"{where}, {age(session.last_line_at)} ago, {counted(len(hits), 'hit')}"
        yield fit(f"  {told}")
    for hit in sorted(hits, key=lambda each: -each.score)[:SHOWN_OF_SESSION]:
        yield ""
        yield fit(f"  {local_time(hit.timestamp)}  {hit.actor}", dim=True)
        yield from _passage(hit)
    if session:
        yield from ("", f"  {resuming(session)}")
    yield ""


def _passage(hit: Hit) -> Iterator[str]:
    """The passage with found words highlighted; wrapped first, since highlighting has no width."""
    text = printable("".join(piece for piece, _ in hit.passage))
    found = {printable(piece) for piece, marked in hit.passage if marked}
    for line in wrapped(text, terminal_width(), "    "):
        for piece in found:
            line = line.replace(piece, paint(piece, fg="yellow", bold=True))
        yield line
