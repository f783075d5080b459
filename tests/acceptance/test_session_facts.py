"""What lines say of their session beside turns: its project, its titles, its length."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import lines
from claude_headspace.inbox import put
from harness import Log, Projects, Watcher, assert_exactly_captured, wait_until

REPOSITORY = "/home/u/app"
WORKTREE = f"{REPOSITORY}/.claude/worktrees/fix"


def projects_told(log: Log) -> list[tuple[Any, ...]]:
    """(project, directory) of the session, of its announcement, and projects of its events."""
    return log.rows(
        "SELECT p.path, a.working_directory, r.payload->>'project_path',"
        " r.payload->>'working_directory', array_agg(DISTINCT q.path)"
        " FROM agents a JOIN projects p ON p.id = a.project_id"
        " JOIN events r ON r.agent_id = a.id AND r.event_type = 'session_registered'"
        " JOIN events e ON e.agent_id = a.id JOIN projects q ON q.id = e.project_id"
        " GROUP BY 1, 2, 3, 4"
    )


def test_a_worktree_belongs_to_its_repository(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    projects.say(lines.new_session(), "fix it", cwd=WORKTREE)
    with watcher.running():
        assert_exactly_captured(projects, log)
    assert projects_told(log) == [(REPOSITORY, WORKTREE, REPOSITORY, WORKTREE, [REPOSITORY])]


@pytest.mark.parametrize("order", ["earliest first", "earliest last"])
@pytest.mark.parametrize("other", ["a subagent", "a stub in a worktree's folder"])
def test_the_project_is_the_earliest_directory_of_all_files(
    projects: Projects, log: Log, watcher: Watcher, other: str, order: str
) -> None:
    session = lines.new_session()
    elsewhere = "/home/u/elsewhere"
    main, first = projects.path(session, REPOSITORY), lines.user(session, "begin", at=0)
    if other == "a subagent":
        path = main.with_suffix("") / "subagents" / "agent-a1.jsonl"
        later = lines.assistant(
            session, "done", at=9, cwd=elsewhere, isSidechain=True, agentId="a1"
        )
    else:
        path = projects.path(session, WORKTREE)
        later = lines.user(session, "go on", at=9, cwd=elsewhere)
    files = [(main, first), (path, later)]
    with watcher.running():
        watcher.wait_ready()
        for where, record in files if order == "earliest first" else reversed(files):
            projects.append(where, lines.joined(record))
            assert_exactly_captured(projects, log)
        told = (REPOSITORY, REPOSITORY, REPOSITORY, REPOSITORY, [REPOSITORY])
        wait_until(lambda: projects_told(log) == [told], "the project is set right")


def test_a_subagent_read_first_asks_the_main_transcript(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    """Both are there: nothing has to be set right."""
    session = lines.new_session()
    main = projects.say(session, "begin")
    later = lines.assistant(session, "done", at=9, cwd="/elsewhere", isSidechain=True, agentId="a")
    projects.append(main.with_suffix("") / "subagents" / "agent-a.jsonl", lines.joined(later))
    with watcher.running():
        assert_exactly_captured(projects, log)
    assert log.rows("SELECT path FROM projects") == [(REPOSITORY,)]


def titles(log: Log) -> dict[str, str]:
    """The titles of the one session."""
    return {
        kind: text
        for (given,) in log.rows("SELECT titles FROM agents")
        for kind, text in given.items()
    }


@pytest.mark.parametrize(("kind", "field"), [
    ("custom-title", "customTitle"), ("ai-title", "aiTitle"), ("agent-name", "agentName"),
])  # fmt: skip
def test_a_title_is_kept_and_changes(
    projects: Projects, log: Log, watcher: Watcher, kind: str, field: str
) -> None:
    session = lines.new_session()
    path = projects.say(session, "begin")
    with watcher.running():
        for title in ("My day", " Mein Tag \0 ä ", "x" * 5000):
            record = {"type": kind, field: title, "sessionId": session}
            projects.append(path, json.dumps(record).encode() + b"\n")
            kept = title.strip().replace("\0", "\ufffd")[:1000]
            wait_until(lambda kept=kept: titles(log) == {kind: kept}, "the title")  # type: ignore[misc]
        projects.append(path, lines.joined({"type": kind, field: " ", "sessionId": session}))
        assert_exactly_captured(projects, log)
    assert titles(log) == {kind: "x" * 1000}


def test_a_summary_names_the_session_of_a_line(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    """It is in another file, and may name a line that nobody knows."""
    session = lines.new_session()
    record = lines.user(session, "begin")
    projects.append(projects.path(session), lines.joined(record))
    with watcher.running():
        assert_exactly_captured(projects, log)
        summaries = [
            {"type": "summary", "summary": "Of nothing", "leafUuid": lines.new_session()},
            {"type": "summary", "summary": "A day", "leafUuid": record["uuid"]},
            {"type": "summary", "summary": "Of nothing", "leafUuid": "nonsense"},
        ]
        projects.append(projects.root / "x" / "other.jsonl", lines.joined(*summaries))
        wait_until(lambda: titles(log) == {"summary": "A day"}, "the title")


def test_a_closed_session_lasted_until_it_was_closed(
    projects: Projects, log: Log, watcher: Watcher, tmp_path: Path
) -> None:
    session = lines.new_session()
    projects.say(session, "begin", "go on")
    with watcher.running():
        assert_exactly_captured(projects, log)
        closed = {"hook_type": "SessionEnd", "claude_session_id": session}
        put(
            watcher.state / "inbox",
            "hook_received",
            {**closed, "working_directory": REPOSITORY, "reason": "logout"},
            timestamp=lines.START + timedelta(seconds=90),
        )
        wait_until(partial(log.timeouts, session), "the ending")
    assert log.timeouts(session) == [("closed", lines.START + timedelta(seconds=90), 90)]
