"""Reading ahead: what was read before its turn must not hide what came after."""

from __future__ import annotations

from pathlib import Path

import pytest

from claude_headspace.capture.in_flight import InFlight
from claude_headspace.capture.read_ahead import ReadAhead
from claude_headspace.capture.reader import BATCH_BYTES, LineReader
from claude_headspace.capture.sources import ActiveSource
from claude_headspace.store.checkpoints import StoredSource
from claude_headspace.transcripts.secrets import Redaction
from claude_headspace.transcripts.source_file import CHUNK_BYTES, SourceFile


def nothing() -> None:
    pass


@pytest.fixture
def ahead(tmp_path: Path) -> ReadAhead:
    in_flight, redaction = InFlight(tmp_path), Redaction(None)
    reader = LineReader(
        max_line_bytes=1 << 20, in_flight=in_flight, redaction=redaction,
        captured=lambda _: True, beat=nothing,
    )  # fmt: skip
    return ReadAhead(reader, nothing)


def source_of(path: Path) -> ActiveSource:
    return ActiveSource(StoredSource(1, str(path)), SourceFile(str(path)))


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_a_file_that_grew_since_it_was_read_ahead_has_more(
    ahead: ReadAhead, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    append(path, b"{}\n" * (CHUNK_BYTES // 3 + 10))
    source = source_of(path)
    first = ahead.read(source, source.checkpoint)
    assert first.more
    assert not ahead.fill(source, first)
    append(path, b"{}\n")
    source.file.refresh()
    second = ahead.read(source, first.end)
    assert second.more
    last = ahead.read(source, second.end)
    assert (len(last.lines), last.more) == (1, False)


def test_a_half_line_read_ahead_is_unfinished_and_no_more(ahead: ReadAhead, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append(path, b"{}\n" * (CHUNK_BYTES // 3 + 10) + b'{"half')
    source = source_of(path)
    first = ahead.read(source, source.checkpoint)
    assert not ahead.fill(source, first)
    source.file.refresh()
    second = ahead.read(source, first.end)
    assert (second.more, second.unfinished) == (False, len(b'{"half'))


def test_what_was_read_ahead_of_another_place_is_dropped(ahead: ReadAhead, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append(path, b"{}\n" * CHUNK_BYTES)
    source = source_of(path)
    first = ahead.read(source, source.checkpoint)
    assert ahead.fill(source, first)
    again = ahead.read(source, source.checkpoint)
    assert again == first
    assert ahead.read(source, again.end).start == again.end


def test_no_more_than_a_batch_is_read_ahead(ahead: ReadAhead, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append(path, b"{}\n" * (BATCH_BYTES // 2))
    source = source_of(path)
    first = ahead.read(source, source.checkpoint)
    steps = 1
    while ahead.fill(source, first):
        steps += 1
    assert steps <= BATCH_BYTES // CHUNK_BYTES + 2


def test_a_batch_is_one_segment_of_all_that_was_read_for_it(
    ahead: ReadAhead, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    append(path, b"{}\n" * (BATCH_BYTES // 3 + CHUNK_BYTES))
    source = source_of(path)
    segment = ahead.segment(source)
    assert (segment.start, segment.more) == (source.checkpoint, True)
    assert BATCH_BYTES <= segment.size < BATCH_BYTES + CHUNK_BYTES
    assert [line.start for line in segment.lines] == list(range(0, segment.size, 3))
    rest = ahead.read(source, segment.end)
    assert rest.lines[0].start == segment.size
