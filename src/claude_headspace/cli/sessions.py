"""Listing sessions, and resuming one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from claude_headspace.cli.access import all_pages, configured, open_reader
from claude_headspace.cli.command import command, filters, flag, json_output, limit, named_session
from claude_headspace.cli.naming import SHORT_ID, known_session, project_paths
from claude_headspace.cli.terminal import (
    fit,
    paint,
    print_json,
    print_lines,
    printable,
    table,
    terminal_width,
)
from claude_headspace.errors import HeadspaceError
from claude_headspace.web.words import counted, project_name, waited

if TYPE_CHECKING:
    from claude_headspace.config import Config
    from claude_headspace.read.connection import Reader
    from claude_headspace.read.sessions import Session
    from claude_headspace.read.state import Kind

JSON_LINES = "one JSON object per line, uncut"
COMPACT_BELOW = 100
_COLUMNS = ("session", "last", "state", "turns", "project", "title")
_ALIVE: tuple[Kind, ...] = ("needs", "turn", "work", "stalled")
_COLOURS = {"needs": "red", "turn": "yellow", "work": "green", "stalled": "magenta"}
_MORE = "SELECT session_uuid::text, iterm_pane_id, titles FROM agents WHERE id = ANY (%s)"


@command(
    "sessions",
    "claude-headspace sessions --open",
    "claude-headspace sessions --project my-project --since 1w",
)
@filters("projects host since until", "sessions alive")
@flag("--open", "only sessions that have not ended", "open_only")
@limit()
@json_output(JSON_LINES)
def sessions(
    project: str | None, host: str | None, limit: int | None, *, open_only: bool, in_json: bool,
    **period: Any,
) -> int:  # fmt: skip
    """Show sessions and their state, newest first.

    The state is working, your turn, needs you, stalled or ended. A turn that several sessions share
    counts in each of them, but once in the total.
    """
    from claude_headspace.read.session_facts import count_turns
    from claude_headspace.read.sessions import SessionQuestion, list_sessions, list_uncounted

    with open_reader(configured()) as reader:
        asked = SessionQuestion(
            project=project_paths(reader, project),
            host=(host,) if host else (),
            state=_ALIVE if open_only else (),
            **period,
        )
        ask = list_sessions if in_json else list_uncounted
        found = list(all_pages(ask, reader, asked, limit))
        if in_json:
            print_json(_fields(reader, found))
            return 0
        turns, together = count_turns(reader, [each.id for each in found])
    compact = (terminal_width() or COMPACT_BELOW) < COMPACT_BELOW
    print_lines(_in_short(found, turns) if compact else _as_table(found, turns))
    print(f"{counted(len(found), 'session')}, {counted(together, 'turn')}")
    return 0


def _fields(reader: Reader, found: Sequence[Session]) -> Iterator[dict[str, Any]]:
    """The fields of the API, and those of earlier versions of this command."""
    from dataclasses import asdict

    from claude_headspace.read.listed import listed

    more = {row[0]: row[1:] for row in reader.rows(_MORE, [[each.id for each in found]])}
    for each in found:
        pane, titles = more[each.uuid]
        yield {
            **asdict(listed(each)), "session_uuid": each.uuid, "iterm_pane_id": pane,
            "working_directory": each.directory, "last_seen_at": each.last_line_at,
            "titles": titles,
        }  # fmt: skip


def _as_table(found: Sequence[Session], turns: Mapping[int, int]) -> list[str]:
    rows = [
        (each.uuid[:SHORT_ID], age(each.last_line_at), state_of(each), str(turns.get(each.id, 0)),
         short_path(each.project), each.title or "-")
        for each in found
    ]  # fmt: skip
    told: list[tuple[str, ...]] = [_COLUMNS, *rows]
    if len({each.host for each in found}) > 1:
        hosts = ("host", *(each.host for each in found))
        told = [(*row[:-1], host, row[-1]) for row, host in zip(told, hosts, strict=True)]
    head, *lines = table(told, 1, 3)
    return [paint(head, bold=True), *map(_painted, found, lines)]


def _in_short(found: Sequence[Session], turns: Mapping[int, int]) -> Iterator[str]:
    """Two lines per session, for narrow terminals."""
    for each in found:
        words = (each.uuid[:SHORT_ID], state_of(each), age(each.last_line_at),
                 counted(turns.get(each.id, 0), "turn"),
                 project_name(each.project, each.directory))  # fmt: skip
        yield _painted(each, fit("  ".join(words)))
        yield fit(f"  {each.title or '-'}")


def _painted(each: Session, line: str) -> str:
    state, colour = state_of(each), _COLOURS.get(each.state.kind)
    return line.replace(state, paint(state, fg=colour), 1) if colour else line


def state_of(each: Session) -> str:
    """The state, in the words of the page."""
    from claude_headspace.read.state import WORDS

    return WORDS[each.state.kind].lower()


def age(moment: datetime | None) -> str:
    """How long ago it was."""
    return "-" if moment is None else waited((datetime.now(UTC) - moment).total_seconds())


def resuming(each: Session) -> str:
    """The command that resumes it, uncut on one line, so that it can be copied."""
    width = terminal_width()
    command = printable(each.resume)
    if width is None or len(command) <= width - 2:
        return command
    return f"claude-headspace resume {each.uuid[:SHORT_ID]}"


def short_path(path: str) -> str:
    """On a terminal, a path in the home directory starts with ~."""
    home = os.path.expanduser("~")  # noqa: PTH111 - pathlib is slow to load
    inside = path.startswith(f"{home}/") and terminal_width()
    return f"~{path.removeprefix(home)}" if inside else path


@command("resume", "claude-headspace resume 6f1d0a7e", "claude-headspace resume --exec fix lint")
@named_session
@flag("--exec", "run it now; restore the files of the session first if they are gone", "run_it")
def resume(session: str, *, run_it: bool) -> int:
    """Print the command that resumes a session in Claude Code.

    Use `eval "$(claude-headspace resume SESSION)"`, or --exec to run it at once. If the files of
    the session are gone, they are restored from the archive first.
    """
    from claude_headspace.read.completeness import files_of

    config = configured()
    with open_reader(config) as reader:
        found = known_session(reader, session)
        gone = files_of(reader, found.uuid).gone
    if not run_it:
        first = f"claude-headspace restore --missing {found.uuid} && " if gone else ""
        print(printable(first + found.resume))
        return 0
    return _take_up(config, found, gone=gone)


def _take_up(config: Config, found: Session, *, gone: bool) -> int:
    from claude_headspace.cli.archive import restore_files

    if not os.path.isdir(found.directory):  # noqa: PTH112
        raise HeadspaceError(f"the session's directory {found.directory} does not exist: create it")
    if gone and (status := restore_files(config, UUID(found.uuid), missing=True)):
        return status
    os.chdir(found.directory)
    sys.stdout.flush()
    # Python ignores SIGPIPE, and exec would pass that on to the new program.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp("claude", ["claude", "--resume", found.uuid])  # noqa: S606
    except FileNotFoundError as error:
        raise HeadspaceError("claude was not found: install Claude Code") from error
