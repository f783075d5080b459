"""Lines appended to transcripts, and an exact account of what was appended where."""

from __future__ import annotations

import os
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import lines


@dataclass
class Transcript:
    """One file, its session, and the uuids of its turns in the order written."""

    path: Path
    session: str = field(default_factory=lines.new_session)
    turns: list[str] = field(default_factory=list)
    noise: int = 0

    def turn(self, size: int = 0) -> bytes:
        """One more turn as a line, newline included; it counts as written."""
        number = len(self.turns)
        padding = "lorem ipsum dolor " * (size // 18)
        record = lines.assistant(
            self.session, f"turn {number:06d} grüßt {padding}", at=number * 0.01, cwd="/home/u/load"
        )
        self.turns.append(record["uuid"])
        return lines.raw(record) + b"\n"

    def other(self) -> bytes:
        """One more line that is no turn."""
        self.noise += 1
        return lines.raw(lines.progress(self.session)) + b"\n"


def in_folder(folder: Path, count: int) -> list[Transcript]:
    """Files of sessions of their own in one project."""
    made = [Transcript(folder) for _ in range(count)]
    for transcript in made:
        transcript.path = folder / f"{transcript.session}.jsonl"
    return made


def transcripts(projects: Path, count: int) -> list[Transcript]:
    """The same, each in a project of its own."""
    made = []
    for number in range(count):
        folder = projects / f"-home-u-p{number}"
        folder.mkdir(exist_ok=True)
        made += in_folder(folder, 1)
    return made


def append(path: Path, data: bytes) -> None:
    """One write(2) of all the bytes."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        assert os.write(descriptor, data) == len(data)
    finally:
        os.close(descriptor)


def backlog(files: list[Transcript], count: int, size: int = 600) -> None:
    """Write so many turns, spread over the files, with other lines among them."""
    for transcript in files:
        block = []
        for number in range(count // len(files)):
            block.append(transcript.turn(size))
            if number % 5 == 0:
                block.append(transcript.other())
        append(transcript.path, b"".join(block))


class Feeder(threading.Thread):
    """Appends turns at a steady rate; every eighth in two writes, torn anywhere."""

    def __init__(self, files: list[Transcript], rate: float, seconds: float, seed: int = 1) -> None:
        super().__init__(daemon=True)
        self._files = files
        self._rate = rate
        self._count = int(rate * seconds)
        self._random = random.Random(seed)
        self._torn: list[tuple[Path, bytes]] = []

    def run(self) -> None:
        begun = time.monotonic()
        for number in range(self._count):
            ahead = begun + number / self._rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            self._one(number)
        self._mend()

    def _one(self, number: int) -> None:
        transcript = self._files[number % len(self._files)]
        self._mend()
        line = transcript.turn(200) if number % 4 else transcript.other() + transcript.turn(200)
        cut = self._random.randrange(1, len(line)) if number % 8 == 0 else len(line)
        append(transcript.path, line[:cut])
        if cut < len(line):
            self._torn.append((transcript.path, line[cut:]))

    def _mend(self) -> None:
        while self._torn:
            append(*self._torn.pop())
