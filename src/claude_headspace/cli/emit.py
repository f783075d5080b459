"""Leaving an event in the inbox from a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from claude_headspace.cli.command import command, moment, option

if TYPE_CHECKING:
    from datetime import datetime


@command(
    "emit",
    'claude-headspace emit hook_received --payload \'{"hook_type": "Stop",'
    ' "claude_session_id": "6f1d0a7e-0d3a-4c6b-9a0c-0123456789ab",'
    ' "working_directory": "/tmp"}\'',
)
@click.argument("kind", metavar="TYPE")
@option("--payload", "JSON", "an object; -: read it from stdin", required=True)
@option("--id", "UUID", "its identity (default: a new one)", "identity")
@option("--timestamp", "TIME", "its time (default: now)", type=moment)
@option("--inbox", "DIR", "use this inbox instead of the configured one")
def emit(
    kind: str, payload: str, identity: str | None, timestamp: datetime | None, inbox: str | None
) -> int:
    """Leave an event in the inbox for the watcher.

    Needs neither Postgres nor the watcher. The event is on disk when its id is printed. An id is
    stored once, however often it is given. The payload must match its schema.
    """
    from claude_headspace.cli.access import configured_inbox
    from claude_headspace.inbox.producer import new_id, put

    given = _payload(payload)
    _check(kind, given, timestamp)
    place = inbox or configured_inbox()
    print(put(place, kind, given, timestamp=timestamp, event_id=(identity or new_id()).lower()))
    return 0


def _payload(given: str) -> dict[str, object]:
    import json
    import sys

    from claude_headspace.errors import EventInvalid

    try:
        payload = json.loads(sys.stdin.read() if given == "-" else given)
    except (ValueError, RecursionError) as error:
        raise EventInvalid("payload", f"is not JSON ({error})") from error
    if not isinstance(payload, dict):
        raise EventInvalid("payload", f"must be a JSON object, is {type(payload).__name__}")
    return payload


def _check(event_type: str, payload: dict[str, object], timestamp: datetime | None) -> None:
    """Say now what the watcher would reject later."""
    from datetime import UTC, datetime

    from claude_headspace.events.event import NO_SESSION, Event
    from claude_headspace.events.taxonomy import installed_taxonomy

    when = timestamp or datetime.now(UTC)
    installed_taxonomy().check(Event(event_type, when, payload, NO_SESSION))
