"""Events of the log."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from claude_headspace.cli.access import configured, open_log, open_reader
from claude_headspace.cli.command import command, filters, flag, json_output, limit, option
from claude_headspace.cli.follow import LiveEvents
from claude_headspace.cli.naming import SHORT_ID, find_session, project_ids
from claude_headspace.cli.sessions import JSON_LINES
from claude_headspace.cli.terminal import (
    as_json,
    cut,
    local_time,
    print_lines,
    printable,
    terminal_width,
    zone_told,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from claude_headspace.config import Config
    from claude_headspace.store.queries import EventFilter

PAGE_ROWS = 500
LONGEST_TYPE = 18
COMPACT_BELOW = 80
NO_SESSION = "00000000-0000-0000-0000-000000000000"
_HOOK_DETAILS = ("reason", "source", "tool_name", "notification_type")
_JSON_FIELDS = (
    "id", "timestamp", "event_type", "session_uuid", "host", "project", "payload", "annotations",
    "event_key", "project_id", "agent_id", "command_id", "turn_id", "source_id", "source_offset",
    "recorded_at",
)  # fmt: skip


@command(
    "events",
    "claude-headspace events --project my-project --since yesterday",
    "claude-headspace events --session 6f1d0a7e --limit all --json | jq .payload.text",
    "claude-headspace events --type turn_detected --follow",
)
@filters("session project host since until", "events")
@option("--type", "TYPE", "only this type, such as turn_detected", "event_type")
@limit()
@flag("--follow", "keep running and show new events")
@json_output(JSON_LINES)
def events(limit: int | None, *, follow: bool, in_json: bool, **wanted: Any) -> int:
    """Show events, newest last.

    Events of one session are in the order of the log, others in order of time. Times are in this
    machine's time zone. Long lines are cut on a terminal; --json prints everything.
    """
    from claude_headspace.store.queries import newest_events

    config = configured()
    show = _EventPrinter(in_json=in_json)
    with open_log(config) as connection:
        chosen = _filter(config, connection, **wanted)
        if not in_json:
            print_lines(zone_told())
        live = LiveEvents(config, chosen, show) if follow else None
        connection.commit()  # an older snapshot may lack the newest events
        page = newest_events(chosen, limit, last_id=live.shown if live else None)
        stream = connection.execution_options(yield_per=PAGE_ROWS)
        for event in stream.execute(page).mappings():
            show(event)
    if live:
        sys.stdout.flush()
        live.follow()
    return 0


def _filter(
    config: Config,
    connection: Connection,
    session: str | None,
    project: str | None,
    host: str | None,
    event_type: str | None,
    **period: Any,
) -> EventFilter:
    from dataclasses import replace

    from claude_headspace.store.queries import EventFilter

    wanted = EventFilter(event_type=event_type, **period)
    if event_type:
        _require_known(connection, event_type)
    if not (session or project or host):
        return wanted
    with open_reader(config) as reader:
        if session:
            found = find_session(reader, session)
            unknown = None if found.agent_id else UUID(found.uuid)
            wanted = replace(wanted, agent_id=found.agent_id, session=unknown)
        return replace(wanted, project_ids=project_ids(reader, project, host))


def _require_known(connection: Connection, event_type: str) -> None:
    """Raise unless this installation or the log has events of this type."""
    from difflib import get_close_matches

    from claude_headspace.events.taxonomy import installed_taxonomy
    from claude_headspace.store.queries import types_in

    known = [kind.name for kind in installed_taxonomy()]
    if event_type in known or event_type in (known := sorted({*known, *types_in(connection)})):
        return
    near = get_close_matches(event_type, known, n=1)
    guess = f"; did you mean {near[0]}?" if near else ""
    raise click.UsageError(f"{event_type!r} is not an event type: {', '.join(known)}{guess}")


class _EventPrinter:
    """Prints one event at a time."""

    def __init__(self, *, in_json: bool) -> None:
        self._in_json = in_json

    def __call__(self, event: Mapping[Any, Any]) -> None:
        if self._in_json:
            print(as_json({name: event[name] for name in _JSON_FIELDS}))
            return
        session = str(event["session_uuid"])
        columns = (
            local_time(event["timestamp"], precise=True),
            f"{printable(event['event_type']):<{LONGEST_TYPE}}",
            f"{'-' if session == NO_SESSION else session[:SHORT_ID]:<{SHORT_ID}}",
            printable(PurePath(event["project"]).name) if event["project"] else "-",
            describe(event["event_type"], event["payload"]),
        )
        width = terminal_width()
        if width and width < COMPACT_BELOW:
            when = f"{columns[0][5:19]}  {columns[2]}  {columns[1].strip()}"
            print(cut(f"{when}  {columns[3]}", width))
            print(cut(f"  {columns[4]}", width))
        else:
            print(cut("  ".join(columns), width))


def describe(event_type: str, payload: Mapping[str, Any]) -> str:
    """The payload in one line, for people."""
    get = payload.get
    if event_type == "turn_detected":
        who = f"{get('actor')} (subagent)" if get("subagent_id") else get("actor")
        return f"{who}: {get('text')}"
    if event_type == "session_registered":
        return str(get("working_directory"))
    if event_type == "session_ended":
        lasted = get("duration_seconds")
        return f"{get('reason')}" + ("" if lasted is None else f" after {lasted} s")
    if event_type == "state_transition":
        return f"{get('from_state')} → {get('to_state')} ({get('trigger')})"
    if event_type == "hook_received":
        details = [str(get(name)) for name in _HOOK_DETAILS if get(name)]
        said = f": {get('message')}" if get("message") else ""
        return " ".join([str(get("hook_type")), *details]) + said
    if event_type == "note_added":
        tags = "".join(f" #{tag}" for tag in get("tags") or ())
        return f"{get('text')}{tags}"
    return json.dumps(payload, ensure_ascii=False)
