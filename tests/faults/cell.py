"""One fault under one load, while it runs, and what is counted at its end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from archived import assert_archived
from claude_headspace.inbox import put
from faults.count import Count, committed, disordered, missing_or_doubled, rows
from faults.load import Feeder, Transcript, backlog, transcripts
from faults.machine import Machine, wait_for
from faults.pair import Pair
from faults.watched import Watched
from harness import Log

FILES = 4
FAULTS: dict[str, Callable[[Cell], None]] = {}
# Sessions end by their hooks alone, so that the order of all events is known.
SETTINGS: dict[str, dict[str, Any]] = {"file_watcher": {"inactivity_timeout_seconds": 10**8}}


@dataclass(frozen=True)
class Scale:
    """How much and how long: turns of the backlog, seconds of live load, seconds of an outage,
    seconds for which the watcher is stopped, and how often what is quick is repeated."""

    backlog: int = 20_000
    live: float = 8.0
    rate: float = 300.0
    outage: float = 3.0
    frozen: float = 10.0
    times: int = 5


WHOLE = Scale()
QUICK = Scale(backlog=2_000, live=1.5, outage=0.5, frozen=1.0, times=2)


@dataclass
class Cell:
    """One fault under one load, while it runs."""

    server: Machine | Pair
    watcher: Watched
    scale: Scale
    live: bool
    files: list[Transcript] = field(default_factory=list)
    feeder: Feeder | None = None
    # Rows in the log at each moment at which a fault struck.
    struck_at: list[int] = field(default_factory=list)
    # Watchers of other hosts on the same log.
    others: list[Watched] = field(default_factory=list)
    # Events left in inboxes, and the sessions whose end is one of them.
    left: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.files = transcripts(self.watcher.projects, FILES)

    @property
    def machine(self) -> Machine:
        """The one server that this cell has."""
        assert isinstance(self.server, Machine)
        return self.server

    @property
    def pair(self) -> Pair:
        """The two servers that this cell has."""
        assert isinstance(self.server, Pair)
        return self.server

    def begin(self) -> None:
        """Start the watcher and the load."""
        for transcript in self.files:
            self.hook("SessionStart", transcript)
        if not self.live:
            backlog(self.files, self.scale.backlog)
            self.end_sessions()
        self.watcher.start()
        if self.live:
            self.watcher.wait_state("capturing")
            longer = self.scale.frozen if self.scale is WHOLE else 0
            self.feeder = Feeder(self.files, self.scale.rate, self.scale.live + longer)
            self.feeder.start()

    def hook(self, kind: str, transcript: Transcript | None = None) -> None:
        """Leave a hook in the inbox of the host that has the transcript."""
        session = transcript.session if transcript else "none"
        told = {"hook_type": kind, "claude_session_id": session}
        host = self._host(transcript) if transcript else self.watcher
        payload = {**told, "working_directory": "/home/u/load"}
        self.left.append(put(host.inbox, "hook_received", payload))

    def _host(self, transcript: Transcript) -> Watched:
        hosts = (self.watcher, *self.others)
        return next(host for host in hosts if transcript.path.is_relative_to(host.projects))

    def end_sessions(self) -> None:
        """Every session that has not ended does, by its hook."""
        for transcript in self.files:
            if transcript.session not in self.ended:
                self.ended.add(transcript.session)
                self.hook("SessionEnd", transcript)

    def moments(self, times: int) -> Iterator[None]:
        """Comes back so many times, evenly spread over the load."""
        for number in range(times):
            share = (number + 0.5) / times
            if self.live:
                time.sleep(self.scale.live / times)
            else:
                wanted = int(self.scale.backlog * share)
                wait_for(lambda: rows(self.watcher.url) >= wanted, f"{wanted} rows", 90)  # noqa: B023
            self.struck_at.append(rows(self.watcher.url))
            yield

    def end(self) -> Count:
        """The count after everything was written and had time to arrive."""
        if self.feeder is not None:
            self.feeder.join()
        self.end_sessions()
        result = committed(self.watcher.url, self.files)
        for host in (self.watcher, *self.others):
            wait_for(lambda: not list((host.inbox / "new").iterdir()), "the inbox is not empty")  # noqa: B023
            assert host.alive(), "the watcher ended:\n" + host.log[-2000:]
        if not self.others:
            assert_archived(Log(self.watcher.url), *{file.path.parent for file in self.files})
        assert self.live or not self.struck_at or self.struck_at[0] < self.scale.backlog
        missing, doubled = missing_or_doubled(self.watcher.url, self.left)
        return replace(
            result,
            lost=result.lost + missing,
            doubled=result.doubled + doubled,
            disordered=disordered(self.watcher.url, self.files),
        )

    def close(self) -> None:
        """Nothing of it runs any more."""
        for watcher in (self.watcher, *self.others):
            if watcher.alive():
                watcher.signal(signal.SIGCONT)
                watcher.kill()
        if self.feeder is not None:
            self.feeder.join()


def fault(function: Callable[[Cell], None]) -> Callable[[Cell], None]:
    """One row of the matrix."""
    FAULTS[function.__name__] = function
    return function
