from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from operator import eq
from pathlib import Path

import pytest

from claude_headspace.transcripts.checkpoint import Checkpoint
from claude_headspace.transcripts.lines import Line, TooLong
from claude_headspace.transcripts.source_file import CHUNK_BYTES, EDGE_BYTES, SourceFile

LIMIT = 8 * 1024 * 1024


@contextmanager
def opened(path: Path) -> Iterator[SourceFile]:
    file = SourceFile(str(path))
    try:
        yield file
    finally:
        file.close()


def read_all(
    file: SourceFile, checkpoint: Checkpoint, limit: int = LIMIT
) -> tuple[list[Line | TooLong], Checkpoint]:
    """Everything that can be read now."""
    found: list[Line | TooLong] = []
    file.refresh()
    while True:
        if file.compare(checkpoint) != "same":
            checkpoint = Checkpoint()
        chunk = file.read(checkpoint, limit)
        found += chunk.lines
        progress = chunk.checkpoint.offset > checkpoint.offset
        checkpoint = chunk.checkpoint
        if not chunk.more:
            return found, checkpoint
        assert progress or chunk.lines


def datas(lines: list[Line | TooLong]) -> list[bytes]:
    return [line.data for line in lines if isinstance(line, Line)]


def test_lines_with_their_offsets(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\n\ntwo\n")
    with opened(path) as file:
        lines, checkpoint = read_all(file, Checkpoint())
    assert lines == [Line(0, b"one"), Line(4, b""), Line(5, b"two")]
    assert (checkpoint.offset, checkpoint.inode) == (9, path.stat().st_ino)


def test_a_record_torn_at_every_byte_is_read_whole_and_once(tmp_path: Path) -> None:
    record = '{"text":"ä\u2028\u0085€\U0001f600 \\u0000"}\r'.encode()
    for cut in range(len(record) + 1):
        path = tmp_path / f"{cut}.jsonl"
        path.write_bytes(b"before\n" + record[:cut])
        with opened(path) as file:
            first, checkpoint = read_all(file, Checkpoint())
            with path.open("ab") as more:
                more.write(record[cut:] + b"\nafter\n")
            second, checkpoint = read_all(file, checkpoint)
        assert datas(first) == [b"before"]
        assert datas(second) == [record, b"after"]
        assert checkpoint.offset == path.stat().st_size


def test_only_newlines_end_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    odd = "a\rb\x0bc\x0cd\x1ce\x85f\u2028g\u2029h".encode() + b"\0" * 3000 + b"\xff\xfe"
    path.write_bytes(odd + b"\n" + odd + b"\n")
    with opened(path) as file:
        assert datas(read_all(file, Checkpoint())[0]) == [odd, odd]


@pytest.mark.parametrize("extra", [-2, -1, 0, 1, 2, CHUNK_BYTES, 3 * CHUNK_BYTES + 1])
def test_lines_around_the_size_of_a_chunk(tmp_path: Path, extra: int) -> None:
    path = tmp_path / "a.jsonl"
    long = b"x" * (CHUNK_BYTES + extra)
    content = [b"short", long, b"", long, b"end"]
    path.write_bytes(b"\n".join(content) + b"\n")
    with opened(path) as file:
        lines, checkpoint = read_all(file, Checkpoint())
    assert datas(lines) == content
    assert checkpoint.offset == path.stat().st_size


@pytest.mark.parametrize("length", [LIMIT, LIMIT + 1])
def test_the_longest_line(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"a\n" + b"x" * length + b"\nb\n")
    with opened(path) as file:
        lines, checkpoint = read_all(file, Checkpoint())
        assert file.compare(checkpoint) == "same"
        again, _ = read_all(file, checkpoint)
    assert again == []
    expected = TooLong(2, length) if length > LIMIT else Line(2, b"x" * length)
    assert lines == [Line(0, b"a"), expected, Line(length + 3, b"b")]


def test_the_position_after_a_line_that_was_skipped_is_that_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"a\n" + bytes(range(11, 256)) * 4000 + b"\nb\n")
    with opened(path) as file:
        _, skipped = read_all(file, Checkpoint(), limit=300_000)
        _, read = read_all(file, Checkpoint())
    assert skipped == read


def test_a_long_line_that_grows_is_searched_once_only(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1

    piece = b"x" * (1024 * 1024)
    with path.open("wb") as out, opened(path) as file:
        file.beat = beat
        for _ in range(40):
            out.write(piece)
            out.flush()
            file.refresh()
            assert not file.read(Checkpoint(), LIMIT).lines
        assert beats <= 60
        out.write(b"\n")
        out.flush()
        file.refresh()
        (line,) = file.read(Checkpoint(), LIMIT).lines
    assert line == TooLong(0, 40 * len(piece))


def test_a_line_of_200_mb_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as out:
        for _ in range(200):
            out.write(b"x" * 1_000_000)
        out.write(b"\nend\n")
    program = """
import resource, sys
from claude_headspace.transcripts.checkpoint import Checkpoint
from claude_headspace.transcripts.source_file import SourceFile
file = SourceFile(sys.argv[1])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
checkpoint, lines, more = Checkpoint(), [], True
while more:
    chunk = file.read(checkpoint, 8 * 1024 * 1024)
    lines += chunk.lines
    checkpoint, more = chunk.checkpoint, chunk.more
assert file.compare(checkpoint) == "same"
unit = 1 if sys.platform == "darwin" else 1024
print(len(lines), lines[0].length, lines[1].data.decode(), (peak() - before) * unit)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    count, length, last, grown = done.stdout.split()
    assert (count, length, last) == ("2", "200000000", "end")
    assert int(grown) < 10_000_000


class TestFinalLine:
    """The last line, whose newline is missing."""

    def test_it_waits(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_bytes(b"a\nb")
        with opened(path) as file:
            chunk = file.read(Checkpoint(), LIMIT)
        assert (chunk.unfinished, chunk.checkpoint.offset) == (1, 2)

    @pytest.mark.parametrize(("late", "read"), [
        (b"\n", []), (b"\nc\n", [b"c"]), (b"\n\nc\n", [b"", b"c"]), (b"c\n", [b"c"]),
        (b"\r\n", [b"\r"]),
    ])  # fmt: skip
    def test_taken_as_it_is_its_newline_may_come_later(
        self, tmp_path: Path, late: bytes, read: list[bytes]
    ) -> None:
        path = tmp_path / "a.jsonl"
        path.write_bytes(b"a\nb")
        with opened(path) as file:
            _, checkpoint = read_all(file, Checkpoint())
            chunk = file.read_unfinished(checkpoint, LIMIT)
        assert chunk is not None
        assert chunk.lines == [Line(2, b"b")]
        with path.open("ab") as out:
            out.write(late)
        for _ in range(2):  # by a file just opened too
            with opened(path) as file:
                lines, after = read_all(file, chunk.checkpoint)
                assert datas(lines) == read
                assert after.offset == path.stat().st_size

    def test_the_positions_are_the_same_whenever_the_newline_came(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_bytes(b"a\nb")
        with opened(path) as file:
            chunk = file.read_unfinished(read_all(file, Checkpoint())[1], LIMIT)
            assert chunk is not None
            path.write_bytes(b"a\nb\n")
            assert read_all(file, chunk.checkpoint)[1] == read_all(file, Checkpoint())[1]

    @pytest.mark.parametrize("content", [b"", b"a\n"])
    def test_there_may_be_none(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "a.jsonl"
        path.write_bytes(content)
        with opened(path) as file:
            _, checkpoint = read_all(file, Checkpoint())
            assert file.read_unfinished(checkpoint, LIMIT) is None

    def test_one_over_the_limit_is_not_taken(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_bytes(b"a\n" + b"b" * 2000)
        with opened(path) as file:
            assert file.read_unfinished(Checkpoint(offset=2), 1999) is None
            assert file.read_unfinished(Checkpoint(offset=2), 2000) is not None


class TestRewritten:
    """What was committed is no longer there."""

    def committed(self, path: Path, content: bytes) -> Checkpoint:
        path.write_bytes(content)
        with opened(path) as file:
            checkpoint = read_all(file, Checkpoint())[1]
        # File systems stamp times by the tick of a clock; a change within one is not seen.
        os.utime(path, ns=(0, checkpoint.mtime_ns or 0))
        return checkpoint

    def verdict(self, path: Path, checkpoint: Checkpoint) -> str:
        with opened(path) as file:
            return file.compare(checkpoint)

    def changed(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        os.utime(path, ns=(1, 1))

    @pytest.mark.parametrize("size", [10, EDGE_BYTES, EDGE_BYTES + 1, 3 * EDGE_BYTES])
    def test_in_one_byte_anywhere_at_the_same_size(self, tmp_path: Path, size: int) -> None:
        path = tmp_path / "a.jsonl"
        content = b"x" * (size - 1) + b"\n"
        checkpoint = self.committed(path, content)
        assert self.verdict(path, checkpoint) == "same"
        for at in (0, size // 2, size - 2):
            self.changed(path, content[:at] + b"y" + content[at + 1 :])
            assert self.verdict(path, checkpoint) != "same", at
        self.changed(path, content)
        assert self.verdict(path, checkpoint) == "same"

    def test_shorter_longer_or_empty(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        checkpoint = self.committed(path, b"one\ntwo\n")
        for content in (b"", b"one\n", b"two\none\nthree\n"):
            self.changed(path, content)
            assert self.verdict(path, checkpoint) != "same"

    def test_another_file_that_begins_and_ends_alike(self, tmp_path: Path) -> None:
        path, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
        edge = b"e" * EDGE_BYTES
        checkpoint = self.committed(path, edge + b"1" + edge + b"\n")
        other.write_bytes(edge + b"2" + edge + b"\nmore\n")
        other.replace(path)
        assert self.verdict(path, checkpoint) != "same"

    def test_a_copy_in_its_place_is_the_same(self, tmp_path: Path) -> None:
        path, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
        checkpoint = self.committed(path, b"one\ntwo\n")
        other.write_bytes(b"one\ntwo\nthree\n")
        other.replace(path)
        assert self.verdict(path, checkpoint) == "same"


@pytest.mark.parametrize("seed", range(150))
def test_any_history_of_a_file(tmp_path: Path, seed: int) -> None:
    """A file's lines come out as they are in it, whatever was done to it between two looks."""
    run_history(tmp_path, seed)


@pytest.mark.long
@pytest.mark.parametrize("first", range(1000, 21000, 1000))
def test_many_histories_of_a_file(tmp_path: Path, first: int) -> None:
    for seed in range(first, first + 1000):
        run_history(tmp_path, seed)


class Toy:
    """The model: what the file holds, and what a reader that read all of it must have seen."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.random = random.Random(seed)
        self.content = b""
        self.clock = 1
        self.lines = 0
        self.committed = b""
        self.expected: list[tuple[int, bytes]] = []
        path.write_bytes(b"")

    def line(self) -> bytes:
        size = self.random.choice([0, 3, 40, 40, 40, 1023, 1024, 1025, CHUNK_BYTES, 300_000])
        self.lines += 1
        return (f'{{"\r\0{self.lines}' * (size // 5 + 1)).encode()[:size]

    def append(self) -> None:
        more = b"".join(self.line() + b"\n" for _ in range(self.random.randint(1, 5)))
        self.write(self.content + more, "ab", more)

    def append_part(self) -> None:
        more = self.line()[: self.random.randint(0, 50)]
        self.write(self.content + more, "ab", more)

    def rewrite(self) -> None:
        self.lines += 1
        fresh = b"".join(self.line() + b"\n" for _ in range(self.random.randint(0, 5)))
        self.write(f"{self.lines} is the first\n".encode() + fresh if fresh else b"")

    def change_one_byte(self) -> None:
        if (
            self.content and self.committed == self.content
        ):  # beyond that only the edges are compared
            at = self.random.randrange(len(self.content))
            byte = bytes([self.content[at] ^ 1])
            self.write(self.content[:at] + byte + self.content[at + 1 :])

    def truncate(self) -> None:
        self.write(self.content[: self.random.randint(0, len(self.content))])

    def replace(self) -> None:
        self.path.rename(self.path.with_suffix(".old"))
        self.write(self.random.choice([self.content, self.content + self.line() + b"\n", b"n\n"]))

    def write(self, content: bytes, mode: str = "wb", data: bytes | None = None) -> None:
        with self.path.open(mode) as out:
            out.write(content if data is None else data)
        self.content = content
        self.clock += 1
        os.utime(self.path, ns=(self.clock, self.clock))

    def look(self) -> None:
        """All whole lines are read: those that are new, or all where the old ones changed."""
        whole = self.content[: self.content.rfind(b"\n") + 1]
        same = self.content.startswith(self.committed)
        start = len(self.committed) if same else 0
        for line in whole[start:].split(b"\n")[:-1]:
            self.expected.append((start, line))
            start += len(line) + 1
        self.committed = whole if len(whole) > len(self.committed) or not same else self.committed


def run_history(directory: Path, seed: int) -> None:
    path = directory / f"{seed}.jsonl"
    toy = Toy(path, seed)
    steps = [toy.append, toy.append, toy.append_part, toy.rewrite, toy.change_one_byte,
             toy.truncate, toy.replace]  # fmt: skip
    file, checkpoint, found = SourceFile(str(path)), Checkpoint(), []
    try:
        for _ in range(25):
            step = toy.random.choice(steps)
            step()
            if step == toy.change_one_byte or toy.random.random() < 0.7:
                if toy.random.random() < 0.3 or path.stat().st_ino != file.identity[1]:
                    file.close()
                    file = SourceFile(str(path))
                lines, checkpoint = read_all(file, checkpoint)
                found += [(line.start, line.data) for line in lines if isinstance(line, Line)]
                toy.look()
                assert len(found) == len(toy.expected), f"seed {seed}"
                assert all(map(eq, found, toy.expected)), f"seed {seed}"
                assert checkpoint.offset == len(toy.committed), f"seed {seed}"
    finally:
        file.close()
