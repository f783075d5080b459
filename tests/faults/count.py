"""What is in the log against what was written, counted without any code of the program."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise

import psycopg2

from faults.load import Transcript
from faults.machine import query


@dataclass(frozen=True)
class Count:
    """Turns lost, stored twice, stored out of order, stored without having been written; lines
    that the accounting of the sources counts too few or too many; sessions whose registration,
    turns and end are in another order, where that was looked at."""

    lost: int = 0
    doubled: int = 0
    misplaced: int = 0
    foreign: int = 0
    misaccounted: int = 0
    disordered: int = 0

    @property
    def clean(self) -> bool:
        return not any(astuple(self))


def count(url: str, written: Sequence[Transcript]) -> Count:
    """The count of everything in a database that holds just these transcripts."""
    rows = query(
        url,
        "SELECT session_uuid::text, payload->>'line_uuid' FROM events"
        " WHERE event_type = 'turn_detected' ORDER BY id",
    )
    stored = Counter(rows)
    expected = {(t.session, turn) for t in written for turn in t.turns}
    return Count(
        lost=len(expected - stored.keys()),
        doubled=sum(times - 1 for times in stored.values()),
        misplaced=_misplaced(rows, written),
        foreign=len(stored.keys() - expected),
        misaccounted=_misaccounted(url, written),
    )


def _misplaced(rows: Sequence[tuple[str, ...]], written: Sequence[Transcript]) -> int:
    """Turns whose row comes before that of an earlier line of their file."""
    place = {row: number for number, row in enumerate(rows)}
    wrong = 0
    for transcript in written:
        places = [place.get((transcript.session, turn)) for turn in transcript.turns]
        found = [at for at in places if at is not None]
        wrong += sum(later < earlier for earlier, later in pairwise(found))
    return wrong


def missing_or_doubled(url: str, left: Sequence[str]) -> tuple[int, int]:
    """How many of the events left in an inbox are not in the log, and how many are there again."""
    stored = Counter(
        row[0]
        for row in query(
            url, "SELECT event_key::text FROM events WHERE event_type = 'hook_received'"
        )
    )
    assert stored.keys() <= set(left)
    return len(set(left) - stored.keys()), stored.total() - len(stored)


def disordered(url: str, written: Sequence[Transcript]) -> int:
    """Sessions that are not registered first, ended last by their hook, and each once."""
    kinds: dict[str, list[str]] = {transcript.session: [] for transcript in written}
    for session, kind in query(
        url,
        "SELECT session_uuid::text, coalesce(payload->>'hook_type', event_type) FROM events"
        " ORDER BY id",
    ):
        kinds.setdefault(session, []).append(kind)
    return sum(not _is_in_order(kinds[transcript.session]) for transcript in written)


def _is_in_order(kinds: Sequence[str]) -> bool:
    first, between, last = kinds[:1], kinds[1:-2], kinds[-2:]
    ends = (first, last) == (["session_registered"], ["SessionEnd", "session_ended"])
    return ends and Counter(between).keys() <= {"SessionStart", "turn_detected"}


def _misaccounted(url: str, written: Sequence[Transcript]) -> int:
    """Each machine that reads a file counts its lines; a turn counts for the one that wrote it."""
    stored: dict[str, list[tuple[int, ...]]] = {}
    for path, *counts in query(
        url,
        "SELECT path, (counts->>'lines')::int, (counts->>'turns')::int,"
        " coalesce((counts->'other'->>'progress')::int, 0), committed_offset FROM checkpoints",
    ):
        stored.setdefault(path, []).append(tuple(counts))
    wrong = 0
    for t in written:
        size = t.path.stat().st_size if t.path.exists() else 0
        machines = stored.get(str(t.path)) or [(0, 0, 0, 0)]
        wrong += abs(sum(turns for _, turns, _, _ in machines) - len(t.turns))
        for lines, _, other, committed in machines:
            wrong += abs(lines - len(t.turns) - t.noise) + abs(other - t.noise)
            wrong += committed != size
    return wrong


def committed(url: str, written: Sequence[Transcript], seconds: float = 100.0) -> Count:
    """The count once nothing is missing any more, or the time is up.

    What comes too late or twice after that is found because the count is taken once more.
    """
    wanted = sum(len(t.turns) for t in written)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and _rows(url) < wanted:
        time.sleep(0.05)
    while time.monotonic() < deadline and not count(url, written).clean:
        time.sleep(0.05)
    return count(url, written)


def _rows(url: str) -> int:
    try:
        found = query(url, "SELECT count(*) FROM events WHERE event_type = 'turn_detected'")
    except psycopg2.OperationalError:
        return -1
    return int(found[0][0])


rows = _rows
