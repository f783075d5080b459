"""What a check found, in numbers and with the first places of each kind."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from claude_headspace.verify.logged import Tally

# Places told of each kind; more are only counted.
PLACES_TOLD = 100

Kind = Literal[
    "missing", "unread", "rejected", "differs", "moved", "position", "unkept", "unannounced", "file"
]
# moved: harmless by itself, a file that was rewritten looks the same. A damaged origin shows in
# the counts of its source, which then contradict what is found.
HARMLESS: frozenset[Kind] = frozenset({"moved"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where file and log are not the same.

    `line` counts from 1, `offset` is in bytes; `why` is for people.
    """

    kind: Kind
    why: str
    path: str | None = None
    line: int | None = None
    offset: int | None = None
    session: UUID | None = None
    line_uuid: str | None = None
    event_id: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The finding without what is not known of it."""
        values = {name: getattr(self, name) for name in self.__slots__}
        if self.session is not None:
            values["session"] = str(self.session)
        return {name: value for name, value in values.items() if value is not None}


@dataclass(slots=True)
class Report:
    """A whole check. `unfinished_bytes`: after the last newline, and no whole record yet."""

    host: str
    files: int = 0
    bytes: int = 0
    lines: int = 0
    unread_bytes: int = 0
    unfinished_bytes: int = 0
    rejected_lines: int = 0
    not_turns: int = 0
    announced: int = 0
    seconds: float = 0.0
    repair: bool = False
    rewound: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    totals: Tally = field(default_factory=Tally)
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)

    def tell(self, finding: Finding) -> None:
        """Count a finding, and keep it if it is one of the first of its kind."""
        self.counts[finding.kind] += 1
        if self.counts[finding.kind] <= PLACES_TOLD:
            self.findings.append(finding)

    @property
    def wrong(self) -> int:
        """How many findings are left that are not harmless and were not repaired."""
        found = sum(n for kind, n in self.counts.items() if kind not in HARMLESS)
        return found - self.totals.repaired - self.announced
