from __future__ import annotations

from pathlib import Path

import pytest

from claude_headspace.deployment.program_logs import LogFile, log_lines, open_logs
from claude_headspace.errors import BadQuestion, HeadspaceError


def test_the_last_lines_of_all_programs_with_their_names(tmp_path: Path) -> None:
    (tmp_path / "web.log").write_text("1\n2\n3\n")
    (tmp_path / "watcher.log").write_text("a\n")
    (tmp_path / "web.log.1").write_text("old\n")
    lines = list(log_lines(open_logs(tmp_path, None), 2, follow=False))
    assert lines == ["watcher  a", "web      2", "web      3"]


def test_one_program_has_its_lines_alone(tmp_path: Path) -> None:
    (tmp_path / "web.log").write_bytes(b"1\n\xff\nhalf")
    assert list(log_lines(open_logs(tmp_path, "web"), 9, follow=False)) == ["1", "\\xff"]
    assert list(log_lines(open_logs(tmp_path, "web"), 0, follow=False)) == []


def test_a_program_without_a_log(tmp_path: Path) -> None:
    (tmp_path / "web.log").touch()
    with pytest.raises(BadQuestion, match=r"'wbe' has no log in .* \(logs: web\)"):
        open_logs(tmp_path, "wbe")


@pytest.mark.parametrize("program", [None, "web"])
def test_before_anything_was_started_there_is_nothing_to_follow(
    tmp_path: Path, program: str | None
) -> None:
    with pytest.raises(HeadspaceError, match="no logs yet: start everything with"):
        open_logs(tmp_path / "none", program)


def test_it_is_read_on_through_a_rotation_and_a_truncation(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    path.write_text("1\n2")
    log = LogFile(path)
    assert log.last(10) == ["1"]
    with path.open("a") as file:
        file.write("2\n3\n")
    path.rename(tmp_path / "web.log.1")
    path.write_text("4\n")
    assert log.fresh() == ["22", "3", "4"]
    path.write_text("")
    assert log.fresh() == []
    path.write_text("5\n")
    assert log.fresh() == ["5"]
    log.close()
