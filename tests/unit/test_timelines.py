"""Which servers were replaced, and what a saved cursor says."""

from __future__ import annotations

from pathlib import Path

import pytest

from claude_headspace.address import LogUrl
from claude_headspace.errors import ReplacedServer
from claude_headspace.servers import Server, require_current
from claude_headspace.store.cursor import Cursor


def address(directory: Path) -> LogUrl:
    url = LogUrl("postgresql://h/d")
    url.seen = directory / "timelines"
    return url


def test_an_older_timeline_than_one_seen_is_refused(tmp_path: Path) -> None:
    for timeline in (1, 9, 10):
        require_current(Server(1, "77", timeline), address(tmp_path))
    with pytest.raises(ReplacedServer, match=r"old primary that was replaced.*timeline 9.* 10 was"):
        require_current(Server(1, "77", 9), address(tmp_path))
    require_current(Server(1, "77", 10), address(tmp_path))
    require_current(Server(1, "78", 1), address(tmp_path))
    require_current(Server(1, "77", None), address(tmp_path))


def test_who_remembers_nothing_refuses_nothing(tmp_path: Path) -> None:
    require_current(Server(1, "77", 3), address(tmp_path))
    require_current(Server(1, "77", 2), "postgresql://h/d")
    (tmp_path / "file").touch()
    require_current(Server(1, "77", 2), address(tmp_path / "file"))


def test_a_server_is_known_by_what_it_answers() -> None:
    assert Server.of((7, "77", "0000001A00000000000000FF")) == Server(7, "77", 26)
    assert Server.of((7, "77", None)) == Server(7, "77", None)


@pytest.mark.parametrize(("saved", "event_id", "timeline"), [
    (12, 12, None), ("12", 12, None), ("12@3", 12, 3), (Cursor.at(12, 3), 12, 3),
])  # fmt: skip
def test_a_cursor_is_read_as_it_was_saved(
    saved: int | str, event_id: int, timeline: int | None
) -> None:
    cursor = Cursor.read(saved)
    assert (cursor, cursor.timeline) == (event_id, timeline)
    assert Cursor.read(cursor.text) == cursor
    assert Cursor.read(cursor.text).timeline == timeline


@pytest.mark.parametrize("saved", ["", "x", "@3", "12@x"])
def test_what_is_no_cursor_is_refused(saved: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        Cursor.read(saved)


def test_other_files_beside_them_say_nothing(tmp_path: Path) -> None:
    """As a program that synchronises folders leaves them."""
    require_current(Server(1, "77", 2), address(tmp_path))
    (tmp_path / "timelines" / "77-2.sync-conflict").touch()
    with pytest.raises(ReplacedServer):
        require_current(Server(1, "77", 1), address(tmp_path))
