"""Leaving an event in the inbox from a shell."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from claude_headspace.cli.command import add, moment

if TYPE_CHECKING:
    from datetime import datetime

    from claude_headspace.cli.command import Commands


def configure(commands: Commands) -> None:
    """Declare the command."""
    parser = add(
        commands, "emit", emit, "leave an event in the inbox for the watcher",
        "Needs neither Postgres nor the watcher. The event is on disk when its id is printed.\n"
        "An id is stored once, however often it is given. The payload must match its schema.",
        "claude-headspace emit hook_received --payload '{\"hook_type\": \"Stop\","
        ' "claude_session_id": "6f1d0a7e-0d3a-4c6b-9a0c-0123456789ab",'
        ' "working_directory": "/tmp"}\'',
    )  # fmt: skip
    parser.add_argument("type", metavar="TYPE", help="the event's type")
    parser.add_argument(
        "--payload", required=True, metavar="JSON", help="an object; -: read it from stdin"
    )
    parser.add_argument("--id", metavar="UUID", help="its identity (default: a new one)")
    parser.add_argument("--timestamp", type=moment, metavar="TIME", help="its time (default: now)")
    parser.add_argument(
        "--inbox", metavar="DIR", help="use this inbox instead of the configured one"
    )


def emit(arguments: Namespace) -> int:
    """Leave one event in the inbox."""
    from claude_headspace.cli.access import configured_inbox
    from claude_headspace.inbox.producer import new_id, put

    payload = _payload(arguments.payload)
    identity = (arguments.id or new_id()).lower()
    _check(arguments.type, payload, arguments.timestamp)
    inbox = arguments.inbox or configured_inbox()
    print(put(inbox, arguments.type, payload, timestamp=arguments.timestamp, event_id=identity))
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
