"""Writing an event to the inbox from a shell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from claude_headspace.cli.command import command, moment, option
from claude_headspace.errors import START_COMMAND

if TYPE_CHECKING:
    from datetime import datetime


@command(
    "emit",
    "claude-headspace emit note 'deployed 2.4' --tag release",
    "claude-headspace emit session_ended --payload"
    ' \'{"session_uuid": "6f1d0a7e-0d3a-4c6b-9a0c-0123456789ab", "reason": "closed"}\'',
)
@click.argument("kind", metavar="TYPE", help="the type of the event, or `note`")
@click.argument("words", metavar="[TEXT]...", nargs=-1, help="the text of a note")
@option("--payload", "JSON", "a JSON object; -: read it from stdin")
@option("--tag", "TAG", "a tag of a note; may be given more than once", "tags", multiple=True)
@option("--source", "NAME", "who or what the note comes from")
@option("--id", "UUID", "the event's id (default: a new one)", "identity")
@option("--timestamp", "TIME", "the event's time (default: now)", type=moment)
@option("--inbox", "DIR", "use this inbox instead of the configured one")
def emit(
    kind: str, identity: str | None, timestamp: datetime | None, inbox: str | None, **given: Any
) -> int:
    """Leave an event in the inbox for the watcher.

    Needs neither Postgres nor the watcher. The event is on disk when its id is printed. Each id is
    stored only once. The payload must match the schema of its type; `emit note TEXT` writes an
    event of type note_added.
    """
    from claude_headspace.inbox.producer import new_id, put

    if kind == "note":
        kind = "note_added"
        payload = _note(**given)
    else:
        payload = _given(**given)
    _check(kind, payload, timestamp)
    place = _inbox(inbox)
    print(put(place, kind, payload, timestamp=timestamp, event_id=(identity or new_id()).lower()))
    return 0


def _note(
    words: tuple[str, ...], tags: tuple[str, ...], source: str | None, payload: str | None
) -> dict[str, object]:
    if not words or payload is not None:
        raise click.UsageError("`emit note` needs TEXT, and takes no --payload")
    payload_of: dict[str, object] = {"text": " ".join(words)}
    if tags:
        payload_of["tags"] = list(tags)
    return {**payload_of, "source": source} if source else payload_of


def _given(payload: str | None, **of_notes: object) -> dict[str, object]:
    if payload is None or any(of_notes.values()):
        raise click.UsageError("give --payload; TEXT, --tag and --source are for `emit note`")
    return _payload(payload)


def _inbox(given: str | None) -> str:
    """The inbox to use; InboxError where no watcher would ever read it."""
    from claude_headspace.cli.access import configured_inbox
    from claude_headspace.errors import InboxError

    if given is None:
        inbox = configured_inbox()
        known = inbox.parent.is_dir()
    else:
        inbox = Path(given)
        known = inbox.is_dir()
    if not known:
        begin = f"start it with `{START_COMMAND}`"
        raise InboxError(f"{inbox} is not the inbox of any watcher: none has run there; {begin}")
    return str(inbox)


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
    """Report now what the watcher would reject later."""
    from datetime import UTC, datetime

    from claude_headspace.events.event import NO_SESSION, Event
    from claude_headspace.events.taxonomy import installed_taxonomy

    when = timestamp or datetime.now(UTC)
    installed_taxonomy().check(Event(event_type, when, payload, NO_SESSION))
