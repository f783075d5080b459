from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from claude_headspace.inbox.retention import DoneFiles


class Clock:
    """Epoch seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(inbox: Path, clock: Clock, seconds: float = 3600, most_bytes: int = 10**6) -> DoneFiles:
    kept = DoneFiles(inbox, seconds, most_bytes, clock)
    kept.prepare()
    return kept


def file(inbox: Path, name: str, size: int = 10) -> Path:
    path = inbox / name
    path.write_bytes(b"x" * size)
    return path


def names(kept: DoneFiles) -> list[str]:
    return [path.name for minute in kept.newest_first() for path in minute]


def pruned(kept: DoneFiles) -> DoneFiles:
    for _ in range(100):
        kept._next_prune = 0
        kept.prune()
    return kept


def test_the_last_one_taken_comes_first(tmp_path: Path, clock: Clock) -> None:
    kept = make(tmp_path, clock)
    for name in ("b", "a", "c"):
        kept.keep(file(tmp_path, name))
    clock.now += 60
    kept.keep(file(tmp_path, "d"))
    assert names(kept) == ["d", "c", "a", "b"]
    assert names(make(tmp_path, clock)) == ["d", "c", "a", "b"]


@pytest.mark.parametrize("what", ["done", "done/000000016666"])
def test_what_somebody_removed_is_made_again(tmp_path: Path, clock: Clock, what: str) -> None:
    kept = make(tmp_path, clock)
    kept.keep(file(tmp_path, "a"))
    shutil.rmtree(tmp_path / what)
    kept.keep(file(tmp_path, "b"))
    assert names(kept) == ["b"]
    assert not (tmp_path / "b").exists()


def test_what_is_too_old_goes(tmp_path: Path, clock: Clock) -> None:
    kept = make(tmp_path, clock, seconds=120)
    kept.keep(file(tmp_path, "old"))
    clock.now += 100
    kept.keep(file(tmp_path, "new"))
    assert names(pruned(kept)) == ["new", "old"]
    clock.now += 100
    assert names(pruned(kept)) == ["new"]
    clock.now += 1000
    assert names(pruned(kept)) == []
    assert list((tmp_path / "done").iterdir()) == []


def test_beyond_so_many_bytes_the_oldest_go(tmp_path: Path, clock: Clock) -> None:
    kept = make(tmp_path, clock, most_bytes=250)
    for number in range(5):
        kept.keep(file(tmp_path, str(number), 100))
        clock.now += 60
    assert names(pruned(kept)) == ["4", "3"]


def test_other_content_is_kept_for_its_owner_alone(tmp_path: Path, clock: Clock) -> None:
    kept = make(tmp_path, clock)
    path = file(tmp_path, "a")
    kept.keep(path, b"redacted")
    ((found,),) = kept.newest_first()
    assert (found.read_bytes(), path.exists()) == (b"redacted", False)
    assert stat.S_IMODE(found.stat().st_mode) == 0o600
    assert stat.S_IMODE(found.parent.stat().st_mode) == 0o700


def test_what_cannot_be_removed_keeps_nothing_else(tmp_path: Path, clock: Clock) -> None:
    """A file manager's note, a folder that somebody made."""
    (tmp_path / "done" / "000000000001" / "folder").mkdir(parents=True)
    (tmp_path / "done" / ".DS_Store").touch()
    kept = make(tmp_path, clock, seconds=120)
    kept.keep(file(tmp_path, "old"))
    clock.now += 1000
    assert names(pruned(kept)) == []
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == [
        ".DS_Store",
        "000000000001",
    ]
