"""The machines of the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claude_headspace.cli.access import open_log
from claude_headspace.cli.command import command, json_output
from claude_headspace.cli.terminal import as_json, local_time, print_table

_COLUMNS = (
    "host", "id", "alive", "version", "last seen", "backlog", "lag", "sessions", "read",
)  # fmt: skip


@command("hosts", "claude-headspace hosts")
@json_output("one JSON object per line, with whole ids")
def hosts(*, whole: bool) -> int:
    """Show the machines of the log, and how far each has come.

    A machine is alive while its watcher holds its lease; of the others it says what was known when
    they were seen last. The machine on which this runs has a star.
    """
    from sqlalchemy import text

    from claude_headspace.config import load_config
    from claude_headspace.health.words import counted
    from claude_headspace.read.hosts import HOSTS

    config = load_config()
    with open_log(config) as connection:
        found = connection.execute(text(HOSTS)).mappings().all()
    own = config.state.machine
    if whole:
        for each in found:
            print(as_json({**each, "here": each["machine"] == own}))
        return 0
    print_table([_COLUMNS, *(_row(each, own) for each in found)])
    alive = sum(each["alive"] for each in found)
    print(f"{counted(len(found), 'machine')}, {alive} alive")
    return 0


def _row(each: Mapping[Any, Any], own: str | None) -> tuple[str, ...]:
    from claude_headspace.health.words import format_bytes

    return (
        each["host"] + (" *" if each["machine"] == own else ""),
        each["machine"][:8],
        "yes" if each["alive"] else "no",
        each["version"] or "-",
        local_time(each["seen_at"]),
        format_bytes(each["backlog_bytes"]),
        f"{each['lag_seconds']:.0f} s",
        f"{each['sessions']} ({each['open_sessions']} open)",
        format_bytes(each["bytes"]),
    )
