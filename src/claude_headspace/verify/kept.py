"""What is kept of a line that was rejected, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Fate = Literal["written", "in the log already", "no longer rejected", "still rejected", "unknown"]


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of one dead letter; `event_ids`: of what stands in the log from it."""

    id: int
    path: str
    offset: int
    fate: Fate
    detail: str
    event_ids: tuple[int, ...] = ()

    @property
    def resolved(self) -> bool:
        """Whether there is nothing left to be fixed."""
        return self.fate not in ("still rejected", "unknown")


@dataclass(frozen=True, slots=True)
class KeptLine:
    """One row of dead_letters of a source of this machine."""

    id: int
    source_id: int
    offset: int
    reason: str
    content: bytes
    path: str
