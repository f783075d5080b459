"""What was rejected, and trying it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from claude_headspace.cli.access import open_log
from claude_headspace.cli.command import command, flag, group, host, json_output, limit
from claude_headspace.cli.log import JSON_LINES, PAGE_ROWS
from claude_headspace.cli.terminal import as_json, cut, local_time, terminal_width

SHOWN_CONTENT_BYTES = 200


@group("rejected", "claude-headspace rejected --limit 10", invoke_without_command=True)
@host()
@flag("--all", "also show what has been resolved", "everything")
@limit()
@json_output(JSON_LINES)
@click.pass_context
def rejected(
    context: click.Context,
    host: str | None,
    limit: int | None,
    *,
    everything: bool,
    whole: bool,
) -> int:
    """Show what was rejected, and why.

    These are damaged lines, and events that break the rules of their type.
    """
    if context.invoked_subcommand:
        return 0
    return _show(host, limit, everything=everything, whole=whole)


def _show(host: str | None, limit: int | None, *, everything: bool, whole: bool) -> int:
    from claude_headspace.config import load_config
    from claude_headspace.store.queries import newest_dead_letters
    from claude_headspace.store.selection import find_machines

    with open_log(load_config()) as connection:
        page = newest_dead_letters(
            resolved_too=everything,
            limit=limit,
            content_bytes=None if whole else SHOWN_CONTENT_BYTES,
            of_machines=find_machines(connection, host) if host else (),
        )
        stream = connection.execution_options(yield_per=PAGE_ROWS)
        number = 0
        for number, row in enumerate(stream.execute(page).mappings(), 1):  # noqa: B007
            if whole:
                print(as_json(dict(row)))
            else:
                _print_dead_letter(row)
    if not whole and not number:
        print("Nothing was rejected.")
    return 0


def _print_dead_letter(row: Mapping[Any, Any]) -> None:
    width = terminal_width()
    resolved = f", resolved {local_time(row['resolved_at'])}" if row["resolved_at"] else ""
    content = bytes(row["content"]).decode("utf-8", "backslashreplace")
    more = "…" if row["content_bytes"] > len(row["content"]) else ""
    file = f"{row['path']} on {row['host']}" if row["path"] else "an unknown file"
    told = f"{row['reason']}: {row['detail']}{resolved}"
    print(cut(f"{row['id']}  {local_time(row['recorded_at'])}  {told}", width))
    print(cut(f"  at byte {row['source_offset']} of {file}", width))
    print(cut(f"  {row['content_bytes']} bytes: {content}{more}", width))


@command("retry", "claude-headspace rejected retry 17 18", of=rejected)
@click.argument("ids", metavar="ID", type=int, nargs=-1)
@flag("--all", "everything that is unresolved", "everything")
@json_output("one JSON object per line")
def retry(ids: tuple[int, ...], *, everything: bool, whole: bool) -> int:
    """Try rejected lines and events again, after a fix.

    What is accepted now is marked as resolved. Exit status 1: something is still rejected.
    """
    from claude_headspace.config import load_config
    from claude_headspace.verify.retry import run_retry

    if bool(ids) == everything:
        raise click.UsageError("give either IDs or --all")
    config = load_config()
    with open_log(config):
        return run_retry(config, None if everything else ids, as_json=whole)
