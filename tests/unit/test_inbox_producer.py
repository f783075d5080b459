from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from claude_headspace.errors import InboxError
from claude_headspace.inbox import producer, put
from claude_headspace.inbox.messages import list_messages, read_message

CHILD_SECONDS = 60


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "state" / "inbox"


def start_child(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
    )


def payloads(inbox: Path) -> list[dict[str, Any]]:
    return [read_message(path).payload for path in list_messages(inbox)]


def drafts(inbox: Path) -> list[Path]:
    return list((inbox / "tmp").iterdir())


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes, as a full disk would not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_was_put_is_read_back(inbox: Path) -> None:
    moment = datetime(2026, 3, 1, 12, 30, 0, 250, tzinfo=timezone(timedelta(hours=2)))
    payload = {"text": "naïve \x00 \ud800 🦉", "n": 1, "nested": {"list": [None, True, 0.5]}}
    event_id = put(inbox, "turn_detected", payload, timestamp=moment)
    (path,) = list_messages(inbox)
    message = read_message(path)
    assert (message.id, message.type, message.timestamp) == (event_id, "turn_detected", moment)
    assert message.payload == payload


def test_the_event_is_on_the_disk_before_its_name_and_the_name_before_the_return(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real calls, in the order in which they are made, with what they are made for."""
    put(inbox, "x", {})
    steps: list[tuple[str, int]] = []
    fsync, rename = os.fsync, os.rename

    def seen_fsync(descriptor: int) -> None:
        fsync(descriptor)
        steps.append(("fsync", os.fstat(descriptor).st_ino))

    def seen_rename(source: str, target: str) -> None:
        steps.append(("rename", Path(source).stat().st_ino))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "rename", seen_rename)
    put(inbox, "x", {})
    file, directory = list_messages(inbox)[1].stat().st_ino, (inbox / "new").stat().st_ino
    assert steps == [("fsync", file), ("rename", file), ("fsync", directory)]


def test_the_file_is_one_object_with_just_four_keys(inbox: Path) -> None:
    put(inbox, "x", {})
    (path,) = list_messages(inbox)
    assert set(json.loads(path.read_text())) == {"id", "type", "timestamp", "payload"}


def test_the_time_is_now_when_none_is_given(inbox: Path) -> None:
    before = datetime.now(UTC)
    put(inbox, "x", {})
    after = datetime.now(UTC)
    stamp = read_message(list_messages(inbox)[0]).timestamp
    assert before.replace(microsecond=0) <= stamp <= after


def test_a_given_id_is_kept_and_a_made_one_is_a_version_4_uuid(inbox: Path) -> None:
    given = "0B9E8F6C-3C2A-4C1B-8F00-0123456789AB"
    assert put(inbox, "x", {}, event_id=given) == given.lower()
    made = {producer.new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(producer.is_event_id(one) for one in made)
    assert {one[14] for one in made} == {"4"}
    assert {one[19] for one in made} == set("89ab")


def test_only_the_owner_can_read_it(inbox: Path) -> None:
    old = os.umask(0)
    try:
        put(inbox, "x", {})
    finally:
        os.umask(old)
    directories = [inbox.parent, inbox, inbox / "new", inbox / "tmp"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in directories] == [0o700] * 4
    assert stat.S_IMODE(list_messages(inbox)[0].stat().st_mode) == 0o600


def test_the_mode_of_a_directory_that_was_there_stays(inbox: Path) -> None:
    inbox.mkdir(parents=True)
    inbox.chmod(0o750)
    put(inbox, "x", {})
    assert stat.S_IMODE(inbox.stat().st_mode) == 0o750


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"payload": {"x": float("nan")}}, "JSON"),
        ({"payload": {"x": object()}}, "JSON"),
        ({"payload": ["x"]}, "list"),
        ({"event_type": ""}, "type"),
        ({"event_id": "seven"}, "seven"),
        ({"timestamp": datetime(2026, 1, 1)}, "zone"),
        ({"payload": {"x": "y" * producer.MAX_EVENT_BYTES}}, str(producer.MAX_EVENT_BYTES)),
    ],
)
def test_what_cannot_be_an_event_is_refused(
    inbox: Path, changed: dict[str, Any], named: str
) -> None:
    arguments: dict[str, Any] = {"event_type": "x", "payload": {}, **changed}
    with pytest.raises(InboxError, match=named):
        put(inbox, arguments.pop("event_type"), arguments.pop("payload"), **arguments)
    assert list_messages(inbox) == []


def test_a_payload_without_an_end_is_refused(inbox: Path) -> None:
    payload: dict[str, Any] = {}
    payload["itself"] = payload
    with pytest.raises(InboxError, match="JSON"):
        put(inbox, "x", payload)


def test_names_sort_as_given_when_the_clock_stands_or_goes_back() -> None:
    clock = iter([500, 500, 400, 3, 501, 10**18])
    order = producer._Order(lambda: next(clock))
    names = [order.next_name() for _ in range(6)]
    assert names == sorted(names)
    assert len(set(names)) == 6


def test_threads_never_make_a_later_event_visible_first(inbox: Path) -> None:
    put(inbox, "x", {"first": True})
    done = threading.Event()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        identities, listings = _put_and_list(inbox, done)
    finally:
        sys.setswitchinterval(interval)
    assert len(identities) == 200
    final = list_messages(inbox)
    assert len(final) == 201
    assert all(listing == final[: len(listing)] for listing in listings)


def _put_and_list(inbox: Path, done: threading.Event) -> tuple[set[str], list[list[Path]]]:
    with ThreadPoolExecutor(9) as pool:
        watching = pool.submit(_listings_until, inbox, done)
        writing = [pool.submit(put, inbox, "x", {"n": n}) for n in range(200)]
        identities = {future.result() for future in writing}
        done.set()
        return identities, watching.result()


def _listings_until(inbox: Path, done: threading.Event) -> list[list[Path]]:
    listings = []
    while not done.is_set():
        listings.append(list_messages(inbox))
    return listings


WRITER = """
import sys
from claude_headspace.inbox import put
inbox, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for n in range(count):
    print(put(inbox, "x", {"writer": name, "n": n}), flush=True)
"""


def test_several_processes_write_at_once(inbox: Path) -> None:
    children = [start_child(WRITER, inbox, name, 60) for name in "abcd"]
    printed = [child.communicate(timeout=CHILD_SECONDS)[0].split() for child in children]
    assert [child.returncode for child in children] == [0] * 4
    messages = [read_message(path) for path in list_messages(inbox)]
    assert len(messages) == 240
    for name, identities in zip("abcd", printed, strict=True):
        assert [one.id for one in messages if one.payload["writer"] == name] == identities
    assert drafts(inbox) == []


def test_a_child_made_by_fork_is_not_held_up_by_the_parents_lock(inbox: Path) -> None:
    script = """
import os, signal, sys
from claude_headspace.inbox import producer, put
with producer._order.lock:
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        put(sys.argv[1], "x", {})
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
    child = start_child(script, inbox)
    child.communicate(timeout=CHILD_SECONDS)
    assert child.returncode == 0
    assert len(list_messages(inbox)) == 1


def test_whoever_is_killed_leaves_whole_events_and_all_that_it_was_told_of(inbox: Path) -> None:
    told = []
    for round_number in range(8):
        child = start_child(WRITER, inbox, round_number, 100_000)
        assert child.stdout is not None
        told += [child.stdout.readline().strip() for _ in range(3 + 2 * round_number)]
        child.kill()
        told += child.communicate(timeout=CHILD_SECONDS)[0].split()
    seen = [read_message(path).id for path in list_messages(inbox)]
    assert set(told) <= set(seen)
    assert len(seen) - len(told) <= 8


def test_an_event_torn_by_death_is_never_visible(inbox: Path) -> None:
    script = """
import resource, signal, sys
from claude_headspace.inbox import put
put(sys.argv[1], "x", {"n": 1})
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
put(sys.argv[1], "x", {"text": "y" * 100_000})
"""
    child = start_child(script, inbox)
    child.communicate(timeout=CHILD_SECONDS)
    assert child.returncode == -signal.SIGXFSZ
    assert payloads(inbox) == [{"n": 1}]
    assert [draft.stat().st_size for draft in drafts(inbox)] == [4096]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(inbox: Path) -> None:
    put(inbox, "x", {"n": 1})
    with largest_file(4096), pytest.raises(InboxError, match="could not be written"):
        put(inbox, "x", {"text": "y" * 100_000})
    assert payloads(inbox) == [{"n": 1}]
    assert drafts(inbox) == []


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InboxError, match="could not be written to the inbox"):
        put(tmp_path / "file" / "inbox", "x", {})


def test_a_directory_of_another_kind_in_its_place_leaves_no_draft(inbox: Path) -> None:
    inbox.mkdir(parents=True)
    (inbox / "new").write_text("")
    with pytest.raises(InboxError):
        put(inbox, "x", {})
    assert drafts(inbox) == []
