"""What the log holds of transcripts that a test writes."""

from __future__ import annotations

from faults.load import Transcript
from faults.machine import query, wait_for
from faults.watched import Watched


def logged(watcher: Watched, session: str) -> list[str]:
    """Uuids of a session's turns in the order of the log."""
    found = query(
        watcher.url,
        "SELECT payload->>'line_uuid' FROM events"
        " WHERE event_type = 'turn_detected' AND session_uuid = %s ORDER BY id",
        (session,),
    )
    return [row[0] for row in found]


def wait_logged(watcher: Watched, *written: Transcript) -> None:
    """Wait until everything written is there; then it must be there once and in order."""
    for each in written:
        wait_for(
            lambda: len(logged(watcher, each.session)) >= len(each.turns),  # noqa: B023
            f"{len(each.turns)} turns of {each.path}; {watcher.log[-1000:]}",
        )
        assert logged(watcher, each.session) == each.turns
