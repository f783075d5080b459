from __future__ import annotations

import json
import os
import shutil
from typing import Any

import lines
from archived import SESSION, assert_archived, command, history
from harness import Log, Projects, Watcher


def verified(watcher: Watcher, *more: str) -> tuple[int, dict[str, Any]]:
    done = command(watcher, "verify", "--json", *more)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_a_log_without_any_transcript_left_is_proven_and_repaired(
    projects: Projects, watcher: Watcher, log: Log
) -> None:
    path = history(projects)
    worked = lines.assistant(SESSION, [lines.text("I look"), lines.tool_use()], at=5)
    projects.append(path.with_name("agent-00ff00ff.jsonl"), lines.joined(worked))
    with watcher.running():
        assert_archived(log, projects.root)
    with_files = verified(watcher)[1]
    shutil.rmtree(projects.root)
    projects.root.mkdir()
    status, report = verified(watcher)
    assert (status, report["findings"]) == (0, [])
    assert report["totals"] == with_files["totals"]
    assert (report["from_archive"], report["archived_files"]) == (5, 6)
    log.rows("DELETE FROM events WHERE event_type = 'turn_detected'; DELETE FROM tool_calls")
    turns = report["totals"]["in_log"]
    assert verified(watcher)[1]["totals"]["missing"] == turns
    assert verified(watcher, "--repair", "--yes")[0] == 0
    assert len(log.turns()) == turns
    assert log.value("SELECT count(*) FROM tool_calls") == 1
    log.rows("UPDATE archive_pieces SET content = set_byte(content, 9, get_byte(content, 9) # 1)")
    assert verified(watcher)[1]["counts"]["archive"] == 6


def test_disk_and_archive_are_compared(projects: Projects, watcher: Watcher, log: Log) -> None:
    path = history(projects)
    with watcher.running():
        assert_archived(log, projects.root)
    tool = path.with_suffix("") / "tool-results/1.txt"
    tool.write_bytes(b"x" * 8 + b"yz")
    path.write_bytes(path.read_bytes() + b'"}\n')
    for each, seconds in ((tool, 10_413_792_000), (path, 1_700_000_000)):
        os.utime(each, (seconds, seconds))
    status, report = verified(watcher, "--session", SESSION)
    assert status == 1
    assert [each["path"] for each in report["findings"] if each["kind"] == "archive"] == [str(tool)]
    assert report["unarchived_bytes"] == 4
