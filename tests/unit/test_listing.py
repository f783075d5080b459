"""Directories are listed in small segments, each once, and what cannot be seen is named."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from claude_headspace.discovery.listing import Listing, Sighting, look, unreadable


def made(directory: Path, *names: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).write_text("x")
    return directory


def found(listing: Listing) -> list[str]:
    return sorted(seen.path for segment in listing for seen in segment)


def test_a_slow_directory_comes_in_slices(tmp_path: Path) -> None:
    """A segment ends by time: with slow looks it holds few files, and is never long."""
    made(tmp_path, *(f"{number}.jsonl" for number in range(60)))
    looks: list[str] = []

    def slow(path: str) -> os.stat_result:
        looks.append(path)
        time.sleep(0.001)
        return Path(path).stat()

    between: list[int] = []
    before = 0
    total = 0
    for segment in Listing([str(tmp_path)], look_at=slow):
        between.append(len(looks) - before)
        before, total = len(looks), total + len(segment)
    assert total == 60
    assert max(between) <= 5


def test_it_looks_at_each_file_once(tmp_path: Path) -> None:
    def looks(number: int) -> int:
        directory = made(tmp_path / str(number), *(f"{n}.jsonl" for n in range(number)))
        seen: list[str] = []

        def look_at(path: str) -> os.stat_result:
            seen.append(path)
            return Path(path).stat()

        assert len(found(Listing([str(directory)], look_at=look_at))) == number
        return len(seen)

    assert looks(200) - looks(100) == 100


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    root = made(tmp_path / "root")
    real = made(root / "real", "a.jsonl")
    outside = made(tmp_path / "outside", "b.jsonl")
    (root / "again").symlink_to(real)
    (root / "away").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (outside / "back").symlink_to(root)
    (real / "deeper").symlink_to("/")
    expected = [str(root / "away" / "b.jsonl"), str(real / "a.jsonl")]
    assert found(Listing([str(root)])) == expected
    assert unreadable([str(root)]) == {}


def test_a_root_that_is_a_link_and_roots_that_overlap(tmp_path: Path) -> None:
    real = made(tmp_path / "real", "a.jsonl")
    inner = made(real / "inner", "b.jsonl")
    link = tmp_path / "link"
    link.symlink_to(real)
    both = [str(link / "a.jsonl"), str(link / "inner" / "b.jsonl")]
    assert found(Listing([str(link)])) == both
    assert found(Listing([str(link), str(real), str(inner)])) == both


def test_each_directory_is_told_before_it_is_listed(tmp_path: Path) -> None:
    made(tmp_path / "a" / "b", "c.jsonl")
    entered: list[Sighting] = []
    list(Listing([str(tmp_path)], enter=entered.append))
    assert [Path(each.path).name for each in entered] == [tmp_path.name, "a", "b"]
    assert entered[-1].inode == (tmp_path / "a" / "b").stat().st_ino


def test_known_directories_are_left_out(tmp_path: Path) -> None:
    made(tmp_path / "known", "a.jsonl")
    made(tmp_path / "new", "b.jsonl")
    listing = Listing([str(tmp_path)], known={str(tmp_path / "known")})
    assert found(listing) == [str(tmp_path / "new" / "b.jsonl")]


def refusing(*paths: Path) -> Listing:
    """A listing of the first path in which the others may not be looked at."""

    def look_at(path: str) -> os.stat_result:
        if Path(path) in paths[1:]:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return Path(path).stat()

    return Listing([str(paths[0])], look_at=look_at)


def test_what_cannot_be_seen_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    made(tmp_path / "closed", "a.jsonl")
    made(tmp_path / "open", "b.jsonl", "c.jsonl")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / ".#lock").symlink_to("user@host")
    listing = refusing(tmp_path, tmp_path / "closed", tmp_path / "open" / "c.jsonl")
    assert found(listing) == [str(tmp_path / "open" / "b.jsonl")]
    assert listing.unreadable == {
        str(tmp_path / "closed"): "Permission denied",
        str(tmp_path / "open" / "c.jsonl"): "Permission denied",
        str(tmp_path / "dangling"): "a symbolic link to nothing",
    }


def test_a_root_that_is_missing_is_named_and_a_folder_that_is_gone_is_not(tmp_path: Path) -> None:
    root, folder = tmp_path / "root", tmp_path / "root" / "folder"
    assert unreadable([str(root)]) == {str(root): "No such file or directory"}
    root.mkdir()
    listing = Listing([str(folder)], roots=[str(root)])
    assert found(listing) == []
    assert (listing.unreadable, listing.gone) == ({}, [str(folder)])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (made(tmp_path, "a.jsonl") / "a.jsonl").chmod(0)
    assert unreadable([str(tmp_path)]) == {str(tmp_path / "a.jsonl"): "Permission denied"}


def test_nothing_is_not_the_same_as_not_to_be_seen(tmp_path: Path) -> None:
    assert look(str(tmp_path / "none")) is None
    assert look(str(tmp_path)) is None
    assert look("a\0b") is None

    def refuse(path: str) -> os.stat_result:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    with pytest.raises(PermissionError):
        look("/a.jsonl", refuse)


@pytest.mark.parametrize("inode", [1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("year_ns", [0, -(10**18), 2**63, 568_025_136_000 * 10**9])
def test_numbers_of_the_system_fit_the_database(inode: int, year_ns: int) -> None:
    class Stat:
        st_mode, st_dev, st_ino, st_size, st_mtime_ns = 0o100600, 2**64 - 1, inode, 5, year_ns

    seen = look("/a.jsonl", lambda _: Stat())  # type: ignore[arg-type,return-value]
    assert seen is not None
    for number in (seen.device, seen.inode, seen.mtime_ns):
        assert -(2**63) <= number < 2**63


def test_sweep_gives_everything_below_the_roots(tmp_path: Path) -> None:
    made(tmp_path / "a", "a.jsonl", "journal.jsonl", "._a.jsonl", "notes.txt")
    assert [seen.path for found in Listing([str(tmp_path)]) for seen in found] == [
        str(tmp_path / "a" / "a.jsonl")
    ]
