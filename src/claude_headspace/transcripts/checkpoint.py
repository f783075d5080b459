"""How far a source is committed, and counts of its lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

# The version of the rules that classify lines (see transcripts.classify). Lines that were read by
# older rules are read again.
RULES = 4
_HALF = 2**63


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where reading continues, and how to recognise the file that was read.

    `offset` counts committed bytes. `checksum` is the CRC-32 of all of them, `head` and `tail` of
    the first and last of them (see transcripts.source_file). `mtime_ns` is the time of the last
    read. `state` is the open state after these lines (see transcripts.transcript).
    """

    offset: int = 0
    device: int | None = None
    inode: int | None = None
    mtime_ns: int | None = None
    checksum: int = 0
    head: int = 0
    tail: int = 0
    state: str = ""


# Other lines are counted by type; types beyond this number are counted together.
MAX_KINDS = 100
MORE_KINDS = "of further types"


@dataclass(slots=True)
class LineCounts:
    """Counts of a source's committed lines; each record of a line counts."""

    lines: int = 0
    turns: int = 0
    duplicates: int = 0
    rescued: int = 0
    other: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)

    def add(self, more: LineCounts) -> None:
        """Add the counts of `more`."""
        self.lines += more.lines
        self.turns += more.turns
        self.duplicates += more.duplicates
        self.rescued += more.rescued
        for kind, count in more.other.items():
            known = kind in self.other or len(self.other) < MAX_KINDS
            self.other[kind if known else MORE_KINDS] += count
        self.rejected.update(more.rejected)

    def as_json(self) -> dict[str, Any]:
        """The counts as the database stores them."""
        counts: dict[str, Any] = msgspec.to_builtins(self)
        return counts

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> LineCounts:
        """The counts from the result of `as_json`."""
        lines, turns, duplicates, rescued = (
            int(stored.get(name, 0)) for name in ("lines", "turns", "duplicates", "rescued")
        )
        other, rejected = Counter(stored.get("other", {})), Counter(stored.get("rejected", {}))
        return cls(lines, turns, duplicates, rescued, other, rejected)


def as_stored(number: int) -> int:
    """A number of the operating system as a signed 64-bit number, which Postgres can store.

    Inodes may be unsigned 64-bit numbers, and times in nanoseconds exceed 2^63 in the year 2262.
    They wrap around, so different numbers stay different.
    """
    return (number + _HALF) % (2 * _HALF) - _HALF


def file_stamp(device: int, inode: int, size: int, mtime_ns: int) -> int:
    """A value that changes when a file is written to or replaced."""
    return hash((device, inode, size, mtime_ns))
