"""What failed by a fault of its own: kept with the reason, and tried again with growing pauses."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 60.0
# What is heard of anew is tried again this long after the last try, however long the pause.
NUDGED_SECONDS = 2.0
_TOLD = 3

Name = TypeVar("Name", bound=Hashable)


@dataclass(slots=True)
class _Held:
    reason: str
    tries: int
    tried_at: float
    due: float


class Quarantine(Generic[Name]):
    """Names that are set aside. One that succeeds is cleared, and its pauses begin anew."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._held: dict[Name, _Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Name]:
        return iter(self._held)

    def __contains__(self, name: object) -> bool:
        return name in self._held

    @property
    def reasons(self) -> Mapping[Name, str]:
        """Why each name is set aside."""
        return {name: held.reason for name, held in self._held.items()}

    def put(self, name: Name, reason: str) -> bool:
        """Set aside; whether the reason is news."""
        known = self._held.get(name)
        self.fail(name, reason)
        return known is None or known.reason != reason

    def fail(self, name: Name, reason: str) -> int:
        """Set aside; returns how often in a row it has failed now."""
        known = self._held.get(name)
        tries = known.tries + 1 if known else 1
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(tries - 1, 20), LONGEST_PAUSE_SECONDS)
        now = self._now()
        self._held[name] = _Held(reason, tries, now, now + pause)
        return tries

    def clear(self, name: Name) -> None:
        """It works, or there is nothing of this name any more."""
        self._held.pop(name, None)

    def keep(self, names: Collection[Name]) -> None:
        """Of all others nothing is to be tried any more."""
        for name in set(self._held).difference(names):
            del self._held[name]

    def holds(self, name: Name) -> bool:
        """Whether it is not to be tried yet."""
        held = self._held.get(name)
        return held is not None and held.due > self._now()

    def tries(self, name: Name) -> int:
        """How often in a row it has failed."""
        held = self._held.get(name)
        return held.tries if held else 0

    def nudge(self, name: Name) -> None:
        """Something was heard of it: the next try need not wait for the whole pause."""
        held = self._held.get(name)
        if held is not None:
            held.due = min(held.due, held.tried_at + NUDGED_SECONDS)

    def due(self) -> list[Name]:
        """What is to be tried again now."""
        now = self._now()
        return [name for name, held in self._held.items() if held.due <= now]

    @property
    def next_due(self) -> float | None:
        """When the next try is due, on the clock that was given."""
        return min((held.due for held in self._held.values()), default=None)


def told(kind: str, reasons: Mapping[Name, str]) -> str | None:
    """One sentence that names what is set aside, the first few of them; None for nothing."""
    if not reasons:
        return None
    first = [f"{name}: {reason}" for name, reason in list(reasons.items())[:_TOLD]]
    more = f" and {len(reasons) - _TOLD} more" if len(reasons) > _TOLD else ""
    return f"{kind} ({len(reasons)}): {'; '.join(first)}{more}"
