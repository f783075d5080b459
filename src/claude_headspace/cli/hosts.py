"""The machines of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_headspace.cli.access import all_pages, configured, open_reader
from claude_headspace.cli.command import command, json_output
from claude_headspace.cli.terminal import as_json, local_time, print_lines, table
from claude_headspace.health.units import counted, format_bytes

if TYPE_CHECKING:
    from claude_headspace.read.listed import Host

_COLUMNS = ("host", "id", "alive", "version", "last seen", "backlog", "lag", "sessions", "read")
_SHORT_ID = 8


@command("hosts", "claude-headspace hosts")
@json_output("one JSON object per line, with complete ids")
def hosts(*, in_json: bool) -> int:
    """Show the machines of the log, and how far each has read.

    A machine is alive while its watcher holds the lease. For the others, the figures are those of
    when they were last seen. A star marks this machine.
    """
    from dataclasses import asdict

    from claude_headspace.read.listed import HostQuestion, list_hosts

    config = configured()
    with open_reader(config) as reader:
        found = list(all_pages(list_hosts, reader, HostQuestion(), None))
    own = config.state.machine
    if in_json:
        for each in found:
            print(as_json({**asdict(each), "here": each.machine == own}))
        return 0
    print_lines(table([_COLUMNS, *(_row(each, own) for each in found)]))
    print(f"{counted(len(found), 'machine')}, {sum(each.alive for each in found)} alive")
    return 0


def _row(each: Host, own: str | None) -> tuple[str, ...]:
    return (
        each.host + (" *" if each.machine == own else ""),
        each.machine[:_SHORT_ID],
        "yes" if each.alive else "no",
        each.version or "-",
        local_time(each.seen_at),
        format_bytes(each.backlog_bytes),
        f"{each.lag_seconds:.0f} s",
        f"{each.sessions} ({each.open_sessions} open)",
        format_bytes(each.bytes),
    )
