"""Looking into the log: events and sessions."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from claude_headspace.cli.access import open_log
from claude_headspace.cli.command import (
    command,
    flag,
    host,
    json_output,
    limit,
    option,
    project,
    since,
)
from claude_headspace.cli.follow import LiveEvents
from claude_headspace.cli.terminal import (
    as_json,
    cut,
    local_time,
    print_table,
    printable,
    terminal_width,
)

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from claude_headspace.store.queries import EventFilter

JSON_LINES = "one JSON object per line, uncut"
PAGE_ROWS = 500
SHORT_SESSION = 8
LONGEST_TYPE = 18
NO_SESSION = "00000000-0000-0000-0000-000000000000"
_HOOK_DETAILS = ("reason", "source", "tool_name", "notification_type")
_SESSION_COLUMNS = ("session", "started", "last seen", "state", "turns", "project", "title")
_JSON_FIELDS = (
    "id", "timestamp", "event_type", "session_uuid", "host", "project", "payload", "annotations",
    "event_key", "project_id", "agent_id", "command_id", "turn_id", "source_id", "source_offset",
    "recorded_at",
)  # fmt: skip


@command(
    "events",
    "claude-headspace events --project my-project --since 2h",
    "claude-headspace events --session 6f1d0a7e --limit all --json | jq .payload.text",
    "claude-headspace events --type turn_detected --follow",
)
@option("--session", "UUID", "only this session; the first characters are enough")
@project()
@host()
@option("--type", "TYPE", "only this type, such as turn_detected", "event_type")
@since("only events")
@limit()
@flag("--follow", "keep running and show new events")
@json_output(JSON_LINES)
def events(limit: int | None, *, follow: bool, whole: bool, **wanted: Any) -> int:
    """Show events, newest last.

    Events of one session are shown in the order of the log, all others by their own time. Long
    lines are cut on a terminal; --json prints everything.
    """
    from claude_headspace.config import load_config
    from claude_headspace.store.queries import newest_events

    config = load_config()
    with open_log(config) as connection:
        show = _EventPrinter(whole=whole, hosts=several_machines(connection))
        chosen = _filter(connection, **wanted)
        live = LiveEvents(config, chosen, show) if follow else None
        connection.commit()  # a snapshot from before may lack the last of them
        page = newest_events(chosen, limit, last_id=live.shown if live else None)
        stream = connection.execution_options(yield_per=PAGE_ROWS)
        for event in stream.execute(page).mappings():
            show(event)
    if live:
        sys.stdout.flush()
        live.follow()
    return 0


def _filter(
    connection: Connection,
    session: str | None,
    project: str | None,
    host: str | None,
    event_type: str | None,
    since: datetime | None,
) -> EventFilter:
    from dataclasses import replace

    from claude_headspace.store.queries import EventFilter
    from claude_headspace.store.selection import find_machines, find_projects, find_session

    wanted = EventFilter()
    if session:
        wanted = find_session(connection, session).filter()
    if project:
        wanted = replace(wanted, project_ids=find_projects(connection, project))
    if host:
        wanted = replace(wanted, machines=find_machines(connection, host))
    return replace(wanted, event_type=event_type, since=since)


class _EventPrinter:
    """Prints one event at a time."""

    def __init__(self, *, whole: bool, hosts: bool) -> None:
        self._whole = whole
        self._hosts = hosts

    def __call__(self, event: Mapping[Any, Any]) -> None:
        if self._whole:
            print(as_json({name: event[name] for name in _JSON_FIELDS}))
            return
        session = str(event["session_uuid"])
        columns = (
            local_time(event["timestamp"], precise=True),
            f"{printable(event['event_type']):<{LONGEST_TYPE}}",
            f"{'-' if session == NO_SESSION else session[:SHORT_SESSION]:<{SHORT_SESSION}}",
            *([printable(event["host"] or "-")] if self._hosts else []),
            printable(PurePath(event["project"]).name) if event["project"] else "-",
            describe(event["event_type"], event["payload"]),
        )
        print(cut("  ".join(columns), terminal_width()))


def describe(event_type: str, payload: Mapping[str, Any]) -> str:
    """What a person wants to know of a payload."""
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
    return json.dumps(payload, ensure_ascii=False)


@command("sessions", "claude-headspace sessions --project my-project --open")
@project()
@host()
@flag("--open", "only sessions that have not ended", "open_only")
@limit()
@json_output(JSON_LINES)
def sessions(
    project: str | None, host: str | None, limit: int | None, *, open_only: bool, whole: bool
) -> int:
    """Show sessions, latest last.

    A turn that several sessions share counts in each of them, and once in the total.
    """
    from claude_headspace.config import load_config
    from claude_headspace.health.words import counted
    from claude_headspace.store.queries import newest_sessions
    from claude_headspace.store.selection import find_projects
    from claude_headspace.store.totals import count_turns

    with open_log(load_config()) as connection:
        chosen = find_projects(connection, project, host)
        several = several_machines(connection)
        page = newest_sessions(chosen, open_only=open_only, limit=limit)
        found = connection.execute(page).mappings().all()
        turns, together = count_turns(connection, [session["id"] for session in found])
    if whole:
        for session in found:
            print(as_json({**_session_fields(session), "turns": turns.get(session["id"], 0)}))
        return 0
    rows: list[tuple[str, ...]] = [_SESSION_COLUMNS]
    rows += [_session_row(session, turns.get(session["id"], 0)) for session in found]
    if several:
        hosts = ["host", *(session["host"] for session in found)]
        rows = [(*row[:-2], name, *row[-2:]) for row, name in zip(rows, hosts, strict=True)]
    print_table(rows)
    print(f"{counted(len(found), 'session')}, {counted(together, 'turn')}")
    return 0


def several_machines(connection: Connection) -> bool:
    """Whether it is worth telling whose rows are whose."""
    from sqlalchemy import func, select

    from claude_headspace.store.tables import machines

    return bool(connection.scalar(select(func.count() > 1).select_from(machines)))


def _session_fields(session: Mapping[Any, Any]) -> dict[str, Any]:
    names = (
        "session_uuid", "project", "host", "working_directory", "iterm_pane_id", "started_at",
        "last_seen_at", "ended_at", "end_reason", "titles",
    )  # fmt: skip
    return {**{name: session[name] for name in names}, "title": _title(session)}


def _title(session: Mapping[Any, Any]) -> str | None:
    """What the session is called: the title that comes first, else how it began."""
    from claude_headspace.transcripts.classify import TITLES

    titles: dict[str, str] = session["titles"]
    first_prompt: str | None = session["first_prompt"]
    return next((titles[kind] for kind in TITLES if kind in titles), first_prompt)


def _session_row(session: Mapping[Any, Any], turns: int) -> tuple[str, ...]:
    ended = f"ended ({session['end_reason']})" if session["ended_at"] else "open"
    return (
        str(session["session_uuid"]),
        local_time(session["started_at"]),
        local_time(session["last_seen_at"]),
        ended,
        str(turns),
        session["project"],
        _title(session) or "-",
    )
