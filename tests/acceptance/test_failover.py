"""An asynchronous standby is promoted in the middle of a burst: nothing is lost or doubled."""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from claude_headspace.inbox import put
from claude_headspace.store import migrations
from faults.count import Count, committed
from faults.load import Feeder, Transcript, transcripts
from faults.machine import query, wait_for
from faults.pair import Pair, forwarder, pair
from faults.watched import Watched, watched

ROUNDS = 10
SECONDS = 3.0
RATE = 400.0
FILES = 6


class Hooks(threading.Thread):
    """A program that leaves an event in the inbox every few milliseconds."""

    def __init__(self, inbox: Path) -> None:
        super().__init__(daemon=True)
        self._inbox = inbox
        self._ended = threading.Event()
        self.ids: list[str] = []

    def run(self) -> None:
        while not self._ended.wait(0.02):
            payload = {"hook_type": "Stop", "claude_session_id": "none", "working_directory": "/w"}
            self.ids.append(put(self._inbox, "hook_received", payload))

    def end(self) -> list[str]:
        self._ended.set()
        self.join()
        return self.ids


def burst(it: Watched, both: Pair, files: list[Transcript], rnd: random.Random) -> int:
    """One failover while lines are written; returns how many events it took back."""
    feeder = Feeder(files, RATE, SECONDS, seed=rnd.randrange(1 << 30))
    hooks = Hooks(it.inbox)
    feeder.start()
    hooks.start()
    known = query(both.url, "SELECT count(*) FROM events")
    wait_for(lambda: query(both.url, "SELECT count(*) FROM events") > known, "nothing is written")
    lost = both.fail_over(rnd.uniform(0.3, 1.5))
    feeder.join()
    ids = hooks.end()
    wait_for(lambda: missing(both.url, ids) == 0, "events of the inbox are lost")
    wait_for(lambda: not list((it.inbox / "new").iterdir()), "the inbox is not empty")
    return lost


def missing(url: str, ids: list[str]) -> int:
    keys = [uuid.UUID(each) for each in ids]
    found = query(
        url,
        "SELECT count(*) FROM events WHERE event_key = ANY (%s::uuid[])",
        ([str(key) for key in keys],),
    )
    return len(ids) - int(found[0][0])


def assert_sessions_in_order(url: str) -> None:
    """Each session is registered once, before everything else of it."""
    rows = query(url, "SELECT session_uuid::text, event_type FROM events ORDER BY id")
    first: dict[str, str] = {}
    for session, kind in rows:
        first.setdefault(session, kind)
    hooks = str(uuid.UUID(int=0))
    assert {kind for session, kind in first.items() if session != hooks} == {"session_registered"}
    registered = Counter(session for session, kind in rows if kind == "session_registered")
    assert set(registered.values()) == {1}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", ["list", "forward", "hold"])
def test_failovers_in_bursts(tmp_path: Path, way: str) -> None:
    rnd = random.Random(way)
    with pair() as both:
        migrations.upgrade(both.url)
        wait_for(lambda: query(both.standby.url, "SELECT to_regclass('events')"), "no standby")
        through: AbstractContextManager[str] = nullcontext(both.list_url)
        if way != "list":
            through = forwarder(both, hold=way == "hold")
        with through as url, watched(tmp_path, url) as it:
            it.wait_state("capturing")
            files = transcripts(it.projects, FILES)
            lost = 0
            for number in range(ROUNDS):
                if number:
                    both.restore()
                lost += burst(it, both, files, rnd)
                assert committed(both.url, files) == Count()
            assert_sessions_in_order(both.url)
            assert lost > 0, "no failover took anything back: nothing was tried"
