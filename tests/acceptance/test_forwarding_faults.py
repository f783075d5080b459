"""Two machines forward to one server, and all of it dies in between: everything arrives, once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import lines
from archived import assert_archived
from claude_headspace.config import load_config
from claude_headspace.deployment.drain import LeftBehind
from conftest import FIGURES
from faults.count import Count, count, rows
from faults.load import Transcript, append, backlog, transcripts
from faults.machine import Machine, machine, wait_for
from faults.watched import Watched, watched
from forwarded import assert_same, order
from harness import Log

MACHINES = 2
TURNS = 16_000
FILES = 4
# Before each fault a part is written; it comes while that is under way.
PARTS = 16
KILLS = 11
CALLS = 200
ARRIVE_SECONDS = 240.0
FORWARDER = (sys.executable, "-I", "-m", "claude_headspace.forwarding")


@dataclass
class Home:
    """One machine: its server, its watcher, and its forwarder."""

    server: Machine
    url: str
    watcher: Watched
    files: list[Transcript]
    process: subprocess.Popen[bytes] | None = None
    kills: int = field(default=0)

    def forward(self) -> None:
        with (self.watcher.directory / "forwarder.log").open("ab") as log:
            self.process = subprocess.Popen(
                FORWARDER, env=self.watcher.environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, (self.watcher.directory / "forwarder.log").read_text()
        self.process.kill()
        self.process.wait()
        self.kills += 1
        self.forward()


@contextmanager
def home(directory: Path, central: str) -> Iterator[Home]:
    directory.mkdir()
    with machine() as server, server.database() as url:
        settings = {"forward": {"url": central}}
        with watched(directory, url, settings=settings) as it:
            it.wait_state("capturing")
            made = Home(server, url, it, transcripts(it.projects, FILES))
            made.forward()
            try:
                yield made
            finally:
                assert made.process is not None
                made.process.kill()
                made.process.wait()


def use_tools(folder: Path) -> None:
    """A session that calls tools, and says what its replies took: rows that are no events."""
    session = lines.new_session()
    told = []
    for number in range(CALLS):
        usage = {"input_tokens": number, "output_tokens": 1}
        call = lines.tool_use() | {"id": f"toolu_{session}_{number}"}
        reply = lines.assistant(session, [call], message_id=f"msg_{session}_{number}")
        reply["message"]["usage"] = usage
        result = lines.tool_result() | {"tool_use_id": call["id"]}
        told += [reply, lines.user(session, [result])]
    append(folder / f"{session}.jsonl", lines.joined(*told))


def crash(server: Machine) -> Callable[[], None]:
    def crash_and_start() -> None:
        server.crash()
        server.start()

    return crash_and_start


@pytest.mark.long
@pytest.mark.timeout(900)
def test_kills_of_the_forwarders_and_a_crash_of_each_server(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    rnd = random.Random("forwarding")
    with machine() as centre, centre.database() as central, ExitStack() as stack:
        homes = [
            stack.enter_context(home(tmp_path / f"machine{number}", central))
            for number in range(MACHINES)
        ]
        files = [each for it in homes for each in it.files]
        faults = [homes[number % MACHINES].kill for number in range(KILLS)]
        faults += [crash(server) for server in (*[it.server for it in homes], centre)]
        rnd.shuffle(faults)
        began = time.monotonic()
        for it in homes:
            use_tools(it.files[0].path.parent)
        for part in range(PARTS):
            known = rows(central)
            backlog(files, TURNS // PARTS)
            if part < len(faults):
                more_arrives(central, known + rnd.randrange(1, TURNS // PARTS // 2))
                faults[part]()
        for it in homes:
            assert_arrived(it)
        taken = time.monotonic() - began
        assert sum(len(each.turns) for each in files) == TURNS
        assert count(central, files) == Count()
        assert_same([it.url for it in homes], central)
        for it in homes:
            for each in it.files:
                assert order(central, each.session) == order(it.url, each.session)
        assert_archived(Log(central), *(it.watcher.projects for it in homes))
        assert Log(central).value("SELECT count(*) FROM tool_calls") == MACHINES * CALLS
        record_property(
            FIGURES,
            f"forwarding: {rows(central)} of {TURNS} turns at the centre in {taken:.0f} s,"
            f" {sum(it.kills for it in homes)} kills, {1 + MACHINES} crashes of servers",
        )


def more_arrives(central: str, least: int) -> None:
    wait_for(lambda: rows(central) >= least, "nothing more arrives", 90)


def assert_arrived(it: Home) -> None:
    """As `drain` sees it."""
    left = LeftBehind(load_config(it.watcher.environment), time.monotonic() + ARRIVE_SECONDS)
    try:
        wait_for(lambda: not left.missing(), "not everything arrives", ARRIVE_SECONDS)
    finally:
        left.close()
