"""The result of a check: counts, and the first findings of each kind."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields
from typing import Literal
from uuid import UUID

# Stored findings of each kind; more are only counted.
PLACES_TOLD = 100

FindingKind = Literal[
    "missing", "unread", "rejected", "differs", "order", "doubled", "invented", "misplaced",
    "registration", "ending", "checkpoint", "dead_letter", "unreadable", "older_rules",
    "archive", "unproven",
]  # fmt: skip
# Not faults: the watcher will read these sources again, or they no longer exist.
HARMLESS: frozenset[FindingKind] = frozenset({"older_rules", "unproven"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where file and log differ.

    `line` counts from 1, `offset` is in bytes; `why` is for people.
    """

    kind: FindingKind
    why: str
    path: str | None = None
    line: int | None = None
    offset: int | None = None
    session: UUID | None = None
    line_uuid: str | None = None
    event_id: int | None = None


@dataclass(slots=True)
class SessionTally:
    """Counts of one session's turns.

    in_log: in a file and in the log. repeated: another time in the files. missing: in a file and
    read, but not in the log. unread: not read yet. rejected: a dead letter. not_captured: of a
    session that is not captured. differs: in the log, but different. file_gone: in the log, but
    their file or their part of it is gone. file_replaced: in the log, but their file was rewritten.
    invented: in the log, but no line of their file explains them. repaired: missing, now written.
    """

    in_log: int = 0
    repeated: int = 0
    missing: int = 0
    unread: int = 0
    rejected: int = 0
    not_captured: int = 0
    differs: int = 0
    file_gone: int = 0
    file_replaced: int = 0
    invented: int = 0
    repaired: int = 0


TALLIES = tuple(field.name for field in fields(SessionTally))


@dataclass(slots=True)
class Report:
    """The result of a check.

    `unfinished_bytes`: after the last newline, not a complete record yet. `of_sessions`: missing
    session_registered and session_ended events that were written. `from_archive`: files that are
    gone and were read from the archive.
    """

    host: str
    files: int = 0
    bytes: int = 0
    lines: int = 0
    unread_bytes: int = 0
    unfinished_bytes: int = 0
    rejected_lines: int = 0
    not_turns: int = 0
    from_archive: int = 0
    archived_files: int = 0
    archived_bytes: int = 0
    unarchived_bytes: int = 0
    of_sessions: int = 0
    seconds: float = 0.0
    rewound: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sessions: defaultdict[UUID, SessionTally] = field(
        default_factory=lambda: defaultdict(SessionTally)
    )
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[FindingKind] = field(default_factory=Counter)

    def tell(self, finding: Finding) -> None:
        """Count a finding, and store it if it is one of the first of its kind."""
        self.counts[finding.kind] += 1
        if self.counts[finding.kind] <= PLACES_TOLD:
            self.findings.append(finding)

    def tell_first(self, finding: Finding, total: int) -> None:
        """The same for one of the first of a kind, with the total of the kind."""
        self.counts[finding.kind] = total
        self.findings.append(finding)

    @property
    def totals(self) -> SessionTally:
        """The sum over all sessions."""
        counted = self.sessions.values()
        return SessionTally(*(sum(getattr(tally, name) for tally in counted) for name in TALLIES))

    @property
    def wrong(self) -> int:
        """The number of findings that are faults and were not repaired."""
        found = sum(n for kind, n in self.counts.items() if kind not in HARMLESS)
        return found - self.totals.repaired - self.of_sessions
