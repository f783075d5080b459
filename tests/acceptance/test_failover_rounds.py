"""Primaries that die, freeze and come back: nothing lost, doubled, or written to the wrong one."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from claude_headspace.address import LogUrl
from claude_headspace.errors import DatabaseUnavailable, NotPrimary, OtherTimeline
from claude_headspace.store.follower import Follower
from faults.count import Count, committed
from faults.load import Feeder, backlog, transcripts
from faults.machine import query, wait_for
from faults.pair import SUPERUSER, Pair, Server, pair
from faults.watched import Watched, watched

ROUNDS = 6
SECONDS = 3.0
RATE = 400.0
FILES = 6
LATER_LINES = 300
# A server that answers nothing is left after 30 seconds, the next of the list tried for five.
LEFT_SECONDS = 90.0
_IDENTITIES = "SELECT id, session_uuid::text || event_key::text FROM events"
_DROP = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name LIKE 'claude-headspace%' AND pid <> pg_backend_pid()"
)

Identified = set[tuple[int, str]]


class Reader(threading.Thread):
    """A program that follows the log as docs/reading.md says, and keeps its cursor."""

    def __init__(self, url: str, directory: Path) -> None:
        super().__init__(daemon=True)
        self._url = LogUrl(url)
        self._url.seen = directory
        self._ended = threading.Event()
        self.read: Identified = set()
        self.told = 0

    def run(self) -> None:
        saved = "0"
        while not self._ended.is_set():
            follower = Follower.at(self._url, saved)
            try:
                while not self._ended.is_set():
                    follower.listen()
                    page = follower.read()
                    self.read.update((e.id, f"{e.session_uuid}{e.key}") for e in page.events)
                    saved = page.cursor.text
                    follower.wait(0.2)
            except OtherTimeline:
                self.told += 1
                saved = "0"
            except (DatabaseUnavailable, NotPrimary):
                time.sleep(0.1)
            finally:
                follower.close()

    def end(self) -> None:
        self._ended.set()
        self.join(60)


def identified(server: Server) -> Identified:
    return set(query(server.url, _IDENTITIES))


def grows(server: Server) -> Callable[[], bool]:
    known = len(identified(server))
    return lambda: len(identified(server)) > known


def dies(both: Pair, rnd: random.Random) -> None:
    both.fail_over(rnd.uniform(0.3, 1.5))


def freezes_and_thaws(both: Pair, rnd: random.Random) -> None:
    both.primary.freeze()
    time.sleep(rnd.uniform(0.1, 1.0))
    both.promote()
    wait_for(grows(both.primary), "the frozen primary is not left", LEFT_SECONDS)
    both.standby.thaw()


def comes_back(both: Pair, rnd: random.Random) -> None:
    dies(both, rnd)
    wait_for(grows(both.primary), "nothing is written to the new primary")
    both.standby.start()


CHANGES = {
    "asynchronous": dies,
    "synchronous": dies,
    "frozen": freezes_and_thaws,
    "switched back": comes_back,
}


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("kind", list(CHANGES))
def test_another_server_takes_over(tmp_path: Path, kind: str, number: int) -> None:
    rnd = random.Random(f"{kind} {number}")
    with pair() as both, both.database():
        url = f"postgresql://{SUPERUSER}@/pair?host={both.primary.home},{both.standby.home}"
        if kind == "synchronous":
            query(both.url, "ALTER SYSTEM SET synchronous_standby_names = '*'")
            query(both.url, "SELECT pg_reload_conf()")
        with watched(tmp_path, url) as it:
            it.wait_state("capturing")
            # On one machine, whoever sees a new primary first tells the others.
            reader = Reader(url, it.state / "timelines")
            reader.start()
            _one_round(it, both, kind, rnd)
            wait_for(lambda: reader.read >= identified(both.primary), "events are not read", 90)
            reader.end()
        assert reader.told >= 1
        if kind == "synchronous":
            assert reader.read == identified(both.primary)


def _one_round(it: Watched, both: Pair, kind: str, rnd: random.Random) -> None:
    files = transcripts(it.projects, FILES)
    feeder = Feeder(files, RATE, SECONDS, seed=rnd.randrange(1 << 30))
    feeder.start()
    wait_for(grows(both.primary), "nothing is written")
    time.sleep(rnd.uniform(0.1, 1.0))
    CHANGES[kind](both, rnd)
    feeder.join()
    assert committed(both.url, files) == Count()
    if both.standby.process is not None and both.standby.process.poll() is None:
        old = len(identified(both.standby))
        query(both.url, _DROP)
        backlog(files, LATER_LINES)
        assert committed(both.url, files) == Count()
        assert len(identified(both.standby)) == old, "the old primary was written to"
        here = {key for _, key in identified(both.primary)}
        assert not {key for _, key in identified(both.standby)} - here
