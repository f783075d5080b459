from __future__ import annotations

import os
import threading
from pathlib import Path
from uuid import UUID

import pytest
from msgspec.json import encode
from msgspec.structs import replace

from claude_headspace.deployment.configuration import prepare
from claude_headspace.errors import HeadspaceError, StateUnusable
from claude_headspace.machine import (
    Holder,
    id_of_name,
    machine_id,
    make_machine_id,
    renew_machine_id,
)


def test_an_id_is_made_once(tmp_path: Path) -> None:
    assert machine_id(tmp_path) is None
    made = make_machine_id(tmp_path)
    assert str(UUID(made)) == made == make_machine_id(tmp_path) == machine_id(tmp_path)
    assert renew_machine_id(tmp_path) == machine_id(tmp_path) != made
    assert [path.name for path in tmp_path.iterdir()] == ["machine"]


def test_all_who_make_it_at_one_time_have_one(tmp_path: Path) -> None:
    found: list[str] = []
    begin = threading.Barrier(8)

    def make() -> None:
        begin.wait()
        found.append(make_machine_id(tmp_path))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {machine_id(tmp_path)}


def test_a_state_directory_of_an_earlier_version_has_the_id_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "host").write_text("MacBook.local\n")
    assert machine_id(tmp_path) == id_of_name("MacBook.local") == make_machine_id(tmp_path)
    (tmp_path / "host").write_text("another\n")
    assert machine_id(tmp_path) == id_of_name("MacBook.local")


@pytest.mark.parametrize("held", ["not an id", "ä", "12"])
def test_what_is_no_id_is_not_replaced(tmp_path: Path, held: str) -> None:
    (tmp_path / "machine").write_text(held)
    with pytest.raises(StateUnusable, match="contains no machine id"):
        make_machine_id(tmp_path)
    assert (tmp_path / "machine").read_text() == held


def test_an_empty_file_and_a_place_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "machine").write_text("")
    with pytest.raises(StateUnusable, match="is empty"):
        make_machine_id(tmp_path)
    with pytest.raises(StateUnusable, match="cannot be read"):
        make_machine_id(tmp_path / "machine" / "nowhere")


@pytest.mark.parametrize(("changed", "apart"), [
    ({}, False),
    ({"hostname": "b"}, False),                 # renamed
    ({"boot": "2", "device": 9}, False),        # started anew, or the same over a network
    ({"boot": "", "device": 9}, False),         # a system that does not tell its boots
    ({"inode": 6}, True),                       # copied
    ({"boot": "2", "inode": 6}, True),          # copied to another machine
    ({"device": 9}, True),                      # two containers of one image
])  # fmt: skip
def test_which_holders_are_two(changed: dict[str, object], apart: bool) -> None:
    holder = Holder(hostname="a", boot="1", directory="/var", device=1, inode=5)
    assert replace(holder, **changed).is_apart_from(holder) is apart


def test_a_directory_whose_name_is_not_utf_8_can_be_stored(tmp_path: Path) -> None:
    state = tmp_path / os.fsdecode(b"caf\xe9")
    state.mkdir()
    assert b"caf\\\\xe9" in encode(Holder.here(state))
    with pytest.raises(HeadspaceError, match="supervisord accepts no path"):
        prepare(state)
