"""How long a wait for Postgres may last, and what goes on meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

ANSWER_SECONDS = 30.0


def _no_beat() -> None:
    """For callers that have no sign of life to give."""


def _no_end() -> float | None:
    return None


@dataclass(frozen=True, slots=True)
class Patience:
    """How a wait for Postgres behaves.

    `beat` is called several times a second in every wait. `end`, asked as often, may give a
    moment on the monotonic clock after which to give up, earlier than `answer_seconds` says.
    """

    beat: Callable[[], None] = _no_beat
    end: Callable[[], float | None] = _no_end
    answer_seconds: float = ANSWER_SECONDS

    def left(self, started: float) -> float:
        """Seconds until a wait that began at `started` must be given up."""
        limit = started + self.answer_seconds
        end = self.end()
        return (limit if end is None else min(limit, end)) - time.monotonic()

    def look(self, started: float) -> float:
        """The same, with a sign of life."""
        self.beat()
        return self.left(started)
