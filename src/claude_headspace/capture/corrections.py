"""Corrects the log for lines that older rules read differently."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from claude_headspace.capture.attribution import Batch
from claude_headspace.events.event import Event, encode
from claude_headspace.sessions.lifecycle import Sessions
from claude_headspace.store.revisions import LoggedTurn, Revisions, TurnName
from claude_headspace.store.sessions import StoredSession
from claude_headspace.transcripts.checkpoint import RULES
from claude_headspace.transcripts.parsed import Other, Turn, line_key
from claude_headspace.transcripts.secrets import Redaction


class Corrections:
    """Compares what the current rules make of lines with what the log has of them."""

    def __init__(self, sessions: Sessions, revisions: Revisions, redaction: Redaction) -> None:
        self._sessions = sessions
        self._revisions = revisions
        self._redaction = redaction

    def of(self, batch: Batch) -> tuple[list[Event], list[str]]:
        """The missing events, and the statements that correct the others; counts the turns."""
        turns = [(cause, event) for cause, event in batch.made if isinstance(cause.found, Turn)]
        said = {(event.key, event.session_uuid) for _, event in turns}
        silent = self._silent(batch)
        logged = self._revisions.logged({key for key, _ in said | silent})
        events = [event for cause, event in batch.made if not isinstance(cause.found, Turn)]
        statements: list[str] = []
        added: set[TurnName] = set()
        for (session, _, _), event in turns:
            name = (event.key, event.session_uuid)
            known = logged.get(name)
            if name in added:
                batch.counts.duplicates += 1
            elif known is None:
                added.add(name)
                events.append(event)
                batch.counts.turns += 1
            else:
                statements += self._revised(batch, session, known, event)
        wrong = [logged[name].id for name in silent - said if name in logged]
        statements += self._revisions.retract(wrong)
        if batch.stored.counts.rejected:
            segment, still = batch.segment, {each.offset for each in batch.dead_letters}
            place = (batch.stored.id, segment.start.offset, segment.end.offset)
            statements.append(self._revisions.resolve(*place, still))
        return [event.annotated(rules=RULES) for event in events], statements

    def _silent(self, batch: Batch) -> set[TurnName]:
        """Lines that are not turns."""
        found = (found for line in batch.segment.lines for found in line.parsed)
        return {
            (line_key(other.uuid), other.session)
            for other in found
            if isinstance(other, Other) and other.uuid and other.session
            if self._sessions.captured(other.session)
        }

    def _revised(
        self, batch: Batch, session: StoredSession, known: LoggedTurn, event: Event
    ) -> Sequence[str]:
        here = known.origin == event.origin
        batch.counts.turns += here
        batch.counts.duplicates += not here
        if "copy_of" in known.annotations and "copy_of" not in event.annotations:
            self._sessions.shares(session, shared=True)
        payload, event = encode(event)
        today = msgspec.json.decode(payload)
        notes = {**known.annotations, **event.annotations}
        before = {n: v for n, v in known.payload.items() if today.get(n) != v}
        if before:
            before = {n: self._redaction.text(str(v)) for n, v in before.items()}
            notes["revised"] = {"rules": RULES, **before}
        same = today == known.payload and notes == known.annotations and not known.retracted
        return () if same else (self._revisions.revise(known, payload, notes, event.timestamp),)
