"""Whatever is done to a transcript, its turns come into the log once and in order."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lines
from faults.load import Transcript, append, backlog, transcripts
from faults.logged import logged, wait_logged
from faults.machine import query, wait_for
from faults.watched import Watched, watched
from servers import PostgresServer

STILL_SECONDS = 0.5


@pytest.fixture(scope="module")
def watcher(
    postgres_server: PostgresServer, schema_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    """One watcher for all of these tests; each has directories and sessions of its own."""
    directory = tmp_path_factory.mktemp("files")
    settings: dict[str, Any] = {"file_watcher": {"final_line_wait_seconds": STILL_SECONDS}}
    with (
        postgres_server.database(schema_template) as url,
        watched(directory, url, settings=settings) as it,
    ):
        it.wait_state("capturing")
        yield it
        assert it.alive(), it.log[-2000:]


@pytest.fixture
def folder(watcher: Watched) -> Path:
    made = watcher.projects / f"-{lines.new_session()}"
    made.mkdir()
    return made


@pytest.fixture
def transcript(folder: Path) -> Transcript:
    return transcripts(folder, 1)[0]


def committed(watcher: Watched, path: Path) -> int:
    """How far the log says that a file was read; -1 for one it has never seen."""
    found = query(
        watcher.url, "SELECT committed_offset FROM checkpoints WHERE path = %s", (str(path),)
    )
    return int(found[0][0]) if found else -1


def wait_finished(watcher: Watched, path: Path) -> None:
    size = path.stat().st_size
    wait_for(lambda: committed(watcher, path) == size, f"{path} is read to its end")


def short_turn(transcript: Transcript) -> bytes:
    """The shortest line that is a turn, with characters of one to four bytes."""
    record = {
        "type": "assistant",
        "uuid": next_uuid(transcript),
        "sessionId": transcript.session,
        "timestamp": "2025-06-01T12:00:00.000Z",
        "message": {"content": "aé€😀"},
    }
    return lines.raw(record) + b"\n"


def next_uuid(transcript: Transcript) -> str:
    transcript.turns.append(lines.new_session())
    return transcript.turns[-1]


def test_a_record_torn_at_every_byte(watcher: Watched, folder: Path) -> None:
    sample = short_turn(Transcript(folder / "sample.jsonl"))
    torn = []
    for cut in range(1, len(sample)):
        transcript = Transcript(folder / f"{cut}.jsonl")
        line = short_turn(transcript)
        append(transcript.path, line[:cut])
        torn.append((transcript, line[cut:]))
    for transcript, _ in torn:
        wait_for(lambda: committed(watcher, transcript.path) >= 0, "the first half is seen")  # noqa: B023
    for transcript, rest in torn:
        append(transcript.path, rest)
    wait_logged(watcher, *(transcript for transcript, _ in torn))


def test_a_record_torn_at_every_byte_of_a_growing_file(
    watcher: Watched, transcript: Transcript
) -> None:
    for cut in range(1, len(short_turn(Transcript(transcript.path)))):
        line = short_turn(transcript)
        append(transcript.path, line[:cut])
        time.sleep(0.001)
        append(transcript.path, line[cut:])
    wait_logged(watcher, transcript)


def rewritten_shorter(path: Path, data: Callable[[int], bytes]) -> None:
    path.write_bytes(data(3))


def rewritten_longer(path: Path, data: Callable[[int], bytes]) -> None:
    path.write_bytes(data(40))


def truncated_then_appended(path: Path, data: Callable[[int], bytes]) -> None:
    os.truncate(path, 0)
    for _ in range(30):
        append(path, data(1))


def rewritten_in_place(path: Path, data: Callable[[int], bytes]) -> None:
    size = path.stat().st_size
    fresh = data(20)
    assert len(fresh) == size
    with path.open("r+b") as file:
        file.write(fresh)


def replaced_by_rename(path: Path, data: Callable[[int], bytes]) -> None:
    fresh = path.with_name("fresh.tmp")
    fresh.write_bytes(data(20))
    fresh.replace(path)


def deleted_and_made_again(path: Path, data: Callable[[int], bytes]) -> None:
    path.unlink()
    path.write_bytes(data(20))


CHANGES = [
    rewritten_shorter,
    rewritten_longer,
    truncated_then_appended,
    rewritten_in_place,
    replaced_by_rename,
    deleted_and_made_again,
]


@pytest.mark.parametrize("change", CHANGES)
def test_contents_replaced(
    watcher: Watched, transcript: Transcript, change: Callable[..., None]
) -> None:
    append(transcript.path, b"".join(transcript.turn() for _ in range(20)))
    wait_logged(watcher, transcript)
    wait_finished(watcher, transcript.path)
    change(transcript.path, lambda count: b"".join(transcript.turn() for _ in range(count)))
    wait_logged(watcher, transcript)
    append(transcript.path, transcript.turn())
    wait_logged(watcher, transcript)
    wait_finished(watcher, transcript.path)


def test_what_is_written_again_is_no_second_turn(watcher: Watched, transcript: Transcript) -> None:
    before = b"".join(transcript.turn() for _ in range(10))
    append(transcript.path, before)
    wait_logged(watcher, transcript)
    fresh = transcript.path.with_name("fresh.tmp")
    fresh.write_bytes(before + transcript.turn())
    fresh.replace(transcript.path)
    wait_logged(watcher, transcript)
    wait_finished(watcher, transcript.path)
    assert logged(watcher, transcript.session) == transcript.turns


def test_two_files_swap_their_names(watcher: Watched, folder: Path) -> None:
    one, other = transcripts(folder, 2)
    for each in (one, other):
        append(each.path, each.turn() + each.turn())
    wait_logged(watcher, one, other)
    between = one.path.with_name("between.jsonl")
    one.path.rename(between)
    other.path.rename(one.path)
    between.rename(other.path)
    one.path, other.path = other.path, one.path
    for _ in range(20):
        for each in (one, other):
            append(each.path, each.turn())
    wait_logged(watcher, one, other)


def test_an_inode_that_means_another_file_now(watcher: Watched, folder: Path) -> None:
    """A deleted file's inode is given to the next file that is made."""
    for _ in range(10):
        first, second = transcripts(folder, 2)
        append(first.path, first.turn())
        wait_logged(watcher, first)
        first.path.unlink()
        append(second.path, b"".join(second.turn() for _ in range(5)))
        append(first.path, first.turn())
        wait_logged(watcher, first, second)


def test_renamed_while_lines_arrive(watcher: Watched, transcript: Transcript) -> None:
    transcript.path.touch()
    descriptor = os.open(transcript.path, os.O_WRONLY | os.O_APPEND)
    try:
        for number in range(200):
            os.write(descriptor, transcript.turn())
            if number % 50 == 49:
                wait_logged(watcher, transcript)
                name = transcript.path.with_name(f"renamed-{number}.jsonl")
                transcript.path = transcript.path.rename(name)
    finally:
        os.close(descriptor)
    wait_logged(watcher, transcript)


def test_renamed_while_no_watcher_ran_it_is_not_read_again(
    tmp_path: Path, database_url: str
) -> None:
    with watched(tmp_path, database_url) as it:
        files = transcripts(it.projects, 3)
        backlog(files, 30)
        for each in files:
            wait_finished(it, each.path)
        it.kill()
        files[0].path = files[0].path.rename(files[0].path.with_name("renamed.jsonl"))
        elsewhere = it.projects / "elsewhere"
        elsewhere.mkdir()
        files[1].path = files[1].path.rename(elsewhere / files[1].path.name)
        for each in files:
            append(each.path, each.turn())
        it.start()
        wait_logged(it, *files)
        for each in files:
            wait_finished(it, each.path)
    rows = query(
        database_url,
        "SELECT count(*)::int, sum((counts->>'lines')::int)::int FROM checkpoints",
    )
    written = sum(len(each.turns) + each.noise for each in files)
    assert rows == [(len(files), written)]


def test_renamed_to_a_name_that_is_no_transcripts(watcher: Watched, transcript: Transcript) -> None:
    append(transcript.path, transcript.turn())
    wait_logged(watcher, transcript)
    wait_finished(watcher, transcript.path)
    aside = transcript.path.with_name(transcript.path.name + ".1")
    transcript.path.rename(aside)
    append(aside, transcript.turn())
    append(transcript.path, transcript.turn())
    append(aside, transcript.turn())
    wait_for(
        lambda: sorted(logged(watcher, transcript.session)) == sorted(transcript.turns),
        "the turns of both files",
    )


def test_deleted_with_lines_that_were_not_read_yet(
    watcher: Watched, transcript: Transcript
) -> None:
    """An open file is read to its end although its name is gone."""
    append(transcript.path, transcript.turn())
    wait_logged(watcher, transcript)
    append(transcript.path, b"".join(transcript.turn() for _ in range(2_000)))
    transcript.path.unlink()
    wait_logged(watcher, transcript)


def test_a_directory_moved_out_and_in_again(watcher: Watched, folder: Path) -> None:
    files = transcripts(folder, 3)
    backlog(files, 30)
    wait_logged(watcher, *files)
    outside = watcher.directory / "outside"
    folder.rename(outside)
    for each in files:
        append(outside / each.path.relative_to(folder), each.turn())
    outside.rename(folder)
    wait_logged(watcher, *files)
    for each in files:
        append(each.path, each.turn())
    wait_logged(watcher, *files)


def test_a_directory_that_goes_under_another_name(watcher: Watched, folder: Path) -> None:
    files = transcripts(folder, 3)
    backlog(files, 30)
    wait_logged(watcher, *files)
    moved = folder.with_name(folder.name + "-moved")
    folder.rename(moved)
    for each in files:
        each.path = moved / each.path.relative_to(folder)
        append(each.path, each.turn())
    wait_logged(watcher, *files)


def test_new_directories_with_fifty_lines_at_once(watcher: Watched, folder: Path) -> None:
    files = []
    for number in range(10):
        deep = folder / f"{number}" / "subagents"
        deep.mkdir(parents=True)
        transcript = Transcript(deep / "agent-a1.jsonl")
        append(transcript.path, b"".join(transcript.turn() for _ in range(50)))
        files.append(transcript)
    wait_logged(watcher, *files)


def test_a_directory_that_arrives_full(watcher: Watched, folder: Path) -> None:
    elsewhere = watcher.directory / "elsewhere"
    elsewhere.mkdir()
    files = transcripts(elsewhere, 5)
    backlog(files, 50)
    arrived = folder / "arrived"
    shutil.move(elsewhere, arrived)
    for each in files:
        each.path = arrived / each.path.relative_to(elsewhere)
    wait_logged(watcher, *files)


def test_a_last_line_without_newline_that_grows_later(
    watcher: Watched, transcript: Transcript
) -> None:
    append(transcript.path, transcript.turn() + transcript.turn().rstrip(b"\n"))
    wait_logged(watcher, transcript)
    append(transcript.path, b"\n" + transcript.turn())
    wait_logged(watcher, transcript)
    append(transcript.path, transcript.turn().rstrip(b"\n"))
    wait_logged(watcher, transcript)
    append(transcript.path, transcript.turn())
    wait_logged(watcher, transcript)


def test_a_torn_last_line_is_not_taken_however_still_it_is(
    watcher: Watched, transcript: Transcript
) -> None:
    line = transcript.turn()
    append(transcript.path, line[:-5])
    marker = transcripts(transcript.path.parent, 1)[0]
    append(marker.path, marker.turn().rstrip(b"\n"))
    wait_logged(watcher, marker)
    assert logged(watcher, transcript.session) == []
    append(transcript.path, line[-5:])
    wait_logged(watcher, transcript)


@pytest.mark.long
def test_two_thousand_old_files(watcher: Watched, folder: Path) -> None:
    files = []
    for number in range(2_000):
        transcript = Transcript(folder / f"old-{number}.jsonl")
        append(transcript.path, transcript.turn())
        os.utime(transcript.path, (1_700_000_000, 1_700_000_000 + number))
        files.append(transcript)
    wanted = {transcript.session for transcript in files}
    wait_for(lambda: committed(watcher, files[0].path) > 0, "the oldest is read", seconds=100)
    wait_for(lambda: wanted <= set(sessions(watcher)), "a turn of each of 2,000 sessions", 300)
    late = files[::40]
    for each in late:
        append(each.path, each.turn())
    wait_logged(watcher, *late)


def sessions(watcher: Watched) -> list[str]:
    rows = query(
        watcher.url, "SELECT session_uuid::text FROM events WHERE event_type = 'turn_detected'"
    )
    return [row[0] for row in rows]
