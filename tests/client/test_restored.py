"""A session is had, its files are lost, restored out of the archive, resumed, and goes on."""

from __future__ import annotations

import shutil

import pytest

import lines
from archived import assert_archived, command
from client.desk import Desk

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def test_deleted_restored_and_resumed(desk: Desk) -> None:
    desk.script = {
        "How are you": [["I am well."]],
        "And now": [["Still well."]],
    }
    session = lines.new_session()
    desk.ask("How are you?", "--session-id", session)
    before = desk.said()
    assert_archived(desk.log, desk.transcripts)
    shutil.rmtree(desk.transcripts)
    restored = command(desk.watcher, "restore", session)
    assert (restored.returncode, restored.stderr) == (0, "")
    desk.ask("And now?", "--resume", session)

    assert before == {session: ["> How are you?", "I am well."]}
    assert desk.said() == {session: [*before[session], "> And now?", "Still well."]}
