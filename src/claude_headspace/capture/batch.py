"""The result of one step: lines of a source, to be written and committed together."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from claude_headspace.capture.reader import ReadLine, Segment
from claude_headspace.capture.sources import CheckedSource
from claude_headspace.events.event import Event
from claude_headspace.store.checkpoints import StoredSource
from claude_headspace.store.dead_letters import DeadLetter
from claude_headspace.store.projections import WorkRows
from claude_headspace.store.sessions import StoredSession
from claude_headspace.transcripts.checkpoint import LineCounts
from claude_headspace.transcripts.outcomes import Turn, Withdrawn


@dataclass(frozen=True, slots=True)
class Announced:
    """The event that announces a session."""

    session: StoredSession
    event: Event


@dataclass(frozen=True, slots=True)
class AttributedTurn:
    """A turn with its line and session."""

    session: StoredSession
    turn: Turn
    line: ReadLine


@dataclass(slots=True)
class Batch:
    """Lines of a source, attributed to sessions; `events` has one event for each of `causes`."""

    source: CheckedSource
    segment: Segment
    causes: list[Announced | AttributedTurn] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    counts: LineCounts = field(default_factory=LineCounts)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    sessions: set[UUID] = field(default_factory=set)
    withdrawn: list[Withdrawn] = field(default_factory=list)
    # Titles of sessions by the key of the line that gave them.
    titles: dict[UUID, str] = field(default_factory=dict)
    work: WorkRows = field(default_factory=WorkRows)

    @property
    def stored(self) -> StoredSource:
        """The row of the source before this batch."""
        return self.source.stored

    def reject(self, offset: int, reason: str, detail: str, content: bytes) -> None:
        """Count and store a rejected line or event."""
        self.counts.rejected[reason] += 1
        self.dead_letters.append(DeadLetter(offset, reason, detail, content))
