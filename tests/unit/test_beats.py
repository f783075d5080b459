"""Signs of life from one process to another, whichever of the two comes and goes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_headspace.supervision.beats import Beat, BeatReceiver, BeatSender, beats_path

BEAT = Beat(pid=7, doing="list /päth", seconds=1.5, limit=20.0, overdue=True)


@pytest.fixture
def path(state_directory: Path) -> Path:
    state_directory.mkdir(mode=0o700)
    return state_directory / "supervisor.beats"


@pytest.fixture
def sender(path: Path) -> Iterator[BeatSender]:
    sender = BeatSender(path)
    yield sender
    sender.close()


@pytest.fixture
def receiver(path: Path) -> Iterator[BeatReceiver]:
    receiver = BeatReceiver(path)
    yield receiver
    receiver.close()


def test_a_beat_arrives_as_it_was_sent(sender: BeatSender, receiver: BeatReceiver) -> None:
    sender(BEAT)
    sender(BEAT)
    assert list(receiver.beats()) == [BEAT, BEAT]
    assert list(receiver.beats()) == []


def test_nobody_else_can_send(receiver: BeatReceiver, path: Path) -> None:
    assert receiver.fileno() > 0
    assert path.stat().st_mode & 0o777 == 0o600


def test_long_announcements_fit_and_strange_datagrams_are_passed_over(
    sender: BeatSender, receiver: BeatReceiver, path: Path
) -> None:
    strange = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    for data in (b"", b"{", b"[]", b"{}", b"null", b'{"pid": []}', b"\xff" * 9000):
        strange.sendto(data, str(path))
    strange.close()
    sender(Beat(pid=7, doing="ä" * 100_000, seconds=0, limit=1))
    (beat,) = receiver.beats()
    assert beat.doing == "ä" * 300


@pytest.mark.timeout(20)
def test_nobody_there_and_nobody_reading_hold_no_sender(sender: BeatSender, path: Path) -> None:
    sender(BEAT)
    receiver = BeatReceiver(path)
    for _ in range(10_000):
        sender(BEAT)
    assert BEAT in list(receiver.beats())
    receiver.close()
    sender(BEAT)


def test_a_receiver_started_again_is_found(sender: BeatSender, path: Path) -> None:
    for _ in range(3):
        receiver = BeatReceiver(path)
        sender(BEAT)
        assert list(receiver.beats()) == [BEAT]
        receiver.close()


def test_a_name_that_was_taken_away_is_made_anew(
    sender: BeatSender, receiver: BeatReceiver, path: Path
) -> None:
    assert not receiver.heal()
    path.unlink()
    sender(BEAT)
    assert list(receiver.beats()) == []
    assert receiver.heal()
    sender(BEAT)
    assert list(receiver.beats()) == [BEAT]


def test_the_place_is_beside_supervisords_own_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_SERVER_URL", "unix:///a/state/supervisor.sock")
    assert beats_path() == Path("/a/state/supervisor.beats")
    longest = "/" + "x" * (103 - len("/supervisor.sock.4194304"))
    monkeypatch.setenv("SUPERVISOR_SERVER_URL", f"unix://{longest}/supervisor.sock")
    assert len(os.fsencode(str(beats_path()))) <= 103
    for other in ("http://127.0.0.1:9001", ""):
        monkeypatch.setenv("SUPERVISOR_SERVER_URL", other)
        assert beats_path() is None
