"""Proving that the log is complete, and repairing it: missing lines, and dead letters."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from claude_headspace.cli.access import configured, inbox_of, open_log, open_reader
from claude_headspace.cli.command import command, filters, flag, group, json_output, limit
from claude_headspace.cli.events import PAGE_ROWS
from claude_headspace.cli.naming import session_id
from claude_headspace.cli.sessions import JSON_LINES
from claude_headspace.cli.terminal import (
    announce,
    as_json,
    fit,
    local_time,
    print_lines,
    print_wrapped,
    table,
)
from claude_headspace.errors import SelectionError
from claude_headspace.health.units import counted

if TYPE_CHECKING:
    from claude_headspace.config import Config

SHOWN_CONTENT_BYTES = 200
COUNTED_BYTES = 1024 * 1024


@command("verify", "claude-headspace verify --repair")
@filters("session")
@flag(
    "--repair", "show what is missing, ask, and write it; read files with wrong checkpoints again"
)
@flag("--yes", "repair without asking")
@flag("--all", "also list complete sessions", "every")
@json_output("one JSON object with every session")
def verify(session: str | None, *, repair: bool, yes: bool, every: bool, in_json: bool) -> int:
    """Compare every transcript with the log, line by line.

    Reads the transcripts again. Exit status 0: the log is complete.
    """
    from claude_headspace.verify.output import conclusions, figures, print_json
    from claude_headspace.verify.run import run_verify

    config = configured()
    chosen = session_id(config, session) if session else None
    report = run_verify(config, chosen, repair=repair, yes=yes)
    if in_json:
        print_json(report, sys.stdout)
    else:
        rows = figures(report, everything=every)
        print_lines(table(rows, *range(len(rows[0]) - 1)))
        print_wrapped(conclusions(report))
    return 1 if report.wrong > 0 else 0


@command("rebuild", "claude-headspace rebuild", "claude-headspace rebuild --session 6f1d0a7e")
@filters("session")
def rebuild(session: str | None) -> int:
    """Rebuild the rows of tool calls and model calls from the archive and the transcripts.

    The watcher may run meanwhile. Afterwards `usage` and `tools` match the transcripts. If a
    transcript is neither on disk nor archived, its session keeps its rows.
    """
    from claude_headspace.capture.rebuild import Rebuild
    from claude_headspace.sessions.log import make_log

    config = configured()
    chosen = session_id(config, session) if session else None
    log = make_log(config, "claude-headspace rebuild")
    try:
        log.database.connect()
        log.sessions.reload()
        job = Rebuild(log, config)
        announce("Reading all lines again. This takes a while.")
        done = job.run([chosen] if chosen else job.sessions())
    finally:
        log.database.close()
    print(f"sessions: {done.sessions}, tool calls: {done.calls}, replies: {done.replies}")
    if done.unread:
        print(f"neither on disk nor archived, rows unchanged: files {done.unread}")
    return 0


@group("rejected", "claude-headspace rejected --limit 10", invoke_without_command=True)
@flag("--all", "also show resolved ones", "everything")
@filters("host")
@limit()
@json_output(JSON_LINES)
@click.pass_context
def rejected(context: click.Context, /, **wanted: Any) -> int:
    """Show rejected lines and events, and why they were rejected.

    These are damaged lines, and events that break the rules of their type. `retry` tries them
    again; `dismiss` hides them.
    """
    return 0 if context.invoked_subcommand else _show(**wanted)


def _show(limit: int | None, host: str | None, *, everything: bool, in_json: bool) -> int:
    from claude_headspace.read.selection import find_machines
    from claude_headspace.store.queries import newest_dead_letters

    config = configured()
    of = None
    if host:
        with open_reader(config) as reader:
            of = find_machines(reader, host)
    content_bytes = None if in_json else SHOWN_CONTENT_BYTES
    page = newest_dead_letters(
        resolved_too=everything, limit=limit, content_bytes=content_bytes, of=of
    )
    with open_log(config) as connection:
        stream = connection.execution_options(yield_per=PAGE_ROWS)
        number = 0
        for number, row in enumerate(stream.execute(page).mappings(), 1):  # noqa: B007
            if in_json:
                print(as_json(row))
            else:
                _print_dead_letter(row, _place(config, row))
    if not in_json and not number:
        print("Nothing was rejected.")
    return 0


def _place(config: Config, row: Mapping[Any, Any]) -> str:
    """Where it was, for people: by its line number."""
    path, offset = row["path"], row["source_offset"]
    if path == str(inbox_of(config)):
        return f"left in the inbox {path}"
    elsewhere = f" on {row['host']}" if row["host"] not in (None, config.state.host) else ""
    number = None if path is None or elsewhere else _line_number(path, offset)
    place = f"at byte {offset}" if number is None else f"in line {number} (byte {offset})"
    return f"{place} of {path or 'an unknown file'}{elsewhere}"


def _line_number(path: str, offset: int) -> int | None:
    """None if the file is gone or shorter than that."""
    lines, left = 1, offset
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - stored paths are plain strings
            while left and (piece := file.read(min(left, COUNTED_BYTES))):
                lines += piece.count(b"\n")
                left -= len(piece)
    except (OSError, ValueError):
        return None
    return None if left else lines


def _print_dead_letter(row: Mapping[Any, Any], place: str) -> None:
    resolved = f", resolved {local_time(row['resolved_at'])}" if row["resolved_at"] else ""
    content = bytes(row["content"]).decode("utf-8", "backslashreplace")
    more = "…" if row["content_bytes"] > len(row["content"]) else ""
    told = f"{row['reason']}: {row['detail']}{resolved}"
    print(fit(f"{row['id']}  {local_time(row['recorded_at'])}  {told}"))
    print(fit(f"  {place}"))
    print(fit(f"  {counted(row['content_bytes'], 'byte')}: {content}{more}"))


_IDS = click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
_ALL = flag("--all", "all unresolved ones", "everything")


def _chosen(ids: tuple[int, ...], *, everything: bool) -> tuple[int, ...] | None:
    """None means all."""
    if bool(ids) == everything:
        raise click.UsageError("give either IDs or --all")
    return ids or None


@command("retry", "claude-headspace rejected retry 17 18", of=rejected)
@_IDS
@_ALL
@json_output("one JSON object per line")
def retry(ids: tuple[int, ...], *, everything: bool, in_json: bool) -> int:
    """Try rejected lines and events again, after a fix.

    Those that are now accepted are marked as resolved. Exit status 1: some are still rejected.
    """
    from claude_headspace.capture.retry import run_retry

    return run_retry(configured(), _chosen(ids, everything=everything), as_json=in_json)


@command("dismiss", "claude-headspace rejected dismiss 17 18", of=rejected)
@_IDS
@_ALL
def dismiss(ids: tuple[int, ...], *, everything: bool) -> int:
    """Mark dead letters as resolved, so that they are not tried again.

    They stay in the log, and `rejected --all` shows them.
    """
    from claude_headspace.store.requests import dismiss_rejected

    chosen = _chosen(ids, everything=everything)
    with open_log(configured(), writing=True) as connection:
        done = dismiss_rejected(connection, chosen)
    print(f"{counted(len(done), 'dead letter')} dismissed")
    if missing := [str(each) for each in ids if each not in done]:
        raise SelectionError(f"no unresolved dead letter has the ID {', '.join(missing)}")
    return 0
