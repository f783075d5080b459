"""Events of the log, and new ones until nobody reads the output any more."""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

import click

from claude_headspace.cli.access import configured, open_log, open_reader
from claude_headspace.cli.command import command, filters, flag, json_output, limit, option
from claude_headspace.cli.naming import SHORT_ID, project_ids, session_by_name
from claude_headspace.cli.sessions import JSON_LINES
from claude_headspace.cli.terminal import (
    as_json,
    fit,
    local_time,
    print_lines,
    printable,
    terminal_width,
    zone_told,
)
from claude_headspace.errors import DatabaseUnavailable, OtherTimeline

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from claude_headspace.config import Config
    from claude_headspace.store.follower import Follower
    from claude_headspace.store.queries import EventFilter

PAGE_ROWS = 500
LONGEST_TYPE = 18
COMPACT_BELOW = 80
# How often to check that the output is still read, and for events without a notification.
LOOK_SECONDS = 0.5
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0
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
    show = partial(_print_event, in_json=in_json)
    with open_log(config) as connection:
        chosen = _filter(config, connection, **wanted)
        if not in_json:
            print_lines(zone_told())
        live = LiveEvents(config, chosen, show) if follow else None
        connection.commit()  # an older snapshot may lack the newest events
        page = newest_events(chosen, limit, last_id=live.end if live else None)
        for event in connection.execution_options(yield_per=PAGE_ROWS).execute(page).mappings():
            show(event)
    if live:
        sys.stdout.flush()
        live.follow()
    return 0


def _filter(
    config: Config, connection: Connection, session: str | None, project: str | None,
    host: str | None, event_type: str | None, **period: Any,
) -> EventFilter:  # fmt: skip
    from dataclasses import replace

    from claude_headspace.store.queries import EventFilter

    wanted = EventFilter(event_type=event_type, **period)
    if event_type:
        _require_known(connection, event_type)
    if not (session or project or host):
        return wanted
    with open_reader(config) as reader:
        if session:
            found = session_by_name(reader, session)
            unknown = None if found.agent_id else UUID(found.uuid)
            wanted = replace(wanted, agent_id=found.agent_id, session=unknown)
        return replace(wanted, project_ids=project_ids(reader, project, host))


def _require_known(connection: Connection, event_type: str) -> None:
    """Raise unless this installation or the log has events of this type."""
    from difflib import get_close_matches

    from claude_headspace.events.event_types import installed_types
    from claude_headspace.store.queries import types_in

    known = [kind.name for kind in installed_types()]
    if event_type in known or event_type in (known := sorted({*known, *types_in(connection)})):
        return
    near = get_close_matches(event_type, known, n=1)
    guess = f"; did you mean {near[0]}?" if near else ""
    raise click.UsageError(f"{event_type!r} is not an event type: {', '.join(known)}{guess}")


def _print_event(event: Mapping[Any, Any], *, in_json: bool) -> None:
    if in_json:
        print(as_json({name: event[name] for name in _JSON_FIELDS}))
        return
    session = str(event["session_uuid"])
    columns = (
        local_time(event["timestamp"], precise=True),
        f"{printable(event['event_type']):<{LONGEST_TYPE}}",
        f"{'-' if session == NO_SESSION else session[:SHORT_ID]:<{SHORT_ID}}",
        printable(PurePath(event["project"]).name) if event["project"] else "-",
        payload_line(event["event_type"], event["payload"]),
    )
    width = terminal_width()
    if width and width < COMPACT_BELOW:
        when = f"{columns[0][5:19]}  {columns[2]}  {columns[1].strip()}"
        print(fit(f"{when}  {columns[3]}"), fit(f"  {columns[4]}"), sep="\n")
    else:
        print(fit("  ".join(columns)))


def payload_line(event_type: str, payload: Mapping[str, Any]) -> str:
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
        return "".join([str(get("text")), *(f" #{tag}" for tag in get("tags") or ())])
    return json.dumps(payload, ensure_ascii=False)


class LiveEvents:
    """New events that match a filter: those after `end`, up to which every event is final.

    BrokenPipeError: the program that read standard output has closed it.
    """

    def __init__(
        self, config: Config, wanted: EventFilter, show: Callable[[Mapping[Any, Any]], None]
    ) -> None:
        self._config = config
        self._wanted = wanted
        self._show = show
        self._follower = _follower(config, wanted)
        self.end = self._follower.skip_to_end()

    def follow(self) -> NoReturn:
        """Show them for ever; wait for a database that is away."""
        shown: int | None = self.end
        pause = 0.0
        while True:
            try:
                with open_log(self._config) as connection:
                    while True:
                        last = shown = self._follower.skip_to_end() if shown is None else shown
                        shown = self._show_page(connection, last)
                        pause = 0.0
                        _require_reader()
                        if shown == last:
                            self._follower.wait(LOOK_SECONDS)
            except OtherTimeline as error:
                _say(str(error))
                self._follower.close()
                self._follower = _follower(self._config, self._wanted)
                shown = None
            except DatabaseUnavailable as error:
                if not pause:
                    _say(f"waiting: {error}")
                pause = min(pause * 2 or FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
                _require_reader()
                time.sleep(pause)

    def _show_page(self, connection: Connection, shown: int) -> int:
        """Show the next events; returns the last id, which a page that failed leaves as it was."""
        from claude_headspace.store.queries import events_between

        if self._follower.cursor == shown:
            self._follower.listen()
            self._follower.read()
        cursor = self._follower.cursor
        if cursor != shown:
            found = connection.execute(events_between(self._wanted, shown, cursor)).mappings().all()
            connection.commit()
            for event in found:
                self._show(event)
            sys.stdout.flush()
        return cursor


def _say(text: str) -> None:
    print(f"claude-headspace: {printable(text)}", file=sys.stderr, flush=True)


def _follower(config: Config, wanted: EventFilter) -> Follower:
    from claude_headspace.embedded.location import reader_url
    from claude_headspace.store.connection import Database
    from claude_headspace.store.follower import Follower
    from claude_headspace.store.patience import Patience

    patience = Patience(beat=_require_reader)
    name = "claude-headspace events"
    database = Database(lambda: reader_url(config), application_name=name, patience=patience)
    types = None if wanted.event_type is None else [wanted.event_type]
    return Follower(database, types=types, session=wanted.session)


def _require_reader() -> None:
    """End as soon as nobody reads the output: the next event may be hours away."""
    output = select.poll()
    output.register(sys.stdout, 0)
    if any(happened & (select.POLLERR | select.POLLHUP) for _, happened in output.poll(0)):
        raise BrokenPipeError("the program that read standard output has closed it")
