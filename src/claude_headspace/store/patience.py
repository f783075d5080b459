"""How long a wait for Postgres may last, and what goes on meanwhile."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from psycopg2 import extensions

from claude_headspace.errors import DatabaseUnavailable

ANSWER_SECONDS = 30.0
_SLICE_SECONDS = 0.1


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

    def wait_for(self, connection: Any, seconds: float | None = None) -> None:
        """Until the connection has nothing more to do for the current request.

        Raises DatabaseUnavailable after so many seconds, if not before.
        """
        patience = self
        if seconds is not None:
            patience = replace(self, answer_seconds=min(seconds, self.answer_seconds))
        started = time.monotonic()
        while (state := connection.poll()) != extensions.POLL_OK:
            patience._wait_for_socket(connection, state == extensions.POLL_WRITE, started)

    def _wait_for_socket(self, connection: Any, writing: bool, started: float) -> None:
        sockets = [connection.fileno()]
        readers, writers = ([], sockets) if writing else (sockets, [])
        while (left := self.look(started)) > 0:
            if any(select.select(readers, writers, [], min(left, _SLICE_SECONDS))):
                return
        waited = time.monotonic() - started
        raise DatabaseUnavailable(f"the database gave no answer for {waited:.1f} s")
