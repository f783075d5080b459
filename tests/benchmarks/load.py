"""Transcript lines of a given size, and a writer that keeps to a rate."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from claude_headspace.transcripts.parsed import Turn
from code_turns import parse
from lines import assistant, instant, raw

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WORDS = "the file was read and its lines were counted before anything else happened "


@dataclass(slots=True)
class Session:
    """One transcript that is being written."""

    path: Path
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    seconds_ago: float = 0.0

    def line(self, size: int) -> tuple[str, bytes]:
        """The next turn: its uuid, and a line of so many bytes, its newline included."""
        key = str(uuid.uuid4())
        return key, turn_line(self.id, key, time.time() - self.seconds_ago, size)


def turn_line(session: str, key: str, moment: float, size: int) -> bytes:
    """An assistant's turn as a line of so many bytes, its newline included."""
    said_at = instant(moment, EPOCH)
    bare = raw(assistant(session, "", uuid=key, timestamp=said_at))
    room = max(1, size - len(bare) - 1)
    text = (WORDS * (room // len(WORDS) + 1))[:room]
    return raw(assistant(session, text, uuid=key, timestamp=said_at)) + b"\n"


def payload_of(line: bytes) -> str:
    """What the log stores for such a line, as JSON."""
    import json

    (turn,) = parse(line.rstrip(b"\n"), 0)
    assert isinstance(turn, Turn)
    return json.dumps(turn.event(1, 1, 1).payload, separators=(",", ":"))


def make_sessions(root: Path, count: int, seconds_ago: float = 0.0) -> list[Session]:
    """Sessions without a line yet, spread over a few projects, that speak now or spoke then."""
    sessions = []
    for number in range(count):
        identity = str(uuid.uuid4())
        folder = root / f"-home-u-app-{number % 20}"
        folder.mkdir(parents=True, exist_ok=True)
        sessions.append(Session(folder / f"{identity}.jsonl", identity, seconds_ago))
    return sessions


def write_backlog(sessions: Sequence[Session], lines: int, size: int) -> int:
    """So many lines over all sessions, fully on the disk; returns the bytes."""
    share, rest = divmod(lines, len(sessions))
    total = 0
    for number, session in enumerate(sessions):
        with session.path.open("ab") as file:
            for _ in range(share + (number < rest)):
                total += file.write(session.line(size)[1])
            file.flush()
            os.fsync(file.fileno())
    return total


def write_at_rate(
    sessions: Sequence[Session], lines: int, size: int, per_second: float
) -> dict[str, float]:
    """Append line by line, in turns; the clock just before each line's write, by its uuid."""
    sent: dict[str, float] = {}
    with ExitStack() as stack:
        files = [stack.enter_context(s.path.open("ab", buffering=0)) for s in sessions]
        prepared = [sessions[n % len(sessions)].line(size) for n in range(lines)]
        started = time.monotonic()
        for number, (key, line) in enumerate(prepared):
            ahead = started + number / per_second - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            sent[key] = time.time()
            files[number % len(files)].write(line)
    return sent


def write_one_each(sessions: Sequence[Session], size: int) -> int:
    """One more line for every session; returns the bytes."""
    return write_backlog(sessions, len(sessions), size)


def age(sessions: Sequence[Session]) -> None:
    """Have the files look as old as what they say."""
    for session in sessions:
        moment = time.time() - session.seconds_ago
        os.utime(session.path, (moment, moment))
