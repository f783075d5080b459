"""A fault costs its own source: the others are captured, and what is wrong is said by name."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lines
from faults.buggy_watcher import MARKER, SLOW
from faults.load import Transcript, append, transcripts
from faults.logged import logged, wait_logged
from faults.machine import query, wait_for
from faults.watched import BUGGY, Watched, watched
from servers import PostgresServer

YEAR_2300 = 10_413_792_000
TIMEOUT_SECONDS = 2


@pytest.fixture(scope="module")
def watcher(
    postgres_server: PostgresServer, schema_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    """One watcher for most of these tests; each has directories and sessions of its own."""
    directory = tmp_path_factory.mktemp("sources")
    settings: dict[str, Any] = {
        "file_watcher": {"final_line_wait_seconds": 60, "rescan_interval_seconds": 0.2}
    }
    with (
        postgres_server.database(schema_template) as url,
        watched(directory, url, settings=settings, command=BUGGY) as it,
    ):
        it.wait_state("capturing")
        yield it
        assert it.starts == 1
        assert it.alive(), it.log[-2000:]


@pytest.fixture
def folder(watcher: Watched) -> Path:
    made = watcher.projects / f"-{lines.new_session()}"
    made.mkdir()
    return made


@pytest.fixture
def transcript(folder: Path) -> Transcript:
    return transcripts(folder, 1)[0]


def trouble(watcher: Watched) -> str:
    status = watcher.status()
    return (status.trouble or "") if status else ""


def wait_for_trouble(watcher: Watched, told: str) -> None:
    wait_for(lambda: told in trouble(watcher), f"{told!r} in {trouble(watcher)!r}")


def wait_for_no_trouble(watcher: Watched) -> None:
    wait_for(lambda: not trouble(watcher), f"no trouble; there is {trouble(watcher)!r}")


@pytest.mark.parametrize("epoch_seconds", [YEAR_2300, -2_000_000_000])
def test_a_file_of_an_odd_date(
    watcher: Watched, transcript: Transcript, epoch_seconds: int
) -> None:
    append(transcript.path, transcript.turn())
    os.utime(transcript.path, (epoch_seconds, epoch_seconds))
    wait_logged(watcher, transcript)
    append(transcript.path, transcript.turn())
    os.utime(transcript.path, (epoch_seconds, epoch_seconds))
    wait_logged(watcher, transcript)
    size = transcript.path.stat().st_size
    wait_for(
        lambda: (
            query(
                watcher.url,
                "SELECT committed_offset FROM checkpoints WHERE path = %s",
                (str(transcript.path),),
            )
            == [(size,)]
        ),
        f"the checkpoint of a file of {epoch_seconds} is stored",
    )
    wait_for_no_trouble(watcher)


def test_what_postgres_refuses_is_in_quarantine_and_tried_again(
    watcher: Watched, folder: Path
) -> None:
    refused, other = transcripts(folder, 2)
    refused.path = folder / "refused.jsonl"
    refuse(watcher.url, "refused.jsonl")
    append(refused.path, refused.turn())
    wait_for_trouble(watcher, f"{refused.path}: Postgres refuses it")
    append(other.path, other.turn())
    wait_logged(watcher, other)
    query(watcher.url, "DROP TRIGGER refuse ON checkpoints")
    append(refused.path, refused.turn())
    wait_logged(watcher, refused)
    wait_for_no_trouble(watcher)


def test_a_line_that_meets_a_bug_is_passed_and_the_rest_of_its_file_read(
    watcher: Watched, folder: Path
) -> None:
    buggy, other = transcripts(folder, 2)
    append(buggy.path, buggy.turn())
    offset = buggy.path.stat().st_size
    for _ in range(3):
        record = lines.user(buggy.session, f"a {MARKER.decode()}")
        append(buggy.path, lines.raw(record) + b"\n")
    append(buggy.path, buggy.turn())
    append(other.path, other.turn())
    wait_logged(watcher, other, buggy)
    kept = query(
        watcher.url,
        "SELECT min(source_offset)::int, count(*)::int FROM dead_letters r JOIN checkpoints s"
        " ON s.id = r.source_id WHERE reason = 'poison' AND path = %s",
        (str(buggy.path),),
    )
    assert kept == [(offset, 3)]
    wait_for_no_trouble(watcher)
    wait_for(lambda: (s := watcher.status()) and s.rejected >= 3, "the status counts them")


def test_a_file_that_cannot_be_opened(watcher: Watched, folder: Path) -> None:
    bad, other = transcripts(folder, 2)
    bad.path.symlink_to(bad.path.name)
    wait_for_trouble(watcher, str(bad.path))
    append(other.path, other.turn())
    wait_logged(watcher, other)
    bad.path.unlink()
    append(bad.path, bad.turn())
    wait_logged(watcher, bad)
    wait_for_no_trouble(watcher)


def register(watcher: Watched, session: str, pane: str | None = None) -> None:
    query(
        watcher.url,
        "INSERT INTO registrations (session_uuid, wanted, iterm_pane_id) VALUES (%s, true, %s);"
        " NOTIFY claude_headspace_registrations",
        (session, pane),
    )


def test_a_registered_session_whose_file_cannot_be_seen(watcher: Watched, folder: Path) -> None:
    hidden, other = transcripts(folder, 2)
    append(hidden.path, hidden.turn())
    wait_logged(watcher, hidden)
    kept = hidden.path.rename(folder / "kept")
    hidden.path.symlink_to(hidden.path.name)
    register(watcher, hidden.session)
    wait_for_trouble(watcher, str(hidden.path))
    append(other.path, other.turn())
    wait_logged(watcher, other)
    kept.replace(hidden.path)
    committed = "SELECT committed_offset FROM checkpoints WHERE path = %s"
    size = hidden.path.stat().st_size
    wait_for(
        lambda: query(watcher.url, committed, (str(hidden.path),)) == [(size,)],
        "the file is not read again",
    )
    wait_for_no_trouble(watcher)


def test_registrations_that_cannot_be_asked_for_are_put_off(
    watcher: Watched, transcript: Transcript
) -> None:
    register(watcher, lines.new_session(), MARKER.decode())
    wait_for_trouble(watcher, "session registrations: RuntimeError")
    append(transcript.path, transcript.turn())
    wait_logged(watcher, transcript)
    query(watcher.url, "DELETE FROM registrations")
    wait_for_no_trouble(watcher)


def test_a_replaced_file_is_read_to_its_end_before_what_took_its_place(
    watcher: Watched, transcript: Transcript
) -> None:
    both = transcript.turn() + transcript.turn()
    append(transcript.path, both)
    wait_logged(watcher, transcript)
    watcher.signal(signal.SIGSTOP)
    append(transcript.path, transcript.turn() + transcript.turn().rstrip(b"\n"))
    fresh = transcript.path.with_suffix(".new")
    fresh.write_bytes(both + transcript.turn() + transcript.turn())
    fresh.replace(transcript.path)
    watcher.signal(signal.SIGCONT)
    wait_logged(watcher, transcript)
    size = transcript.path.stat().st_size
    row = (transcript.path.stat().st_ino, size)
    wait_for(
        lambda: (
            query(
                watcher.url,
                "SELECT inode, committed_offset FROM checkpoints WHERE path = %s",
                (str(transcript.path),),
            )
            == [row]
        ),
        "the row is of the file that is there",
    )


def test_a_deleted_file_is_read_to_its_end_with_its_unterminated_last_record(
    watcher: Watched, transcript: Transcript
) -> None:
    append(transcript.path, transcript.turn())
    wait_logged(watcher, transcript)
    append(transcript.path, transcript.turn() + transcript.turn().rstrip(b"\n"))
    transcript.path.unlink()
    wait_logged(watcher, transcript)


def test_a_moved_file_goes_on_where_it_was(watcher: Watched, folder: Path) -> None:
    (moved,) = transcripts(folder, 1)
    append(moved.path, moved.turn())
    wait_logged(watcher, moved)
    elsewhere = watcher.projects / f"-{lines.new_session()}"
    elsewhere.mkdir()
    watcher.signal(signal.SIGSTOP)
    append(moved.path, moved.turn())
    moved.path = moved.path.rename(elsewhere / moved.path.name)
    append(moved.path, moved.turn())
    watcher.signal(signal.SIGCONT)
    wait_logged(watcher, moved)
    append(moved.path, moved.turn())
    wait_logged(watcher, moved)


def test_a_project_folder_that_is_a_link_is_captured_once(watcher: Watched, folder: Path) -> None:
    outside = watcher.directory / f"outside-{lines.new_session()}"
    outside.mkdir()
    (transcript,) = transcripts(outside, 1)
    append(transcript.path, transcript.turn())
    for name in ("one", "two"):
        link = watcher.projects / f"-{lines.new_session()}-{name}"
        link.symlink_to(outside)
        wait_logged(watcher, transcript)
    (outside / "loop").symlink_to(watcher.projects)
    append(transcript.path, transcript.turn())
    wait_logged(watcher, transcript)
    dangling = folder.with_name(folder.name + "-dangling")
    dangling.symlink_to("nowhere")
    wait_for_trouble(watcher, f"{dangling}: a symbolic link to nothing")
    dangling.unlink()
    wait_for_no_trouble(watcher)


def test_a_root_that_is_missing_is_named_until_it_is_there(
    tmp_path: Path, database_url: str
) -> None:
    root = tmp_path / "later"
    settings = {"claude": {"projects_path": str(root)}}
    with watched(tmp_path, database_url, settings=settings) as it:
        it.wait_state("capturing")
        wait_for_trouble(it, f"{root}: No such file or directory")
        root.mkdir()
        (transcript,) = transcripts(root, 1)
        append(transcript.path, transcript.turn())
        wait_logged(it, transcript)
        wait_for_no_trouble(it)


def test_capture_goes_on_while_a_slow_directory_is_listed(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listing takes three seconds at the least, and is not over when the turn is there."""
    monkeypatch.setenv(SLOW, "0.01")
    it = Watched(tmp_path, database_url, BUGGY)
    (it.projects / "slow").mkdir()
    for number in range(300):
        (it.projects / "slow" / f"{number}.jsonl").touch()
    live = Transcript(it.projects / "live.jsonl")
    append(live.path, live.turn())
    with watched(tmp_path, database_url, command=BUGGY) as it:
        it.wait_state("capturing")
        for _ in range(3):
            append(live.path, live.turn())
            wait_for(lambda: logged(it, live.session), "the first turn")
        assert "ready:" not in it.log
        wait_logged(it, live)
        wait_for(lambda: "ready: " in it.log, "the end of the listing")


def test_a_session_of_which_a_file_cannot_be_read_does_not_time_out(
    tmp_path: Path, database_url: str
) -> None:
    settings: dict[str, Any] = {"file_watcher": {"inactivity_timeout_seconds": TIMEOUT_SECONDS}}
    it = Watched(tmp_path, database_url, settings=settings)
    unread, silent = transcripts(it.projects, 2)
    for each in (unread, silent):
        append(each.path, each.turn())
    closed = unread.path.with_suffix("") / "subagents" / "agent-a.jsonl"
    closed.parent.mkdir(parents=True)
    closed.symlink_to(closed.name)
    with watched(tmp_path, database_url, settings=settings) as it:
        wait_for(lambda: ended(it, silent.session), "the silent session ends")
        assert not ended(it, unread.session)
        closed.unlink()
        wait_for(lambda: ended(it, unread.session), "the other ends when all is read")


def test_a_session_of_which_a_file_is_in_quarantine_does_not_time_out(
    tmp_path: Path, database_url: str
) -> None:
    refuse(database_url, "agent-refused.jsonl")
    settings: dict[str, Any] = {"file_watcher": {"inactivity_timeout_seconds": TIMEOUT_SECONDS}}
    it = Watched(tmp_path, database_url, settings=settings)
    unread, silent = transcripts(it.projects, 2)
    for each in (unread, silent):
        append(each.path, each.turn())
    refused = unread.path.with_suffix("") / "subagents" / "agent-refused.jsonl"
    refused.parent.mkdir(parents=True)
    append(refused, lines.joined(lines.user(unread.session, "x", isSidechain=True)))
    with watched(tmp_path, database_url, settings=settings) as it:
        wait_for(lambda: ended(it, silent.session), "the silent session ends")
        assert not ended(it, unread.session), "it may have spoken in the file that is in quarantine"
        query(database_url, "DROP TRIGGER refuse ON checkpoints")
        wait_for(lambda: ended(it, unread.session), "the other ends when all is read")


def refuse(url: str, name: str) -> None:
    """From now on Postgres refuses to store how far files of this name were read."""
    query(
        url,
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE numeric_value_out_of_range; END $$;"
        "CREATE TRIGGER refuse BEFORE UPDATE ON checkpoints FOR EACH ROW"
        f" WHEN (NEW.path LIKE '%{name}') EXECUTE FUNCTION refuse()",
    )


def ended(watcher: Watched, session: str) -> bool:
    return bool(
        query(
            watcher.url,
            "SELECT 1 FROM events WHERE event_type = 'session_ended' AND session_uuid = %s",
            (session,),
        )
    )


@pytest.fixture
def read_and_stopped(tmp_path: Path, database_url: str) -> tuple[Watched, Transcript]:
    """A watcher that has read a file of three lines and is gone."""
    with watched(tmp_path, database_url) as it:
        (transcript,) = transcripts(it.projects, 1)
        append(transcript.path, b"".join(transcript.turn() for _ in range(3)))
        wait_logged(it, transcript)
        wait_for(lambda: rows(it) == [(str(transcript.path), 3)], "its row")
        assert it.stop() == 0
    return it, transcript


def rows(watcher: Watched) -> list[tuple[str, int]]:
    return query(
        watcher.url,
        "SELECT path, (counts->>'lines')::int FROM checkpoints ORDER BY path",
    )


def rewritten(transcript: Transcript) -> None:
    """Other lines in the same file."""
    transcript.path.write_bytes(b"".join(transcript.turn() for _ in range(5)))


def test_a_file_that_only_has_the_inode_of_a_known_one_does_not_get_its_row(
    read_and_stopped: tuple[Watched, Transcript],
) -> None:
    it, transcript = read_and_stopped
    rewritten(transcript)
    before = transcript.path
    transcript.path = before.rename(before.with_name("moved.jsonl"))
    it.start()
    wait_logged(it, transcript)
    expected = sorted([(str(before), 3), (str(transcript.path), 5)])
    wait_for(lambda: rows(it) == expected, f"{expected} and not {rows(it)}")
    it.kill()


def test_a_file_beside_that_only_has_the_inode_does_not_get_the_row(
    read_and_stopped: tuple[Watched, Transcript],
) -> None:
    it, transcript = read_and_stopped
    aside = transcript.path.with_name(transcript.path.name + ".1")
    kept = list(transcript.turns)
    rewritten(transcript)
    transcript.turns = kept
    transcript.path.rename(aside)
    append(transcript.path, b"".join(transcript.turn() for _ in range(4)))
    it.start()
    wait_logged(it, transcript)
    wait_for(lambda: rows(it) == [(str(transcript.path), 4)], f"one row, and not {rows(it)}")
    it.kill()
