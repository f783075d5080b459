"""Hostile bytes through a running watcher: no crash, no stuck file, bounded memory."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import lines
from faults.load import Transcript, append
from faults.machine import query, wait_for
from faults.watched import Watched, watched

TOKENS = [
    b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"\0", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f",
    b"\r", b"\n", b"\xe2\x80\xa8", b"\\u0000", b"\\ud83d", b"NaN", b"-Infinity", b"1e999", b"null",
    b'"uuid"', b'"type":"user"', b'{"type":', b"9" * 5_000, b"[" * 2_000, b'{"a":' * 1_500,
    b'"timestamp":"9999-99-99T99:99:99Z"', b'"sessionId":7', b"<command-name>", b"\0" * 10_000,
]  # fmt: skip
MEGABYTE = 1_000_000
GIGABYTE = 1_000 * MEGABYTE
# What the process may hold at its worst, of which a line of 8 MiB is taken apart several times.
PEAK_MEGABYTES = 250.0


def mutated(rnd: random.Random, line: bytes) -> bytes:
    """A line to which something happened in a few places."""
    for _ in range(rnd.choice((1, 1, 2, 5))):
        at = rnd.randrange(len(line) + 1)
        to = min(len(line), at + rnd.choice((0, 0, 1, 5, 200)))
        put = rnd.choice((b"", rnd.choice(TOKENS), rnd.randbytes(3), line[to : to + 300]))
        line = line[:at] + put + line[to:]
    return line


def hostile_lines(seed: int, count: int) -> Iterator[bytes]:
    """Lines that were records before something happened to them, noise, and newlines anywhere."""
    rnd = random.Random(seed)
    session = lines.new_session()
    for _ in range(count):
        if rnd.random() < 0.2:
            yield rnd.randbytes(rnd.choice((1, 10, 3_000)))
        else:
            content = "".join(rnd.choices("aé€😀\\\"'\n{}<>", k=rnd.choice((0, 3, 40))))
            make = rnd.choice((lines.user, lines.assistant))
            yield mutated(rnd, lines.raw(make(session, content)))


def logged(watcher: Watched, transcript: Transcript) -> bool:
    rows = query(
        watcher.url,
        "SELECT payload->>'line_uuid' FROM events"
        " WHERE event_type = 'turn_detected' AND session_uuid = %s ORDER BY id",
        (transcript.session,),
    )
    return [row[0] for row in rows] == transcript.turns


def accounted(watcher: Watched, path: Path) -> tuple[int, int]:
    """Committed bytes and counted lines of a file."""
    rows = query(
        watcher.url,
        "SELECT committed_offset, (counts->>'lines')::int FROM checkpoints WHERE path = %s",
        (str(path),),
    )
    return rows[0] if rows else (0, 0)


def pour(watcher: Watched, seed: int, count: int) -> None:
    """Hostile lines between good ones; all are accounted for, and the good ones in the log."""
    transcript = Transcript(watcher.projects / f"{seed}.jsonl")
    content = b"".join(line + b"\n" + transcript.turn() for line in hostile_lines(seed, count))
    append(transcript.path, content)
    print(f"seed {seed}")
    whole = (len(content), content.count(b"\n"))
    wait_for(lambda: accounted(watcher, transcript.path) == whole, "every line is accounted for")
    assert logged(watcher, transcript)
    assert watcher.alive(), watcher.log[-2000:]


def test_hostile_lines(tmp_path: Path, database_url: str) -> None:
    with watched(tmp_path, database_url) as it:
        for seed in range(3):
            pour(it, seed, 100)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_very_many_hostile_lines(tmp_path: Path, database_url: str) -> None:
    first = time.time_ns()
    with watched(tmp_path, database_url) as it:
        for seed in range(first, first + 100):
            pour(it, seed, 200)
        assert it.peak_megabytes() < PEAK_MEGABYTES


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_line_of_a_gigabyte(tmp_path: Path, database_url: str) -> None:
    """Between good lines, and one without an end behind them."""
    with watched(tmp_path, database_url) as it:
        transcript = Transcript(it.projects / "huge.jsonl")
        append(transcript.path, transcript.turn())
        with transcript.path.open("r+b") as file:
            file.seek(GIGABYTE)
            file.write(b"\n")
        append(transcript.path, transcript.turn())
        wait_for(lambda: logged(it, transcript), "the line behind the huge one", 120)
        with transcript.path.open("r+b") as file:
            file.truncate(2 * GIGABYTE)
        neighbour = Transcript(it.projects / "neighbour.jsonl")
        append(neighbour.path, neighbour.turn())
        wait_for(lambda: logged(it, neighbour), "a line of another file", 120)
        assert it.alive()
        assert it.peak_megabytes() < 80.0
    rows = query(database_url, "SELECT reason, length(content) FROM dead_letters")
    assert [reason for reason, _ in rows] == ["too_long"]
    assert rows[0][1] < MEGABYTE


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "piece",
    [
        b'{"',
        b'{"type":"user",',
        b"[",
        b"\0",
        b"\xff",
        b'"uuid"',
        b"<system-reminder>",
        b"}{",
        b"\\",
        b'{"type":"user","message":{"content":"x"}}',
    ],
)
def test_the_longest_line_of_hostile_bytes(tmp_path: Path, database_url: str, piece: bytes) -> None:
    with watched(tmp_path, database_url) as it:
        transcript = Transcript(it.projects / "long.jsonl")
        longest = (piece * (8 * 1024 * 1024 // len(piece) + 1))[: 8 * 1024 * 1024]
        append(transcript.path, transcript.turn() + longest + b"\n" + transcript.turn())
        wait_for(lambda: logged(it, transcript), "the line behind the long one", 120)
        assert it.peak_megabytes() < PEAK_MEGABYTES
