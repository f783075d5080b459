from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from claude_headspace.supervision.protocol import EventStream

Pipes = tuple[EventStream, int, int]


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    to_us, feed = os.pipe()
    answers, from_us = os.pipe()
    yield EventStream(to_us, from_us), feed, answers
    for descriptor in (to_us, feed, answers, from_us):
        try:
            os.close(descriptor)
        except OSError:
            continue


def envelope(name: str, payload: str, serial: int = 21) -> bytes:
    size = len(payload.encode())
    return (
        f"ver:3.0 server:supervisor serial:{serial} pool:guard poolserial:{serial} "
        f"eventname:{name} len:{size}\n{payload}"
    ).encode()


def test_two_events_in_one_read_and_one_in_pieces(pipes: Pipes) -> None:
    stream, feed, _ = pipes
    first = envelope("TICK_5", "when:5", 1)
    second = envelope("REMOTE_COMMUNICATION", 'type:x\n{"a": "é:b"}', 2)
    os.write(feed, first + second[:40])
    event = stream.read(1)
    assert event is not None
    assert (event.name, event.serial, event.values) == ("TICK_5", 1, {"when": "5"})
    assert stream.has_input()
    os.write(feed, second[40:])
    event = stream.read(1)
    assert event is not None
    assert (event.values, event.body) == ({"type": "x"}, '{"a": "é:b"}')
    assert not stream.has_input()


def test_state_events(pipes: Pipes) -> None:
    stream, feed, _ = pipes
    payload = "processname:watcher groupname:watcher from_state:RUNNING expected:0 pid:9"
    os.write(feed, envelope("PROCESS_STATE_EXITED", payload))
    event = stream.read(1)
    assert event is not None
    assert event.values["from_state"] == "RUNNING"
    assert event.values["pid"] == "9"


def test_nothing_in_time_and_the_end(pipes: Pipes) -> None:
    stream, feed, _ = pipes
    assert stream.read(0.01) is None
    os.close(feed)
    with pytest.raises(EOFError):
        stream.read(1)


def test_answers(pipes: Pipes) -> None:
    stream, _, answers = pipes
    stream.ready()
    stream.done()
    assert os.read(answers, 100) == b"READY\nRESULT 2\nOK"
