"""Names of servers become numbers, and a resolver that hangs holds nobody."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from psycopg2.extensions import parse_dsn

from claude_headspace.errors import DatabaseUnavailable
from claude_headspace.store.connection import Database
from claude_headspace.store.name_resolution import Names
from claude_headspace.store.patience import Patience

KNOWN = {"one.test": ["10.0.0.1", "fd00::1"], "two.test": ["10.0.0.2"]}


def lookup(name: str) -> Sequence[str]:
    if name not in KNOWN:
        raise OSError(-2, "Name or service not known")
    return KNOWN[name]


def forever(started: float) -> float:
    return started + 60 - time.monotonic()


def resolved(address: str, look: Callable[[str], Sequence[str]] = lookup) -> dict[str, str]:
    return dict(parse_dsn(Names(look).resolved(address, forever)))


class Silent:
    """A resolver that answers when it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let_go = threading.Event()

    def __call__(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        if name == "two.test":
            return KNOWN[name]
        self.let_go.wait(60)
        return ["10.0.0.9"]


@pytest.fixture
def silent() -> Iterator[Silent]:
    resolver = Silent()
    yield resolver
    resolver.let_go.set()


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u@127.0.0.1:5433/x",
        "postgresql://u@[::1]/x",
        "postgresql://u@/x?host=/run/postgresql",
        "postgresql:///x",
        "postgresql://u@one.test/x?hostaddr=10.0.0.7",
    ],
)
def test_what_holds_no_name_stays_as_it_is(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGHOST", raising=False)

    def ask(name: str) -> Sequence[str]:
        pytest.fail(f"asked for {name}")

    assert Names(ask).resolved(address, forever) == address


def test_every_address_of_a_name_is_tried_in_order_and_the_name_stays_for_tls() -> None:
    found = resolved("postgresql://u:p%40ss@one.test:5433/x?sslmode=verify-full")
    assert (found["host"], found["hostaddr"]) == ("one.test,one.test", "10.0.0.1,fd00::1")
    assert (found["port"], found["sslmode"], found["password"]) == (
        "5433,5433",
        "verify-full",
        "p@ss",
    )


def test_of_several_hosts_each_keeps_its_port() -> None:
    found = resolved("postgresql://u@one.test:1,127.0.0.1:2,two.test:3/x")
    assert found["host"] == "one.test,one.test,127.0.0.1,two.test"
    assert found["hostaddr"] == "10.0.0.1,fd00::1,,10.0.0.2"
    assert found["port"] == "1,1,2,3"


def test_one_that_is_not_known_leaves_the_others() -> None:
    assert resolved("postgresql://u@gone.test,two.test/x")["host"] == "two.test"
    with pytest.raises(
        DatabaseUnavailable, match=r"gone\.test cannot be resolved: Name or service"
    ):
        resolved("postgresql://u@gone.test/x")


def test_silence_reads_the_same_whoever_gives_up_first() -> None:
    def late(name: str) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    with pytest.raises(DatabaseUnavailable, match=r"has answered for a\.test$"):
        resolved("postgresql://u@a.test/x", late)


def test_one_that_has_no_answer_leaves_the_others(silent: Silent) -> None:
    found = Names(silent, limit_seconds=0.05).resolved("postgresql://u@a.test,two.test/x", forever)
    assert parse_dsn(found)["hostaddr"] == "10.0.0.2"


def test_a_resolver_that_hangs_is_waited_for_again_and_not_asked_twice(silent: Silent) -> None:
    names = Names(silent, limit_seconds=0.05)
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable, match=r"has answered for a\.test$"):
            names.resolved("postgresql://u@a.test/x", forever)
    assert silent.asked == ["a.test"]
    silent.let_go.set()
    assert parse_dsn(until_answered(names))["hostaddr"] == "10.0.0.9"
    assert silent.asked == ["a.test"]
    until_answered(names)
    assert silent.asked == ["a.test", "a.test"], "an answer is used once: servers move"


def until_answered(names: Names) -> str:
    deadline = time.monotonic() + 20
    while True:
        try:
            return names.resolved("postgresql://u@a.test/x", forever)
        except DatabaseUnavailable:
            assert time.monotonic() < deadline, "the late answer was not used"


def test_the_wait_beats_and_a_stop_ends_it(silent: Silent) -> None:
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1

    began = time.monotonic()
    patience = Patience(beat=beat, end=lambda: began + 0.5)
    database = Database(
        lambda: "postgresql://u@a.test/x",
        application_name="test",
        patience=patience,
        names=Names(silent),
    )
    with pytest.raises(DatabaseUnavailable):
        database.connect()
    assert time.monotonic() - began < 4.0
    assert beats >= 3
