"""The machines of the log, and the restarts of this one's watcher."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from claude_headspace.cli.access import all_pages, configured, open_reader
from claude_headspace.cli.command import command, json_output, limit
from claude_headspace.cli.naming import SHORT_ID
from claude_headspace.cli.terminal import local_time, print_json, print_lines, print_wrapped, table
from claude_headspace.health.units import counted, format_bytes

if TYPE_CHECKING:
    from claude_headspace.read.listed import Host

_COLUMNS = ("id", "alive", "version", "last seen", "backlog", "lag", "sessions", "read", "host")


@command("hosts", "claude-headspace hosts")
@json_output("one JSON object per line, with complete ids")
def hosts(*, in_json: bool) -> int:
    """Show the machines of the log, and how far each has read.

    A machine is alive while its watcher holds the lease. For the others, the figures are those of
    when they were last seen. A star marks this machine.
    """
    from claude_headspace.read.listed import HostQuestion, list_hosts

    config = configured()
    with open_reader(config) as reader:
        found = list(all_pages(list_hosts, reader, HostQuestion(), None))
    own = config.state.machine
    if in_json:
        print_json({**asdict(each), "here": each.machine == own} for each in found)
        return 0
    print_lines(table([_COLUMNS, *(_row(each, own) for each in found)]))
    print(f"{counted(len(found), 'machine')}, {sum(each.alive for each in found)} alive")
    return 0


def _row(each: Host, own: str | None) -> tuple[str, ...]:
    return (
        each.machine[:SHORT_ID],
        "yes" if each.alive else "no",
        each.version or "-",
        local_time(each.seen_at),
        format_bytes(each.backlog_bytes),
        f"{each.lag_seconds:.0f} s",
        f"{each.sessions} ({each.open_sessions} open)",
        format_bytes(each.bytes),
        each.host + (" *" if each.machine == own else ""),
    )


@command("restarts", "claude-headspace restarts --limit 5")
@limit()
@json_output("one JSON object per line")
def restarts(limit: int | None, *, in_json: bool) -> int:
    """Show when and why the watcher was restarted.

    Works without Postgres and supervisord.
    """
    from claude_headspace.supervision.history import format_restarts, history_path, read_restarts

    records = read_restarts(history_path(configured().state.directory))
    if limit is not None:
        records = records[-limit:] if limit else []
    if in_json:
        print_json(records)
    else:
        print_wrapped(format_restarts(records).splitlines())
    return 0
