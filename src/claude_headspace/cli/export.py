"""Exporting rows of the log, and whole conversations."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from claude_headspace.cli.access import all_pages, configured, open_reader
from claude_headspace.cli.command import command, filters, limit
from claude_headspace.cli.naming import known_session, project_paths, session_by_name
from claude_headspace.cli.show import as_markdown, conversation
from claude_headspace.cli.terminal import print_json

if TYPE_CHECKING:
    from claude_headspace.read.connection import Reader
    from claude_headspace.read.sessions import Session

WHAT = ("conversations", "events", "sessions", "tools", "usage")


@command(
    "export",
    "claude-headspace export events --since 30d --format csv > events.csv",
    "claude-headspace export conversations --project my-project --format markdown > all.md",
)
@click.argument("what", type=click.Choice(WHAT), help="what to export")
@click.option(
    "--format", "shape", type=click.Choice(("jsonl", "csv", "markdown")), default="jsonl",
    help="JSON Lines (default), CSV, or Markdown (conversations only)",
)  # fmt: skip
@filters("session project host since until")
@limit("all")
def export(what: str, shape: str, limit: int | None, session: str | None, **asked: Any) -> int:
    """Write events, sessions, tool calls, usage or conversations to standard output.

    The rows are those of the API, newest first; a conversation is in its own order. In CSV, an
    apostrophe precedes text that a spreadsheet would read as a formula.
    """
    if shape == "markdown" and what != "conversations":
        raise click.UsageError("--format markdown is for conversations")
    with open_reader(configured()) as reader:
        if what == "conversations":
            _write_conversations(reader, shape, _sessions(reader, limit, session, asked))
        else:
            asked["session"] = session and session_by_name(reader, session).uuid
            _write(_rows(reader, what, limit, asked), shape)
    return 0


def _rows(reader: Reader, what: str, limit: int | None, asked: dict[str, Any]) -> Iterator[Any]:
    from claude_headspace.read import events, listed, usage

    if what == "sessions":
        return map(listed.listed, _sessions(reader, limit, asked.pop("session"), asked))
    if what == "events":
        return all_pages(events.list_events, reader, events.EventQuestion(**asked), limit)
    if what == "tools":
        return all_pages(listed.list_calls, reader, listed.ToolQuestion(**asked), limit)
    if asked.pop("session"):
        raise click.UsageError(
            "usage takes no --session: see `claude-headspace usage --by session`"
        )
    return all_pages(usage.list_usage, reader, usage.UsageQuestion(**asked), limit)


def _sessions(
    reader: Reader, limit: int | None, session: str | None, asked: dict[str, Any]
) -> Iterator[Session]:
    from claude_headspace.read.sessions import SessionQuestion, list_sessions

    if session:
        return iter([known_session(reader, session)])
    hosts = tuple(filter(None, [asked.pop("host")]))
    paths = project_paths(reader, asked.pop("project"))
    question = SessionQuestion(project=paths, host=hosts, **asked)
    return all_pages(list_sessions, reader, question, limit)


def _write_conversations(reader: Reader, shape: str, sessions: Iterator[Session]) -> None:
    told = ((each, conversation(reader, each)) for each in sessions)
    if shape == "markdown":
        for each, said in told:
            sys.stdout.writelines(as_markdown(each, said))
            print()
    else:
        _write((replace(one, session=each.uuid) for each, said in told for one in said), shape)


def _write(rows: Iterator[Any], shape: str) -> None:
    if shape == "csv":
        from claude_headspace.web.export import csv_lines

        sys.stdout.writelines(csv_lines(rows))
    else:
        print_json(rows)
