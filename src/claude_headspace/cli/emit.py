"""Writing an event to the inbox from a shell."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from claude_headspace.cli.access import configured, inbox_of
from claude_headspace.cli.command import command, option, parse_moment
from claude_headspace.errors import START_COMMAND, EventInvalid, InboxError
from claude_headspace.inbox.producer import new_id, put


@command(
    "emit",
    "claude-headspace emit note 'deployed 2.4' --tag release",
    "claude-headspace emit session_ended --payload"
    ' \'{"session_uuid": "6f1d0a7e-0d3a-4c6b-9a0c-0123456789ab", "reason": "closed"}\'',
)
@click.argument("kind", metavar="TYPE", help="the type of the event, or `note`")
@click.argument("words", metavar="[TEXT]...", nargs=-1, help="the text of a note")
@option("--payload", "JSON", "a JSON object, or - to read it from standard input")
@option("--tag", "TAG", "a tag of a note; may be given more than once", "tags", multiple=True)
@option("--source", "NAME", "who or what the note comes from")
@option("--id", "UUID", "the event's id (default: a new one)", "identity")
@option("--timestamp", "TIME", "the event's time (default: now)", type=parse_moment)
@option("--inbox", "DIR", "use this inbox instead of the configured one")
def emit(
    kind: str, identity: str | None, timestamp: datetime | None, inbox: str | None, **given: Any
) -> int:
    """Leave an event in the inbox for the watcher.

    Needs neither Postgres nor the watcher. The event is on disk when its id is printed. Each id is
    stored only once. The payload must match the schema of its type; `emit note TEXT` writes an
    event of type note_added.
    """
    is_note = kind == "note"
    payload = _note(**given) if is_note else _payload(**given)
    kind = "note_added" if is_note else kind
    _check(kind, payload, timestamp)
    directory = _inbox(inbox)
    print(
        put(directory, kind, payload, timestamp=timestamp, event_id=(identity or new_id()).lower())
    )
    return 0


def _note(
    words: tuple[str, ...], tags: tuple[str, ...], source: str | None, payload: str | None
) -> dict[str, object]:
    if not words or payload is not None:
        raise click.UsageError("`emit note` needs TEXT, and takes no --payload")
    made = {"text": " ".join(words), "tags": list(tags), "source": source}
    return {name: value for name, value in made.items() if value or name == "text"}


def _payload(payload: str | None, **of_notes: object) -> dict[str, object]:
    if payload is None or any(of_notes.values()):
        raise click.UsageError("give --payload; TEXT, --tag and --source are for `emit note`")
    try:
        fields = json.loads(sys.stdin.read() if payload == "-" else payload)
    except (ValueError, RecursionError) as error:
        raise EventInvalid("payload", f"is not JSON ({error})") from error
    if not isinstance(fields, dict):
        raise EventInvalid("payload", f"must be a JSON object, is {type(fields).__name__}")
    return fields


def _inbox(given: str | None) -> str:
    """The inbox to use; InboxError where no watcher would ever read it."""
    inbox = inbox_of(configured()) if given is None else Path(given)
    if not (inbox.parent if given is None else inbox).is_dir():
        begin = f"start it with `{START_COMMAND}`"
        raise InboxError(f"{inbox} is not the inbox of any watcher: none has run there; {begin}")
    return str(inbox)


def _check(event_type: str, payload: dict[str, object], timestamp: datetime | None) -> None:
    """Report now what the watcher would reject later."""
    from claude_headspace.events.event import NO_SESSION, Event
    from claude_headspace.events.event_types import installed_types

    when = timestamp or datetime.now(UTC)
    installed_types().check(Event(event_type, when, payload, NO_SESSION))
