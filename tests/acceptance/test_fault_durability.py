"""What was acknowledged is on the disk."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from claude_headspace.events.event import Event
from claude_headspace.store.writer import EventWriter
from faults.machine import Machine, machine, query

# A server that flushes nothing by itself while the test lasts.
LAZY = "wal_writer_delay = 10s\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Machine]:
    with machine(settings=LAZY) as it:
        yield it


def event(name: str) -> Event:
    payload = {"hook_type": "Stop", "claude_session_id": name, "working_directory": "/"}
    return Event("hook_received", datetime.now(UTC), payload, uuid.uuid4())


def stored(url: str) -> set[str]:
    return {row[0] for row in query(url, "SELECT payload->>'claude_session_id' FROM events")}


@pytest.mark.parametrize("last", ["new", "duplicate"])
def test_events_written_survive_a_crash_of_postgres(server: Machine, last: str) -> None:
    with server.database() as url:
        writer = EventWriter.at(url)
        known = event("known")
        assert writer.write(known).outcome == "written"
        batch = [event(str(number)) for number in range(20)]
        if last == "duplicate":
            batch.append(known)
        results = writer.write_all(batch)
        server.crash()
        server.start()
        assert [result.outcome for result in results[:20]] == ["written"] * 20
        assert stored(url) == {"known", *map(str, range(20))}
