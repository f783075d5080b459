"""How long a wait for Postgres may last, and what is called meanwhile."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from claude_headspace.errors import DatabaseUnavailable
from claude_headspace.servers import Wait, finishing

ANSWER_SECONDS = 30.0
_SLICE_SECONDS = 0.1
Got = TypeVar("Got")


class Patience(Struct, frozen=True):
    """The limits of waits for Postgres.

    `beat` is called several times a second during every wait. `end`, called as often, may return a
    time on the monotonic clock at which to give up, earlier than `answer_seconds`.
    """

    beat: Callable[[], None] = lambda: None
    end: Callable[[], float | None] = lambda: None
    answer_seconds: float = ANSWER_SECONDS

    def left(self, started: float) -> float:
        """Seconds left for a wait that began at `started`."""
        limit = started + self.answer_seconds
        end = self.end()
        return (limit if end is None else min(limit, end)) - time.monotonic()

    def look(self, started: float) -> float:
        """The same, with a heartbeat."""
        self.beat()
        return self.left(started)

    def wait_for(self, connection: Any, seconds: float | None = None) -> None:
        """Wait until the connection has completed the current request.

        Raises DatabaseUnavailable after this many seconds at the latest.
        """
        self.finish(finishing(connection), seconds)

    def finish(self, steps: Generator[Wait, None, Got], seconds: float | None = None) -> Got:
        """The result of these steps, waiting in between; raises like `wait_for`."""
        patience = self
        if seconds is not None:
            patience = replace(self, answer_seconds=min(seconds, self.answer_seconds))
        started = time.monotonic()
        try:
            while True:
                patience._wait_for_socket(*next(steps), started)
        except StopIteration as end:
            got: Got = end.value
            return got
        finally:
            steps.close()

    def _wait_for_socket(self, descriptor: int, writing: bool, started: float) -> None:
        readers, writers = ([], [descriptor]) if writing else ([descriptor], [])
        while (left := self.look(started)) > 0:
            if any(select.select(readers, writers, [], min(left, _SLICE_SECONDS))):
                return
        waited = time.monotonic() - started
        raise DatabaseUnavailable(f"the database has not answered for {waited:.1f} s")
