"""Quarantine: names that failed by a fault of their own, retried with growing pauses."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from claude_headspace.errors import DatabaseUnavailable, StopRequested

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 60.0
# After news of a name it is tried again this long after the last try, however long the pause.
NUDGED_SECONDS = 2.0
_TOLD = 3

Name = TypeVar("Name", bound=Hashable)
Item = TypeVar("Item")


@dataclass(slots=True)
class _Held:
    reason: str
    tries: int
    tried_at: float
    due: float


class Quarantine(Generic[Name]):
    """Names in quarantine. A success removes a name and resets its pauses."""

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
        """Why each name is in quarantine."""
        return {name: held.reason for name, held in self._held.items()}

    def put(self, name: Name, reason: str) -> bool:
        """Put a name into quarantine; returns whether the reason is new."""
        known = self._held.get(name)
        tries = self.tries(name) + 1
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(tries - 1, 20), LONGEST_PAUSE_SECONDS)
        now = self._now()
        self._held[name] = _Held(reason, tries, now, now + pause)
        return known is None or known.reason != reason

    def release(self, name: Name) -> None:
        """Remove a name that works again or no longer exists."""
        self._held.pop(name, None)

    def keep_only(self, names: Collection[Name]) -> None:
        """Remove all other names."""
        for name in set(self._held).difference(names):
            del self._held[name]

    def holds(self, name: Name) -> bool:
        """Whether its next try is not due yet."""
        return name in self._held and self._held[name].due > self._now()

    def tries(self, name: Name) -> int:
        """How often in a row it has failed."""
        return self._held[name].tries if name in self._held else 0

    def nudge(self, name: Name) -> None:
        """There is news of it: the next try need not wait for the whole pause."""
        if held := self._held.get(name):
            held.due = min(held.due, held.tried_at + NUDGED_SECONDS)

    def due(self) -> list[Name]:
        """The names whose next try is due."""
        now = self._now()
        return [name for name, held in self._held.items() if held.due <= now]

    @property
    def next_due(self) -> float | None:
        """When the next try is due, on the given clock."""
        return min((held.due for held in self._held.values()), default=None)


def summary(kind: str, reasons: Mapping[Name, str]) -> str | None:
    """One sentence that names the first few of them; None if there are none."""
    if not reasons:
        return None
    first = [f"{name}: {reason}" for name, reason in list(reasons.items())[:_TOLD]]
    more = f" and {len(reasons) - _TOLD} more" if len(reasons) > _TOLD else ""
    return f"{kind} ({len(reasons)}): {'; '.join(first)}{more}"


def each_apart(
    items: Sequence[Item],
    work: Callable[[Sequence[Item]], None],
    *,
    failed: Callable[[], None],
    give_up: Callable[[Item, str], None],
) -> None:
    """Work on items together; after an error one by one, to find those that cause it.

    `failed` is called after each error, and `give_up` with an item that fails by itself.
    """
    try:
        work(items)
    except (DatabaseUnavailable, StopRequested):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the fault of one item
        failed()
        if len(items) == 1:
            give_up(items[0], f"{type(error).__name__}: {error}")
            return
        for item in items:
            each_apart([item], work, failed=failed, give_up=give_up)
