"""Long lines without what makes them long: what was said comes out as of the whole line."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import lines
from claude_headspace.transcripts import source_file
from claude_headspace.transcripts.checkpoint import Checkpoint
from claude_headspace.transcripts.lines import Line, TooLong
from claude_headspace.transcripts.long_lines import SHORT_BYTES, TooMuchText, thinned
from claude_headspace.transcripts.parsed import Other, Parsed, Turn
from claude_headspace.transcripts.source_file import SourceFile
from code_turns import parse
from turn_cases import CASES, file_of

SESSION = "11111111-2222-4333-8444-555555555555"
LIMIT = 1 << 20
# Of a line whose beginning was cut off, the structure cannot be followed.
WHOLE = CASES.keys() - {"behind a cut-off line"}
LONG = "word " * SHORT_BYTES
EVERY_LINE = [line for name in sorted(WHOLE) for line in file_of(CASES[name])]


def blocks(line: bytes, dice: random.Random, largest: int) -> Iterator[bytes]:
    at = 0
    while at < len(line):
        size = dice.randint(1, largest)
        yield line[at : at + size]
        at += size


def picture(size: int) -> lines.Record:
    return {"type": "image", "source": {"type": "base64", "data": "A" * size}}


def said(line: bytes, start: int) -> list[Parsed]:
    """All but the sizes of what tools were given and put out."""
    return [
        msgspec.structs.replace(found, work=None) if isinstance(found, Turn | Other) else found
        for found in parse(line, start)
    ]


@pytest.mark.parametrize("largest", [3, 50, 5000])
def test_a_line_of_any_kind_says_what_it_says_untouched(largest: int) -> None:
    dice = random.Random(largest)
    for line in EVERY_LINE:
        if len(line) > 20_000:
            continue
        short = thinned(blocks(line, dice, largest), LIMIT)
        assert said(short, 5) == said(line, 5), line


def test_so_it_does_with_large_things_beside_the_words() -> None:
    dice = random.Random(1)
    large = {"a": ['"', "\\", "x" * 3000, {"text": "not said", "content": ["neither"]}]}
    for line in EVERY_LINE:
        if not line.startswith(b'{"message"'):
            continue
        fat = b'{"toolUseResult":' + lines.raw(large) + b"," + line[1:]
        short = thinned(blocks(fat, dice, 4096), LIMIT)
        assert len(short) < len(line) + SHORT_BYTES
        assert said(short, 0) == said(line, 0), line


@pytest.mark.parametrize("said", [
    lines.user(SESSION, LONG), lines.user(SESSION, [lines.text(LONG)]), lines.user(SESSION, [LONG]),
    lines.user(SESSION, [lines.tool_result()], userFeedback=LONG, holdsPersonsWords=True),
    lines.assistant(SESSION, LONG), lines.attachment(SESSION, LONG),
    lines.attachment(SESSION, [lines.text(LONG)]), lines.attachment(SESSION, [LONG]),
    lines.queue(SESSION, "enqueue", content=LONG),
    lines.local_command(SESSION, f"<command-name>/x {LONG}</command-name>"),
])  # fmt: skip
def test_long_words_are_kept_wherever_they_stand(said: lines.Record) -> None:
    assert thinned([lines.raw(said)], LIMIT) == lines.raw(said)


def test_escapes_at_the_edge_of_a_block_are_kept() -> None:
    line = lines.raw(lines.user(SESSION, 'a\\"b\\\\"\n\u2028"' * 20))
    for cut in range(1, len(line)):
        assert thinned((line[:cut], line[cut:]), LIMIT) == line


def test_words_over_the_limit_are_too_much() -> None:
    line = lines.raw(lines.user(SESSION, [lines.text("x" * 600), lines.text("y" * 600)]))
    assert len(thinned([line], len(line))) == len(line)
    with pytest.raises(TooMuchText):
        thinned([line], 1000)
    with pytest.raises(TooMuchText):
        thinned([lines.raw(lines.user(SESSION, "x" * 2000))], 1000)


def test_pictures_do_not_count() -> None:
    said = [picture(50_000), lines.text("what is this?"), picture(50_000)]
    short = thinned([lines.raw(lines.user(SESSION, said))], 2000)
    assert [o.text for o in parse(short, 0) if isinstance(o, Turn)] == ["what is this?"]


def test_two_records_on_a_line_come_out_of_it() -> None:
    both = lines.raw(lines.user(SESSION, "one")) + lines.raw(lines.user(SESSION, "two"))
    assert thinned([both], LIMIT) == both


@pytest.mark.parametrize("line", [b"{" * 40_000, b"[" * 40_000, b'"' * 40_001, b'{"a":' * 9_000])
def test_the_work_grows_with_the_line(line: bytes) -> None:
    def cost(data: bytes) -> float:
        began = time.process_time()
        thinned([data[at : at + 65536] for at in range(0, len(data), 65536)], 10 * len(data))
        return time.process_time() - began

    assert cost(line * 2) < 5 * max(cost(line), 0.01)


class TestInFiles:
    def read(self, path: Path, limit: int) -> Line | TooLong:
        file = SourceFile(str(path))
        try:
            (line,) = file.read(Checkpoint(), limit).lines
            return line
        finally:
            file.close()

    def test_a_line_over_the_limit_is_thinned_to_what_was_said(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        said = [picture(2_000_000)] * 3 + [lines.text("what are these?")]
        path.write_bytes(lines.joined(lines.user(SESSION, said)))
        line = self.read(path, LIMIT)
        assert isinstance(line, Line)
        assert line.thinned
        (turn,) = parse(line.data, 0)
        assert isinstance(turn, Turn)
        assert turn.text == "what are these?"

    def test_so_is_one_within_a_chunk(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        said = [picture(20_000), lines.text("what is this?")]
        path.write_bytes(lines.joined(lines.user(SESSION, said), lines.user(SESSION, "x" * 9000)))
        file = SourceFile(str(path))
        short, long = file.read(Checkpoint(), 2000).lines
        file.close()
        assert isinstance(short, Line)
        assert [o.text for o in parse(short.data, 0) if isinstance(o, Turn)] == ["what is this?"]
        assert isinstance(long, TooLong)

    def test_words_over_the_limit_make_it_too_long(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_bytes(lines.joined(lines.user(SESSION, "x" * (LIMIT + 1))))
        assert isinstance(self.read(path, LIMIT), TooLong)

    def test_so_does_a_length_over_the_longest(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(source_file, "LONGEST_LINE_BYTES", 3_000_000)
        path = tmp_path / "a.jsonl"
        for size, kind in ((2_900_000, Line), (3_000_000, TooLong)):
            said = [picture(size), lines.text("what is this?")]
            path.write_bytes(lines.joined(lines.user(SESSION, said)))
            assert isinstance(self.read(path, LIMIT), kind)
