"""A line that ends the watcher does not end the capture."""

from __future__ import annotations

from pathlib import Path

import lines
from faults.load import Transcript, append
from faults.machine import query, wait_for
from faults.poison_watcher import MARKER
from faults.watched import POISON, Watched, watched

SIGKILLED = -9


def poisoned(transcript: Transcript) -> int:
    """Append a line that is deadly; returns its offset."""
    start = transcript.path.stat().st_size if transcript.path.exists() else 0
    record = lines.user(transcript.session, f"this is a {MARKER.decode()}")
    append(transcript.path, lines.raw(record) + b"\n")
    return start


def stored(watcher: Watched) -> list[str]:
    rows = query(
        watcher.url,
        "SELECT payload->>'line_uuid' FROM events WHERE event_type = 'turn_detected' ORDER BY id",
    )
    return [row[0] for row in rows]


def set_aside(watcher: Watched) -> list[tuple[str, int, bool]]:
    """(path, offset, whether the content was kept) of each rejection as poison."""
    return query(
        watcher.url,
        "SELECT path, source_offset, position(%s::bytea in content) > 0 FROM rejections r"
        " JOIN source_positions s ON s.id = r.source_id WHERE reason = 'poison'"
        " ORDER BY source_offset",
        (MARKER,),
    )


def die_of_it(watcher: Watched) -> None:
    """Start it and wait for its death."""
    watcher.start()
    assert watcher.process is not None
    assert watcher.process.wait(60) == SIGKILLED


def transcript_in(watcher: Watched) -> Transcript:
    return Transcript(watcher.projects / f"{lines.new_session()}.jsonl")


def test_after_two_deaths_it_is_passed_and_reported(tmp_path: Path, database_url: str) -> None:
    it = Watched(tmp_path, database_url, POISON)
    transcript = transcript_in(it)
    append(transcript.path, b"".join(transcript.turn() for _ in range(5)))
    offset = poisoned(transcript)
    append(transcript.path, b"".join(transcript.turn() for _ in range(5)))
    die_of_it(it)
    die_of_it(it)
    with watched(tmp_path, database_url, command=POISON) as third:
        wait_for(lambda: len(stored(third)) >= len(transcript.turns), "all the other turns")
        assert stored(third) == transcript.turns
        assert set_aside(third) == [(str(transcript.path), offset, True)]
        wait_for(lambda: (s := third.status()) and s.poison_lines == 1, "the status tells")
        assert third.stop() == 0
        third.start()
        third.wait_state("capturing")
        wait_for(lambda: (s := third.status()) and s.poison_lines == 1, "a later one tells too")
        append(transcript.path, transcript.turn())
        wait_for(lambda: stored(third) == transcript.turns, "capture goes on")


def test_each_has_deaths_of_its_own(tmp_path: Path, database_url: str) -> None:
    """Also those in two files, and two in one file that follow each other."""
    it = Watched(tmp_path, database_url, POISON)
    one, other = transcript_in(it), transcript_in(it)
    for transcript in (one, other):
        append(transcript.path, transcript.turn())
        poisoned(transcript)
    poisoned(one)
    append(one.path, one.turn())
    for _ in range(6):
        die_of_it(it)
    with watched(tmp_path, database_url, command=POISON) as last:
        wait_for(lambda: sorted(stored(last)) == sorted(one.turns + other.turns), "other turns")
        assert len(set_aside(last)) == 3
        assert last.alive()


def test_a_death_of_something_else_is_no_lines(tmp_path: Path, database_url: str) -> None:
    it = Watched(tmp_path, database_url)
    transcript = transcript_in(it)
    for _ in range(5):
        append(transcript.path, b"".join(transcript.turn(600) for _ in range(400)))
        it.start()
        wait_for(lambda: stored(it), "some turns")
        it.kill()
    with watched(tmp_path, database_url) as last:
        wait_for(lambda: stored(last) == transcript.turns, "every turn")
        assert set_aside(last) == []
