"""What every row is given: the server, the rivals, how large everything is, and a place."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Result
from benchmarks.rivals import Rivals
from benchmarks.server import Server
from benchmarks.versions import Version

PATIENCE_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done; `quick` is for trying the benchmark itself out."""

    backlog_lines: int = 20_000
    line_bytes: int = 1_000
    floor_seconds: int = 4
    realistic_bytes: int = 1_000_000_000
    live_seconds: int = 20
    burst_seconds: int = 10
    memory_lines: int = 100_000
    open_sessions: int = 1_000
    soak_seconds: int = 120
    idle_seconds: int = 30
    finished_files: int = 10_000
    grown_rows: int = 10_000_000
    query_repeats: int = 50
    page_turns: int = 1_000_000
    page_bytes: int = 2_000_000_000
    viewed_bytes: int = 340_000_000
    watchers: tuple[int, ...] = (1, 10, 50, 100)


FULL = Scale()
QUICK = Scale(
    backlog_lines=4_000,
    floor_seconds=1,
    realistic_bytes=50_000_000,
    live_seconds=3,
    burst_seconds=2,
    memory_lines=10_000,
    open_sessions=100,
    soak_seconds=5,
    idle_seconds=5,
    finished_files=500,
    grown_rows=200_000,
    query_repeats=10,
    page_turns=5_000,
    page_bytes=10_000_000,
    viewed_bytes=5_000_000,
    watchers=(1, 5),
)


@dataclass(frozen=True, slots=True)
class Bench:
    """The surroundings of a measurement."""

    server: Server
    rivals: Rivals
    scale: Scale
    rounds: int
    directory: Path
    versions: Sequence[Version] = (Version(),)

    @contextmanager
    def place(self) -> Iterator[Path]:
        """An empty folder, gone afterwards."""
        path = Path(tempfile.mkdtemp(prefix="run-", dir=self.directory))
        try:
            yield path
        finally:
            shutil.rmtree(path)


Measure = Callable[[Bench, Result], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    name: str
    title: str
    measure: Measure
