from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from claude_headspace.config import load_config
from claude_headspace.embedded import location
from claude_headspace.errors import DatabaseUnavailable

RECORD = location.ServerRecord(
    url="postgresql://headspace@/headspace?host=/run&port=5432",
    bin=Path("/bin"),
    data=Path("/data"),
    socket=Path("/run"),
    user="ada",
)


def test_a_configured_database_comes_first(tmp_path: Path) -> None:
    config = load_config({"DATABASE_URL": "postgresql+psycopg://h/d"})
    assert location.database_url(config) == "postgresql://h/d"


def test_the_record_is_private_and_comes_back(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    location.write_record(tmp_path, RECORD)
    assert location.server_record(tmp_path) == RECORD
    assert stat.S_IMODE(location.record_path(tmp_path).stat().st_mode) == 0o600
    config = load_config({"CLAUDE_HEADSPACE__STATE__DIRECTORY": str(tmp_path)})
    assert location.database_url(config) == RECORD.url


def test_an_unprepared_server_is_a_database_that_is_away(tmp_path: Path) -> None:
    config = load_config({"CLAUDE_HEADSPACE__STATE__DIRECTORY": str(tmp_path)})
    assert location.server_record(tmp_path) is None
    with pytest.raises(DatabaseUnavailable, match="has not been prepared yet"):
        location.database_url(config)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": "x"}'])
def test_a_damaged_record_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "postgres").mkdir()
    location.record_path(tmp_path).write_text(text)
    with pytest.raises(DatabaseUnavailable, match="is damaged"):
        location.server_record(tmp_path)


def test_sockets_move_to_a_short_place_when_the_path_is_long() -> None:
    long = Path("/" + "x" * 90)
    assert location.supervisor_socket(Path("/short")) == Path("/short/supervisor.sock")
    moved = location.supervisor_socket(long)
    assert moved.parent == location.short_directory(long)
    assert len(str(moved)) < 104


def test_state_directories_do_not_share_a_short_place() -> None:
    assert location.short_directory(Path("/a")) != location.short_directory(Path("/b"))


def test_private_means_ours_alone(tmp_path: Path) -> None:
    uid = tmp_path.stat().st_uid
    tmp_path.chmod(0o700)
    (tmp_path / "link").symlink_to(tmp_path)
    assert location.is_private(tmp_path, uid)
    assert not location.is_private(tmp_path, uid + 1)
    assert not location.is_private(tmp_path / "link", uid)
    assert not location.is_private(tmp_path / "none", uid)
    tmp_path.chmod(0o750)
    assert not location.is_private(tmp_path, uid)


def test_variables_of_libpq_do_not_reach_the_embedded_servers_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGSERVICE", "PGHOSTADDR", "PGOPTIONS", "PGPASSFILE"):
        monkeypatch.setenv(name, "elsewhere")
    location.database_url(load_config({"DATABASE_URL": "postgresql://h/d"}))
    assert os.environ["PGSERVICE"] == "elsewhere"
    (tmp_path / "postgres").mkdir()
    location.write_record(tmp_path, RECORD)
    location.database_url(load_config({"CLAUDE_HEADSPACE__STATE__DIRECTORY": str(tmp_path)}))
    assert [name for name in os.environ if name.startswith("PG")] == []
