from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_headspace.errors import DatabaseUnavailable
from claude_headspace.health.database import DatabaseProbe, PingDeadline, ping
from claude_headspace.health.observation import Unanswered

LIMIT_SECONDS = 0.2


@pytest.fixture
def mute_server() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with (
        tempfile.TemporaryDirectory(prefix="headspace-") as directory,
        socket.socket(socket.AF_UNIX) as server,
    ):
        server.bind(str(Path(directory) / ".s.PGSQL.5432"))
        server.listen(8)
        yield f"postgresql://x@/x?host={directory}"


def test_a_mute_server_ends_in_time(mute_server: str) -> None:
    began = time.monotonic()
    with pytest.raises(PingDeadline):
        ping(mute_server, LIMIT_SECONDS)
    assert LIMIT_SECONDS <= time.monotonic() - began < LIMIT_SECONDS + 5


def test_the_probe_tells_why(mute_server: str) -> None:
    assert isinstance(DatabaseProbe(lambda: mute_server, LIMIT_SECONDS).start()(), Unanswered)
    nowhere = DatabaseProbe(lambda: "postgresql://x@/x?host=/nowhere/at/all").start()()
    assert isinstance(nowhere, Unanswered)
    assert "/nowhere/at/all" in nowhere.detail


def test_an_address_that_is_not_known_yet_is_a_problem() -> None:
    def unknown() -> str:
        raise DatabaseUnavailable("not prepared yet")

    assert DatabaseProbe(unknown).start()() == Unanswered("not prepared yet")


def test_one_that_hangs_is_shared_and_never_doubled() -> None:
    release = threading.Event()
    begun = []

    def hanging() -> str:
        begun.append(1)
        release.wait(20)
        return "postgresql://x@/x?host=/nowhere/at/all"

    probe = DatabaseProbe(hanging, 0.05)
    answers = [probe.start() for _ in range(5)]
    assert all(isinstance(answer(), Unanswered) for answer in answers)
    assert len(begun) == 1
    release.set()
    deadline = time.monotonic() + 20
    while threading.active_count() > 1 and time.monotonic() < deadline:
        time.sleep(0.01)
