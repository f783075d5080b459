from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from claude_headspace.errors import InboxDamaged, InboxError
from claude_headspace.inbox import put
from claude_headspace.inbox.messages import list_messages, read_message, remove_leftovers
from claude_headspace.inbox.producer import MAX_EVENT_BYTES

WHOLE: dict[str, Any] = {
    "id": "0b9e8f6c-3c2a-4c1b-8f00-0123456789ab",
    "type": "hook_received",
    "timestamp": "2026-03-01T10:00:00+00:00",
    "payload": {},
}


def leave(directory: Path, content: bytes) -> Path:
    path = directory / "found.json"
    path.write_bytes(content)
    return path


def test_events_come_in_the_order_of_arrival(tmp_path: Path) -> None:
    identities = [put(tmp_path, "x", {"n": n}) for n in range(30)]
    assert [read_message(path).id for path in list_messages(tmp_path)] == identities


def test_no_inbox_means_nothing_waits(tmp_path: Path) -> None:
    assert list_messages(tmp_path / "nowhere") == []
    assert remove_leftovers(tmp_path / "nowhere") == 0


def test_only_files_are_listed(tmp_path: Path) -> None:
    put(tmp_path, "x", {})
    new = tmp_path / "new"
    (new / "directory").mkdir()
    (new / "link").symlink_to("/dev/null")
    os.mkfifo(new / "pipe")
    assert len(list_messages(tmp_path)) == 1


def test_an_inbox_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("")
    with pytest.raises(InboxError, match="cannot be read"):
        list_messages(tmp_path)


@pytest.mark.parametrize("stamp", ["2026-03-01T10:00:00Z", "2026-03-01T11:00:00.000+01:00"])
def test_a_time_may_have_any_zone(tmp_path: Path, stamp: str) -> None:
    path = leave(tmp_path, json.dumps(WHOLE | {"timestamp": stamp}).encode())
    assert read_message(path).timestamp == datetime(2026, 3, 1, 10, tzinfo=UTC)


def test_a_file_torn_at_any_byte_is_damaged(tmp_path: Path) -> None:
    content = json.dumps(WHOLE).encode()
    for length in range(len(content)):
        with pytest.raises(InboxDamaged):
            read_message(leave(tmp_path, content[:length]))
    assert read_message(leave(tmp_path, content)).id == WHOLE["id"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 50,
        b"\xff\xfe\xfa",
        b"[1, 2]",
        b"[" * 100_000,
        json.dumps(WHOLE | {"more": 1}).encode(),
        json.dumps(WHOLE | {"id": "7"}).encode(),
        json.dumps(WHOLE | {"id": WHOLE["id"].upper()}).encode(),
        json.dumps(WHOLE | {"id": 7}).encode(),
        json.dumps(WHOLE | {"type": ""}).encode(),
        json.dumps(WHOLE | {"type": ["x"]}).encode(),
        json.dumps(WHOLE | {"payload": []}).encode(),
        json.dumps(WHOLE | {"payload": {"x": float("nan")}}).encode(),
        json.dumps(WHOLE | {"timestamp": "2026-03-01T10:00:00"}).encode(),
        json.dumps(WHOLE | {"timestamp": "yesterday"}).encode(),
        json.dumps(WHOLE | {"timestamp": 1}).encode(),
        json.dumps(WHOLE).encode() * 2,
        json.dumps(WHOLE).encode() + b" " * MAX_EVENT_BYTES,
        b'{"id": ' + b"9" * 10_000 + b"}",
    ],
    ids=range(19),
)
def test_a_foreign_file_is_damaged_and_the_message_names_it(tmp_path: Path, content: bytes) -> None:
    path = leave(tmp_path, content)
    with pytest.raises(InboxDamaged, match=r"found\.json"):
        read_message(path)


def test_a_file_that_is_gone_or_a_link_is_not_damaged_but_unreadable(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(leave(tmp_path, json.dumps(WHOLE).encode()))
    for name in ("gone", "link"):
        with pytest.raises(InboxError) as caught:
            read_message(tmp_path / name)
        assert not isinstance(caught.value, InboxDamaged)


def test_old_drafts_of_dead_producers_are_removed_and_young_ones_are_not(tmp_path: Path) -> None:
    unfinished = tmp_path / "tmp"
    unfinished.mkdir()
    for name, age in (("old", 7200), ("young", 60)):
        (unfinished / name).write_text("half")
        os.utime(unfinished / name, times=(time.time() - age,) * 2)
    assert remove_leftovers(tmp_path, older_than_seconds=3600) == 1
    assert [path.name for path in unfinished.iterdir()] == ["young"]
