"""Writes events in order, each exactly once and in its own transaction."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import takewhile

from claude_headspace.errors import DatabaseRefused, DatabaseUnavailable, EventInvalid
from claude_headspace.events.event import Event, encode
from claude_headspace.events.event_types import EventTypes, installed_types
from claude_headspace.store.batches import Prepared, arguments_of, encode_notes
from claude_headspace.store.connection import Database, Meanwhile
from claude_headspace.store.failures import FOREIGN_KEY_VIOLATION
from claude_headspace.store.patience import Patience
from claude_headspace.store.precondition import Precondition
from claude_headspace.store.results import WriteCounters, WriteOutcome, WriteResult

logger = logging.getLogger(__name__)

EVENTS_CHANNEL = "claude_headspace_events"
# Sent once per round trip, after its events are on disk; readers wait for it.
NOTIFICATION = f"NOTIFY {EVENTS_CHANNEL}"
RETRY_ATTEMPTS = 3
RETRY_DELAY_MS = 100

Measure = Callable[[Sequence[Event], Sequence["WriteResult"], float], None]
_IN_LOG_BEFORE = ("again", "duplicate")
_OUTCOMES: dict[str, WriteOutcome] = {"w": "written", "a": "again", "d": "duplicate"}

_CALL = (
    "CALL write_events(%s::uuid[], %s::uuid[], %s::text[], %s::timestamptz[], %s::text[],"
    " %s::text[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[], %s::bigint[], NULL, NULL)"
)


@dataclass(eq=False)
class EventWriter:
    """Writes events through its own connection.

    `pause(seconds)` waits between tries. `restore`, if given, is called once for an event whose
    references do not exist, and returns it with references that do. `measure` is called with every
    batch: its events, their results, and the seconds that it took.
    """

    database: Database
    _: KW_ONLY
    retry_attempts: int = RETRY_ATTEMPTS
    retry_delay_ms: int = RETRY_DELAY_MS
    pause: Callable[[float], None] = time.sleep
    event_types: EventTypes | None = None
    restore: Callable[[Event], Event] | None = None
    measure: Measure | None = None
    counters: WriteCounters = field(default_factory=WriteCounters, init=False)

    def __post_init__(self) -> None:
        self._types = self.event_types or installed_types()

    @classmethod
    def at(cls, url: str, answer_seconds: float = 5.0) -> EventWriter:
        """A writer for another program, which waits at most this long for each answer."""
        patience = Patience(answer_seconds=answer_seconds)
        return cls(Database(lambda: url, application_name="claude-headspace", patience=patience))

    def close(self) -> None:
        """Close the connection."""
        self.database.close()

    def write(self, event: Event) -> WriteResult:
        """Write one event durably. Errors of the event or the database are in the result."""
        return self.write_all([event])[0]

    def write_all(
        self,
        events: Sequence[Event],
        precondition: Precondition | None = None,
        meanwhile: Meanwhile | None = None,
    ) -> list[WriteResult]:
        """Write events in order, each in its own transaction; durable when this returns.

        `precondition`: what the events are based on; if it does not hold, nothing is tried.
        `meanwhile` is called while Postgres works, until it returns False.
        After the first failed event nothing more is tried, and all later events fail, too.
        """
        began = time.monotonic()
        prepared = [self._prepare(event) for event in events]
        self.database.finish_writes(meanwhile)
        fit = [item for item in prepared if isinstance(item, Prepared)]
        written = iter(self._write_with_retries(fit, precondition, meanwhile))
        results = [next(written) if isinstance(p, Prepared) else p for p in prepared]
        for result in results:
            self.counters.count(result)
        if self.measure:
            self.measure(events, results, time.monotonic() - began)
        return results

    def write_or_raise(
        self,
        events: Sequence[Event],
        precondition: Precondition,
        meanwhile: Meanwhile | None = None,
    ) -> list[WriteResult]:
        """The same; raises DatabaseUnavailable if an event failed."""
        results = self.write_all(events, precondition, meanwhile)
        if results and not results[-1].acknowledged:
            raise DatabaseUnavailable(results[-1].error or "the write failed")
        return results

    def _prepare(self, event: Event) -> Prepared | WriteResult:
        try:
            self._types.check(event)
            payload, event = encode(event)
            notes = encode_notes(event)
        except EventInvalid as error:
            return WriteResult("rejected", error=str(error), asked=False)
        return Prepared(event, payload.decode(), notes)

    def _write_with_retries(
        self,
        batch: Sequence[Prepared],
        precondition: Precondition | None,
        meanwhile: Meanwhile | None,
    ) -> list[WriteResult]:
        attempt = 1
        while batch:
            try:
                self.database.require(precondition)
                results = self._write_in_order(batch, meanwhile)
            except DatabaseUnavailable as error:
                if attempt > self.retry_attempts or not self.database.holds(precondition):
                    return self._give_up(batch, str(error), attempt)
                self._before_retry(attempt, error)
                attempt += 1
            else:
                # The answer to an earlier try may have been lost.
                return results if attempt == 1 else _as_tried_before(batch, results)
        return []

    def _before_retry(self, attempt: int, error: DatabaseUnavailable) -> None:
        delay = self.retry_delay_ms / 1000 * 2 ** (attempt - 1)
        logger.debug("write failed, retry %d in %.3f s: %s", attempt, delay, error)
        self.counters.retries += 1
        self.pause(delay)

    def _give_up(self, batch: Sequence[Prepared], error: str, tries: int) -> list[WriteResult]:
        first = batch[0].event
        logger.warning(
            "write failed after %d tries, %s of session %s at %s held (%d waiting): %s",
            tries, first.type, first.session_uuid, first.origin, len(batch), error,
        )  # fmt: skip
        return [WriteResult("failed", error=error)] * len(batch)

    def _write_in_order(
        self, batch: Sequence[Prepared], meanwhile: Meanwhile | None = None
    ) -> list[WriteResult]:
        """Write all of them in one round trip; one by one if one of them is refused."""
        try:
            return self._call(batch, meanwhile)
        except DatabaseRefused as error:
            if len(batch) == 1:
                return [self._refused(batch[0], error)]
        return self._write_one_by_one(batch)

    def _write_one_by_one(self, batch: Sequence[Prepared]) -> list[WriteResult]:
        """After a refusal in the middle of a batch: events that it committed are tried again."""
        results = [self._write_in_order([item])[0] for item in batch]
        known = list(takewhile(lambda result: result.outcome in _IN_LOG_BEFORE, results))
        return _as_tried_before(batch, known) + results[len(known) :]

    def _refused(self, item: Prepared, error: DatabaseRefused) -> WriteResult:
        if error.sqlstate == FOREIGN_KEY_VIOLATION and self.restore:
            restored = self.restore(item.event)
            if restored != item.event:
                again = Prepared(restored, item.payload, item.notes)
                try:
                    return self._call([again])[0]
                except DatabaseRefused as still:
                    error = still
        return WriteResult("rejected", error=str(error))

    def _call(
        self, batch: Sequence[Prepared], meanwhile: Meanwhile | None = None
    ) -> list[WriteResult]:
        rows = self.database.execute(_CALL, arguments_of(batch), meanwhile)
        ids, outcomes = rows[0]
        results = [
            WriteResult(_OUTCOMES[letter.lower()], event_id, shared=letter.isupper())
            for event_id, letter in zip(ids, outcomes, strict=True)
        ]
        for item, result in zip(batch, results, strict=True):
            logger.debug("%s %s as %s", item.event.type, result.outcome, result.event_id)
        return results


def _as_tried_before(
    batch: Sequence[Prepared], results: Sequence[WriteResult]
) -> list[WriteResult]:
    """The results of events that an earlier try may have written.

    An event without a place in a source then looks like a duplicate of itself.
    """
    return [
        replace(result, outcome="again")
        if result.outcome == "duplicate" and item.event.origin is None
        else result
        for item, result in zip(batch, results, strict=False)
    ]
