"""Lines that are long by what is beside the words."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import lines
from harness import Log, Projects, Watcher, unread, wait_until

MEGABYTE = 1_000_000


def with_pictures(session: str, said: str, pictures: int, megabytes: int) -> bytes:
    source = {"type": "base64", "media_type": "image/png", "data": "A" * megabytes * MEGABYTE}
    blocks = [{"type": "image", "source": source}] * pictures
    return lines.joined(lines.user(session, [*blocks, lines.text(said)], promptSource="typed"))


def test_a_prompt_with_pictures_is_a_turn(projects: Projects, log: Log, watcher: Watcher) -> None:
    session = lines.new_session()
    path = projects.say(session, "before")
    projects.append(path, with_pictures(session, "what are these?", 3, 7))
    projects.append(path, lines.joined(lines.user(session, "x" * 9 * MEGABYTE)))
    projects.say(session, "after")
    with watcher.running():
        wait_until(lambda: unread(projects, log) == 0, "all is read")
    assert log.texts(session) == ["before", "what are these?", "after"]
    assert log.rows("SELECT reason FROM dead_letters") == [("too_long",)]


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_longest_are_read_in_little_memory(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    session = lines.new_session()
    path = projects.say(session, "before")
    projects.append(path, with_pictures(session, "what are these?", 6, 10))
    projects.append(path, with_pictures(session, "and these?", 7, 10))
    projects.say(session, "after")
    with watcher.running():
        wait_until(lambda: unread(projects, log) == 0, "all is read")
        assert watcher.process is not None
        status = Path(f"/proc/{watcher.process.pid}/status").read_text()
    assert log.texts(session) == ["before", "what are these?", "after"]
    assert log.rows("SELECT reason FROM dead_letters") == [("too_long",)]
    assert int(status.split("VmHWM:")[1].split()[0]) * 1024 < 100 * MEGABYTE
