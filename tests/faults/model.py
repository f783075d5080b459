"""Random histories of transcripts, watcher and database, and a toy model of what must be logged.

The model knows nothing of offsets or checksums. A complete line of a transcript must be
in the log sooner or later. A line that was destroyed may be in it, and must be if the log had
caught up before that. Lines appended to one file come in their order.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psycopg2
from psycopg2.extensions import parse_dsn

from archived import assert_contiguous
from faults.load import Transcript, append
from faults.machine import Machine, query, signal_if_there, wait_for
from faults.watched import Watched
from harness import Log

ZYGOTE = str(Path(__file__).with_name("zygote.py"))
PATIENCE_SECONDS = 60.0
SETTINGS: dict[str, dict[str, object]] = {
    "file_watcher": {"rescan_interval_seconds": 0.2, "final_line_wait_seconds": 0.2},
    "event_system": {"write_retry_delay_ms": 10},
}


class Zygote:
    """Forks watchers that share one configuration."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._process = subprocess.Popen(
            [sys.executable, ZYGOTE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=watched.environment,
            text=True,
        )
        self.pid: int | None = None

    def start(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        directory = self._watched.directory
        print(
            "start", directory / "config.yaml", directory / "watcher.log",
            file=self._process.stdin, flush=True,
        )  # fmt: skip
        self.pid = int(self._process.stdout.readline())

    def end(self, number: int = signal.SIGKILL) -> None:
        """End the watcher; returns when it is gone."""
        if self.pid is not None:
            signal_if_there(self.pid, number)
            wait_for(lambda: not is_there(self.pid), "the watcher ends")
            self.pid = None

    def close(self) -> None:
        self.end()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


def is_there(pid: int | None) -> bool:
    try:
        os.kill(pid or 0, 0)
    except ProcessLookupError:
        return False
    return True


@dataclass
class File:
    """One file of the model: its turns as they are in it, and what else was ever in it."""

    transcript: Transcript
    present: list[str] = field(default_factory=list)
    torn: bytes = b""
    # Turns in the order they were written since the file was last emptied, each such series.
    series: list[list[str]] = field(default_factory=lambda: [[]])

    @property
    def path(self) -> Path:
        return self.transcript.path


@dataclass
class Model:
    """One history: what was done, and what must come of it."""

    machine: Machine
    watched: Watched
    zygote: Zygote
    random: random.Random
    folder: Path
    files: list[File] = field(default_factory=list)
    gone: list[File] = field(default_factory=list)
    must: set[str] = field(default_factory=set)
    away: bool = False
    story: list[str] = field(default_factory=list)

    def run(self, steps: int) -> None:
        """A history of so many steps, and the judgement."""
        self.zygote.start()
        for _ in range(steps):
            weighted = [move for move, weight in MOVES for _ in range(weight)]
            self.random.choice(weighted)(self)
        self.database_back()
        if self.zygote.pid is None:
            self.zygote.start()
        for file in self.files:
            self.mend(file)
        self.commit("the end")

    def a_file(self) -> File:
        """One of the files, or a new one."""
        if not self.files or (len(self.files) < 4 and self.random.random() < 0.2):
            transcript = Transcript(self.folder / "x")
            transcript.path = self.fresh_path(transcript.session)
            self.files.append(File(transcript))
            self.story.append(f"new {transcript.path.name[:8]}")
        return self.random.choice(self.files)

    def fresh_path(self, name: str) -> Path:
        directory = self.folder / self.random.choice("ab")
        directory.mkdir(exist_ok=True)
        return directory / f"{name}.jsonl"

    def tell(self, what: str, file: File) -> None:
        self.story.append(f"{what} {file.path.name[:8]}")

    # -- what is done to files ------------------------------------------------------------

    def turns(self, file: File, count: int) -> bytes:
        """So many new turns that are now in the file, and lines that are none."""
        lines = []
        for _ in range(count):
            lines.append(file.transcript.turn(self.random.choice((0, 0, 300, 3_000))))
            file.present.append(file.transcript.turns[-1])
            file.series[-1].append(file.transcript.turns[-1])
            if self.random.random() < 0.2:
                lines.append(file.transcript.other())
        return b"".join(lines)

    def append(self) -> None:
        file = self.a_file()
        self.mend(file)
        self.tell("append", file)
        append(file.path, self.turns(file, self.random.choice((1, 1, 2, 5, 40))))

    def append_torn(self) -> None:
        file = self.a_file()
        self.mend(file)
        data = self.turns(file, self.random.choice((1, 1, 3)))
        cut = self.random.randrange(1, len(data))
        self.tell(f"append {cut} of {len(data)} bytes to", file)
        append(file.path, data[:cut])
        file.torn = data[cut:]

    def mend(self, file: File) -> None:
        """Write the rest of a torn line."""
        if file.torn:
            self.tell("mend", file)
            append(file.path, file.torn)
            file.torn = b""

    def destroy(self, file: File) -> None:
        """What is in the file is about to go; the log may have caught up or not."""
        self.mend(file)
        if self.random.random() < 0.5 and self.zygote.pid is not None and not self.away:
            self.commit("before")
        file.present = []
        file.series.append([])

    def truncate(self) -> None:
        file = self.a_file()
        self.destroy(file)
        self.tell("truncate", file)
        if file.path.exists():
            os.truncate(file.path, 0)
        append(file.path, self.turns(file, self.random.choice((0, 1, 3, 60))))

    def overwrite(self) -> None:
        """In place, by a prefix of as many other turns; what is left behind them goes too."""
        file = self.a_file()
        self.destroy(file)
        self.tell("overwrite", file)
        fresh = self.turns(file, self.random.choice((1, 5, 30)))
        with file.path.open("r+b" if file.path.exists() else "wb") as out:
            out.write(fresh)
            out.truncate()

    def replace(self) -> None:
        file = self.a_file()
        self.destroy(file)
        self.tell("replace", file)
        draft = file.path.with_name("draft")
        draft.write_bytes(self.turns(file, self.random.choice((1, 5, 30))))
        draft.replace(file.path)

    def rewrite_with_more(self) -> None:
        """Another file in its place, which begins with all that was in it."""
        file = self.a_file()
        self.mend(file)
        self.tell("rewrite with more", file)
        before = file.path.read_bytes() if file.path.exists() else b""
        draft = file.path.with_name("draft")
        draft.write_bytes(before + self.turns(file, 2))
        draft.replace(file.path)

    def rename(self) -> None:
        file = self.a_file()
        if not file.path.exists():
            return
        self.tell("rename", file)
        fresh = self.fresh_path(f"r{self.random.randrange(10**9)}")
        file.path.rename(fresh)
        file.transcript.path = fresh

    def swap(self) -> None:
        here = [file for file in self.files if file.path.exists()]
        if len(here) < 2:
            return
        one, other = self.random.sample(here, 2)
        self.tell("swap", one)
        between = one.path.with_name("between")
        paths = other.path, one.path
        one.path.rename(between)
        other.path.rename(one.path)
        between.rename(other.path)
        one.transcript.path, other.transcript.path = paths

    def delete(self) -> None:
        file = self.a_file()
        self.destroy(file)
        self.tell("delete", file)
        file.path.unlink(missing_ok=True)
        self.files.remove(file)
        self.gone.append(file)

    # -- what is done to the watcher and the database ---------------------------------------

    def kill(self) -> None:
        self.story.append("kill")
        self.zygote.end()
        if self.random.random() < 0.7:
            self.zygote.start()

    def restart(self) -> None:
        self.story.append("restart")
        self.zygote.end(signal.SIGTERM)
        self.zygote.start()

    def terminate(self) -> None:
        self.story.append("terminate")
        self.machine.terminate()

    def database_away(self) -> None:
        if not self.away:
            self.story.append("database away")
            self.allow_connections(False)
            self.machine.terminate()
            self.away = True

    def database_back(self) -> None:
        if self.away:
            self.story.append("database back")
            self.allow_connections(True)
            self.away = False

    def allow_connections(self, allowed: bool) -> None:
        name = parse_dsn(self.watched.url)["dbname"]
        self.machine.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}")

    def crash(self) -> None:
        if self.random.random() < 0.05:
            self.story.append("crash")
            self.machine.crash()
            self.machine.start()

    def pause(self) -> None:
        time.sleep(self.random.choice((0.001, 0.01, 0.05)))

    # -- judgement ----------------------------------------------------------------------------

    def commit(self, when: str) -> None:
        """Wait until every complete line is in the log; then judge."""
        self.must |= {turn for file in self.files if not file.torn for turn in file.present}
        self.must |= {turn for file in self.files for turn in self.whole(file)}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while missing := self.must - set(found := self.logged()):
            told = "\n".join([*self.story, self.log_end()])
            assert time.monotonic() < deadline, f"{when}: {len(missing)} turns missing\n{told}"
            time.sleep(0.005)
        self.judge(found)
        assert_contiguous(Log(self.watched.url))

    def whole(self, file: File) -> Sequence[str]:
        """Turns of a file with a torn end that are complete before it."""
        content = file.path.read_bytes() if file.torn else b""
        return [turn for turn in file.present if f'"uuid":"{turn}"'.encode() in whole(content)]

    def judge(self, found: Sequence[str]) -> None:
        everything = [*self.files, *self.gone]
        written = {turn for file in everything for turn in file.transcript.turns}
        told = "\n".join([*self.story, self.log_end()])
        assert len(found) == len(set(found)), f"doubled\n{told}"
        assert set(found) <= written, f"foreign\n{told}"
        place = {turn: number for number, turn in enumerate(found)}
        for file in everything:
            for series in file.series:
                places = [place[turn] for turn in series if turn in place]
                assert all(a < b for a, b in pairwise(places)), f"out of order\n{told}"

    def logged(self) -> list[str]:
        try:
            rows = query(
                self.watched.url,
                "SELECT payload->>'line_uuid' FROM events"
                " WHERE event_type = 'turn_detected' ORDER BY id",
            )
        except psycopg2.OperationalError:
            return []
        return [row[0] for row in rows]

    def log_end(self) -> str:
        return self.watched.log[-3_000:]


def whole(content: bytes) -> bytes:
    """The content up to its last newline."""
    return content[: content.rfind(b"\n") + 1]


MOVES: list[tuple[Callable[[Model], None], int]] = [
    (Model.append, 12),
    (Model.append_torn, 6),
    (Model.pause, 6),
    (Model.truncate, 2),
    (Model.overwrite, 2),
    (Model.replace, 2),
    (Model.rewrite_with_more, 2),
    (Model.rename, 2),
    (Model.swap, 1),
    (Model.delete, 1),
    (Model.kill, 3),
    (Model.restart, 1),
    (Model.terminate, 1),
    (Model.database_away, 1),
    (Model.database_back, 2),
    (Model.crash, 1),
]


def clear(url: str) -> None:
    """Forget everything that was logged."""
    query(
        url,
        "TRUNCATE events, agents, projects, checkpoints, dead_letters, registrations"
        " RESTART IDENTITY CASCADE",
    )
