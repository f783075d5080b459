from __future__ import annotations

import random
import time
import zlib
from collections.abc import Iterator
from uuid import UUID

import pytest

from archived import SESSION, archived_bytes, assert_contiguous
from claude_headspace.archive.file import ArchivedFile
from claude_headspace.archive.merge import Merge
from claude_headspace.archive.pieces import PIECE_BYTES, Archived, Generation, Pieces
from claude_headspace.machine import id_of_name
from claude_headspace.store.connection import Database
from claude_headspace.transcripts.checkpoint import Checkpoint
from harness import Log

PATH = "/root/folder/x.txt"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(lambda: database_url, application_name="test")
    yield made
    made.close()


@pytest.fixture
def pieces(database: Database) -> Pieces:
    return Pieces(database)


def sidecar(pieces: Pieces) -> Archived:
    return pieces.sidecar(id_of_name("test-host"), UUID(SESSION), PATH)


def grown(pieces: Pieces, data: bytes) -> Generation:
    """The newest generation of the file, with this behind it."""
    source = sidecar(pieces)
    to = source.latest or pieces.begin(source.id, 1)
    checksum = zlib.crc32(data, to.checkpoint.checksum)
    checkpoint = Checkpoint(to.checkpoint.offset + len(data), 1, 2, 3, checksum)
    assert pieces.append(to, data, checkpoint)
    latest = sidecar(pieces).latest
    assert latest is not None
    return latest


def test_what_was_read_from_another_state_is_not_stored(pieces: Pieces, log: Log) -> None:
    first = grown(pieces, b"one")
    assert first.checkpoint.offset == 3
    grown(pieces, b"two")
    assert not pieces.append(first, b"other", Checkpoint(8))
    assert archived_bytes(log, PATH) == b"onetwo"
    assert_contiguous(log)


def test_any_place_is_read(pieces: Pieces) -> None:
    whole = random.Random(2).randbytes(3000)
    for start in range(0, 3000, 700):
        latest = grown(pieces, whole[start : start + 700])
    file = ArchivedFile(pieces, latest, PATH)
    assert file.stat.st_size == 3000
    assert file.identity == (1, 2)
    for start, length in [(0, 1), (0, 3000), (699, 2), (1400, 700), (2999, 10), (5000, 1)]:
        assert file.read_bytes(Checkpoint(start), length)[0] == whole[start : start + length]
    assert file.compare(latest.checkpoint) != "same"  # its edges are not noted


def test_small_pieces_of_what_rests_are_merged(
    pieces: Pieces, database: Database, log: Log
) -> None:
    chance = random.Random(1)
    sizes = [chance.randrange(1, 30_000) for _ in range(200)]
    parts = [chance.randbytes(1) * size for size in [*sizes, PIECE_BYTES, PIECE_BYTES, 5, 6]]
    for part in parts:
        grown(pieces, part)
    before = b"".join(parts)
    merge = Merge(database, pieces)
    merge.step(time.monotonic())
    assert log.value("SELECT count(*) FROM archive_pieces") == len(parts)
    log.rows("UPDATE archive_generations SET updated_at = updated_at - interval '1 hour'")
    merge = Merge(database, pieces)
    while merge.due <= time.monotonic():
        merge.step(time.monotonic())
        assert_contiguous(log)
    assert archived_bytes(log, PATH) == before
    assert log.value("SELECT count(*) FROM archive_pieces") <= 2 + len(before) // PIECE_BYTES * 2
    assert log.value("SELECT loose FROM archive_generations") == 0


def test_damage_is_left_as_it_is(pieces: Pieces, database: Database, log: Log) -> None:
    for part in (b"one", b"two"):
        grown(pieces, part)
    log.rows(
        "UPDATE archive_generations SET updated_at = updated_at - interval '1 hour';"
        " UPDATE archive_pieces SET digest = 'x' WHERE start = 0"
    )
    Merge(database, pieces).step(0)
    assert log.value("SELECT count(*) FROM archive_pieces") == 2
    assert log.value("SELECT loose FROM archive_generations") == 0
