"""One round trip to Postgres with a time limit, even if the server is away, frozen or slow."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Mapping

import psycopg2

from claude_headspace.address import told_by_driver
from claude_headspace.errors import DatabaseUnavailable, HeadspaceError
from claude_headspace.health.observation import DatabasePing, Unanswered
from claude_headspace.servers import Asking, Wait, asking, hosts_of

TIME_LIMIT_SECONDS = 0.5
_RESOLVING_SECONDS = 0.1


class PingDeadline(HeadspaceError):
    """The server has not answered in time."""


class DatabaseProbe:
    """Pings in a thread, because the look-up of a host name has no time limit.

    Simultaneous callers share one ping; while one hangs, no second one starts.
    """

    def __init__(self, url: Callable[[], str], limit_seconds: float = TIME_LIMIT_SECONDS) -> None:
        self._url = url
        self._limit = limit_seconds
        self._lock = threading.Lock()
        self._thread = threading.Thread()
        self._answers: list[DatabasePing | Unanswered] = []

    def start(self) -> Callable[[], DatabasePing | Unanswered]:
        """Start, and return a function that waits for the answer, little longer than the limit."""
        with self._lock:
            if not self._thread.is_alive():
                self._answers = []
                self._thread = threading.Thread(
                    target=self._ping, args=(self._answers,), name="database-ping", daemon=True
                )
                self._thread.start()
            thread, answers = self._thread, self._answers
        deadline = time.monotonic() + self._limit + _RESOLVING_SECONDS

        def wait() -> DatabasePing | Unanswered:
            thread.join(max(0.0, deadline - time.monotonic()))
            return answers[0] if answers else Unanswered(f"no answer within {self._limit:g} s")

        return wait

    def _ping(self, answers: list[DatabasePing | Unanswered]) -> None:
        try:
            answers.append(DatabasePing(ping(self._url(), self._limit)))
        except (psycopg2.Error, HeadspaceError, OSError) as error:
            answers.append(Unanswered(told_by_driver(error)))


def ping(url: str, limit_seconds: float) -> float:
    """Seconds to connect and run one statement, at the first suitable host of the address.

    All hosts are tried at once. Raises psycopg2.Error, PingDeadline or DatabaseUnavailable.
    """
    began = time.monotonic()
    waits: dict[Asking, Wait | None] = {asking(h.dsn, url): None for h in hosts_of(url)}
    problems: list[Exception] = []
    try:
        while waits:
            for each in _ready(waits, began + limit_seconds):
                try:
                    waits[each] = next(each)
                except StopIteration:
                    return time.monotonic() - began
                except (psycopg2.Error, HeadspaceError) as error:
                    problems.append(error)
                    del waits[each]
    finally:
        for each in waits:
            each.close()
    if len(problems) == 1:
        raise problems[0]
    raise DatabaseUnavailable("; ".join(map(told_by_driver, problems)))


def _ready(waits: Mapping[Asking, Wait | None], deadline: float) -> list[Asking]:
    """The connections that are ready; raises PingDeadline if none is in time."""
    begun = [each for each, wait in waits.items() if wait is None]
    readers = [wait[0] for wait in waits.values() if wait and not wait[1]]
    writers = [wait[0] for wait in waits.values() if wait and wait[1]]
    left = deadline - time.monotonic()
    found = select.select(readers, writers, (), 0 if begun else max(0, left))
    if left <= 0 or not (begun or any(found)):
        raise PingDeadline("no answer in time")
    descriptors = {*found[0], *found[1]}
    return begun + [each for each, wait in waits.items() if wait and wait[0] in descriptors]
