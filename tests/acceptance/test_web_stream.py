"""The stream of events: all of them, in order, once, from where a connection broke, for many."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from supervised import free_port

from harness import Log
from website import Stream, Website, website

STREAMS = 200
MOST_BYTES = 80_000_000
MORE_SECONDS = 0.02


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Website]:
    with website(tmp_path / "state", database_url, free_port()) as it:
        yield it


def write(log: Log, *texts: str, kind: str = "turn_detected", session: str | None = None) -> None:
    log.rows(
        "INSERT INTO events (timestamp, event_type, payload, session_uuid, event_key) SELECT"
        " now(), %s, jsonb_build_object('text', said), %s, gen_random_uuid()"
        " FROM unnest(%s) AS said; NOTIFY claude_headspace_events",
        (kind, session or str(uuid.uuid4()), list(texts)),
    )


def texts(stream: Stream, count: int) -> list[str]:
    return [stream.next()[1]["payload"]["text"] for _ in range(count)]


def wait_for_id(ids: Stream, newest: int) -> None:
    """The ids of one transaction can become final one after the other."""
    told = [ids.next()]
    while told[-1][0] < newest:
        told.append(ids.next())
    assert told[-1] == (newest, {})
    assert len(told) <= 2


def test_a_stream_begins_at_the_end_and_goes_on_where_it_broke(site: Website, log: Log) -> None:
    write(log, "before")
    first = site.stream("?after=0")
    assert texts(first, 1) == ["before"]
    write(log, "one", "two")
    last, event = first.next()
    assert event["payload"]["text"] == "one"
    assert event["id"] == last
    first.close()
    write(log, "three")
    again = site.stream(Last_Event_ID=str(last))
    assert texts(again, 2) == ["two", "three"]
    write(log, "four")
    assert texts(again, 1) == ["four"]


def test_what_was_missed_is_read_from_the_log(site: Website, log: Log) -> None:
    """More than the feed remembers, and more than a page."""
    many = [str(number) for number in range(1234)]
    write(log, *many)
    late = site.stream("?after=0")
    assert texts(late, len(many)) == many
    write(log, "new")
    assert texts(late, 1) == ["new"]


def test_a_stream_holds_what_was_asked_for(site: Website, log: Log) -> None:
    session = str(uuid.uuid4())
    write(log, "other", "another")
    write(log, "hook", kind="hook_received", session=session)
    write(log, "said", session=session)
    stream = site.stream(f"?after=0&session={session[:8]}&type=turn_detected")
    assert texts(stream, 1) == ["said"]


def test_a_stream_of_ids_is_told_the_newest_and_others_miss_no_data(
    site: Website, log: Log
) -> None:
    session = str(uuid.uuid4())
    ids = site.stream(f"?after=0&only=ids&session={session}")
    write(log, "one", "two", session=session)
    write(log, "other")
    newest = "SELECT max(id) FROM events WHERE session_uuid = %s::uuid"
    wait_for_id(ids, log.value(newest, (session,)))
    whole = site.stream("?after=0")
    assert texts(whole, 3) == ["one", "two", "other"]
    write(log, "three", session=session)
    assert texts(whole, 1) == ["three"]
    wait_for_id(ids, log.value(newest, (session,)))
    whole.close()
    write(log, "four", session=session)
    wait_for_id(ids, log.value(newest, (session,)))
    assert texts(site.stream("?after=0"), 5)[-1] == "four"


def test_events_of_a_transaction_that_is_slow_come_in_their_place(site: Website, log: Log) -> None:
    import psycopg2

    stream = site.stream("?after=0")
    slow = psycopg2.connect(log.url)
    with slow.cursor() as cursor:
        cursor.execute(
            "INSERT INTO events (timestamp, event_type, payload, session_uuid, event_key) VALUES"
            " (now(), 'turn_detected', '{\"text\": \"slow\"}', gen_random_uuid(),"
            " gen_random_uuid())"
        )
    write(log, "quick")
    time.sleep(0.3)  # time in which a hasty reader would send it
    slow.commit()
    slow.close()
    assert texts(stream, 2) == ["slow", "quick"]


def test_a_stream_outlives_its_connection_to_postgres(site: Website, log: Log) -> None:
    stream = site.stream("?after=0")
    write(log, "one")
    assert texts(stream, 1) == ["one"]
    for pid in log.other_backends():
        log.rows("SELECT pg_terminate_backend(%s)", (pid,))
    write(log, "two")
    assert texts(stream, 1) == ["two"]


@pytest.mark.parametrize("received", ["999999", "1@7"])
def test_an_id_beyond_the_log_or_of_another_server_is_told(
    site: Website, log: Log, received: str
) -> None:
    write(log, "old")
    stream = site.stream(Last_Event_ID=received)
    fields = stream.block()
    while "event" not in fields:
        fields = stream.block()
    assert fields["event"] == "reset"
    write(log, "new")
    assert texts(stream, 1) == ["new"]


def test_a_stream_without_sense_is_refused(site: Website) -> None:
    for query in (
        "?after=x",
        "?after=-1",
        "?after=99999999999999999999",
        "?after=1@",
        "?color=red",
        "?only=names",
    ):
        answer = site.get(f"/api/events/stream{query}")
        assert answer.status == 400
        assert answer.json["error"]["kind"] == "bad_request"


def test_many_streams_cost_little(
    site: Website, log: Log, record_property: Callable[[str, object], None]
) -> None:
    alone = _seconds(site)
    streams = [site.stream("?after=0") for _ in range(STREAMS)]
    write(log, "to all")
    for stream in streams:
        assert texts(stream, 1) == ["to all"]
    listening = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s"
    assert log.value(listening, ("%headspace stream",)) == 1
    beside = _seconds(site)
    resident = _resident(site.process.pid)
    told = f"{resident / 1e6:.0f} MB, health {beside * 1e3:.1f} ms, without {alone * 1e3:.1f} ms"
    record_property("figures", f"{STREAMS} streams: {told}")
    assert beside < 3 * alone + MORE_SECONDS
    assert resident < MOST_BYTES
    for stream in streams:
        stream.close()
    write(log, "to nobody")
    assert texts(site.stream("?after=0"), 2) == ["to all", "to nobody"]


def _seconds(site: Website) -> float:
    """What health takes in the middle of many tries."""
    taken = []
    for _ in range(40):
        began = time.perf_counter()
        site.get("/health")
        taken.append(time.perf_counter() - began)
    return sorted(taken)[20]


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096
