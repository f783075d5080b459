"""A line that ends the watcher does not end the capture."""

from __future__ import annotations

from pathlib import Path

from supervised import supervised

import lines
from faults.load import Transcript, append
from faults.machine import query, wait_for
from faults.poison_watcher import HANGING, MARKER
from faults.watched import POISON, Watched, watched

SIGKILLED = -9


def poisoned(transcript: Transcript, marker: bytes = MARKER) -> int:
    """Append a line that is deadly; returns its offset."""
    start = transcript.path.stat().st_size if transcript.path.exists() else 0
    record = lines.user(transcript.session, f"this is a {marker.decode()}")
    append(transcript.path, lines.raw(record) + b"\n")
    return start


def stored(watcher: Watched) -> list[str]:
    rows = query(
        watcher.url,
        "SELECT payload->>'line_uuid' FROM events WHERE event_type = 'turn_detected' ORDER BY id",
    )
    return [row[0] for row in rows]


def dead_letters(watcher: Watched) -> list[tuple[str, int, bool]]:
    """(path, offset, whether the content was kept) of each dead letter as poison."""
    return query(
        watcher.url,
        "SELECT path, source_offset, position(%s::bytea in content) > 0 FROM dead_letters r"
        " JOIN checkpoints s ON s.id = r.source_id WHERE reason = 'poison'"
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


def test_after_one_death_it_is_passed_and_reported(tmp_path: Path, database_url: str) -> None:
    it = Watched(tmp_path, database_url, POISON)
    transcript = transcript_in(it)
    append(transcript.path, b"".join(transcript.turn() for _ in range(5)))
    offset = poisoned(transcript)
    append(transcript.path, b"".join(transcript.turn() for _ in range(5)))
    die_of_it(it)
    with watched(tmp_path, database_url, command=POISON) as second:
        wait_for(lambda: len(stored(second)) >= len(transcript.turns), "all the other turns")
        assert stored(second) == transcript.turns
        assert dead_letters(second) == [(str(transcript.path), offset, True)]
        wait_for(lambda: (s := second.status()) and s.poison_lines == 1, "the status tells")
        assert second.stop() == 0
        second.start()
        second.wait_state("capturing")
        wait_for(lambda: (s := second.status()) and s.poison_lines == 1, "a later one tells too")
        append(transcript.path, transcript.turn())
        wait_for(lambda: stored(second) == transcript.turns, "capture goes on")


def test_a_class_of_lines_costs_one_death(tmp_path: Path, database_url: str) -> None:
    """Fifty lines that kill, in two files, some in a row, and others that come later."""
    it = Watched(tmp_path, database_url, POISON)
    one, other = transcript_in(it), transcript_in(it)
    for number in range(25):
        for transcript in (one, other):
            poisoned(transcript)
            if number % 3:
                append(transcript.path, transcript.turn())
    die_of_it(it)
    with watched(tmp_path, database_url, command=POISON) as second:
        wait_for(lambda: sorted(stored(second)) == sorted(one.turns + other.turns), "other turns")
        wait_for(lambda: len(dead_letters(second)) == 50, "all of them are rejected")
        poisoned(one)
        append(one.path, one.turn())
        wait_for(lambda: sorted(stored(second)) == sorted(one.turns + other.turns), "the last")
        assert len(dead_letters(second)) == 51
        assert second.alive()
        assert second.starts == 1


def test_a_line_that_hangs_is_found_and_rejected(tmp_path: Path, database_url: str) -> None:
    """The guard would end the first watcher; the second finds out by itself."""
    it = Watched(tmp_path, database_url, POISON)
    transcript = transcript_in(it)
    append(transcript.path, transcript.turn())
    poisoned(transcript, HANGING)
    append(transcript.path, transcript.turn())
    it.start()
    wait_for(lambda: (s := it.status()) and s.doing_seconds > s.doing_limit, "it is overdue")
    it.kill()
    with watched(tmp_path, database_url, command=POISON) as second:
        wait_for(lambda: stored(second) == transcript.turns, "all the other turns")
        assert len(dead_letters(second)) == 1
        assert second.alive()


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
        assert dead_letters(last) == []


def test_fifty_that_kill_and_one_that_hangs_leave_the_watcher_running(
    state_directory: Path, tmp_path: Path, database_url: str
) -> None:
    """Under the guard, which knows nothing of lines, and its limit of five restarts."""
    it = Watched(tmp_path, database_url)
    transcript = transcript_in(it)
    for number in range(50):
        poisoned(transcript)
        if number % 5 == 0:
            append(transcript.path, transcript.turn())
    poisoned(transcript, HANGING)
    append(transcript.path, transcript.turn())
    settings: dict[str, dict[str, object]] = {
        "database": {"url": database_url},
        "claude": {"projects_path": str(it.projects)},
    }
    command = " ".join(POISON)
    with supervised(state_directory, settings=settings, watcher=command) as guarded:
        wait_for(lambda: stored(it) == transcript.turns, "all the other turns")
        guarded.wait_state("RUNNING")
        wait_for(lambda: len(dead_letters(it)) == 51, "every line that kills is rejected")
        wait_for(lambda: len(guarded.history()) >= 1, "the history is incomplete")
        assert len(guarded.history()) <= 2
