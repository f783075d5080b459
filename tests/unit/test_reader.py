"""Reading ahead: what was read before its turn must not hide what came after."""

from __future__ import annotations

from pathlib import Path

import pytest

from claude_headspace.capture.in_flight import InFlight
from claude_headspace.capture.reader import BATCH_BYTES, Reader
from claude_headspace.capture.sources import ActiveSource
from claude_headspace.store.checkpoints import StoredSource
from claude_headspace.transcripts.tailer import CHUNK_BYTES, SourceFile


def nothing() -> None:
    pass


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    in_flight = InFlight(tmp_path)
    return Reader(max_line_bytes=1 << 20, in_flight=in_flight, redactor=None, beat=nothing)


def source_of(path: Path) -> ActiveSource:
    return ActiveSource(StoredSource(1, str(path)), SourceFile(str(path)))


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_a_file_that_grew_since_it_was_read_ahead_has_more(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append(path, b"{}\n" * (CHUNK_BYTES // 3 + 10))
    source = source_of(path)
    first = reader.read(source, source.stored.checkpoint)
    assert first.more
    assert not reader.read_ahead(source, first.end)
    append(path, b"{}\n")
    source.file.refresh()
    ahead = reader.read(source, first.end)
    assert ahead.more
    last = reader.read(source, ahead.end)
    assert (len(last.lines), last.more) == (1, False)


def test_a_half_line_read_ahead_is_unfinished_and_no_more(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append(path, b"{}\n" * (CHUNK_BYTES // 3 + 10) + b'{"half')
    source = source_of(path)
    first = reader.read(source, source.stored.checkpoint)
    assert not reader.read_ahead(source, first.end)
    source.file.refresh()
    ahead = reader.read(source, first.end)
    assert (ahead.more, ahead.unfinished) == (False, len(b'{"half'))


def test_what_was_read_ahead_of_another_place_is_dropped(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append(path, b"{}\n" * CHUNK_BYTES)
    source = source_of(path)
    first = reader.read(source, source.stored.checkpoint)
    assert reader.read_ahead(source, first.end)
    again = reader.read(source, source.stored.checkpoint)
    assert again == first
    assert reader.read(source, again.end).start == again.end


def test_no_more_than_a_batch_is_read_ahead(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append(path, b"{}\n" * (BATCH_BYTES // 2))
    source = source_of(path)
    first = reader.read(source, source.stored.checkpoint)
    steps = 1
    while reader.read_ahead(source, first.end):
        steps += 1
    assert steps <= BATCH_BYTES // CHUNK_BYTES + 2
