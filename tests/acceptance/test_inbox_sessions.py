"""Hooks and emitted events belong to sessions, and start and end them."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import lines
from claude_headspace.inbox import put
from faults.machine import query, wait_for
from faults.watched import Watched, watched

NOW = datetime.now(UTC).replace(microsecond=0)
EARLIER = NOW - timedelta(hours=1)
SECRET = "ghp_" + "a1" * 20
REDACTING = {"privacy": {"redact": True, "patterns": []}}


class Told:
    """A watcher, and what it made of events that were left in its inbox."""

    def __init__(self, it: Watched) -> None:
        self.it = it

    def put(
        self, kind: str, at: datetime = NOW, event_id: str | None = None, **payload: Any
    ) -> str:
        return put(self.it.inbox, kind, payload, timestamp=at, event_id=event_id)

    def hook(self, session: str, kind: str, at: datetime = NOW, **more: Any) -> str:
        payload = {"hook_type": kind, "claude_session_id": session, "working_directory": "/w/app"}
        return self.put("hook_received", at, **payload, **more)

    def end(self, session: str, at: datetime = NOW, event_id: str | None = None) -> str:
        ended = {"session_uuid": session, "reason": "closed"}
        return self.put("session_ended", at, event_id, **ended)

    def register(self, session: str, at: datetime = NOW, **more: Any) -> str:
        named = {"session_uuid": session, "project_path": "/w/app"}
        given = {**named, "working_directory": "/w/app/src", **more}
        return self.put("session_registered", at, **given)

    def say(self, session: str, at: datetime) -> None:
        """A turn in the session's transcript, of this moment."""
        record = lines.user(session, "said") | {"timestamp": at.isoformat()}
        path = self.it.projects / "p" / f"{session}.jsonl"
        path.parent.mkdir(exist_ok=True)
        with path.open("ab") as out:
            out.write(lines.joined(record))

    def taken(self) -> None:
        """Wait until everything put so far was taken in."""
        new = self.it.inbox / "new"
        wait_for(lambda: not list(new.iterdir()), "the inbox was not taken in", 30)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return query(self.it.url, statement, values)

    def agent(self, session: str) -> tuple[Any, ...]:
        """(announced, ended_at, end_reason) of the session's row."""
        (row,) = self.rows(
            "SELECT announced, ended_at, end_reason FROM agents WHERE session_uuid = %s", session
        )
        return row

    def events(self, session: str) -> list[tuple[Any, ...]]:
        """(type, hook or reason) of the session's events, by both ways that lead to them."""
        return self.rows(
            "SELECT event_type, coalesce(payload->>'hook_type', payload->>'reason') FROM events e"
            " JOIN agents a ON a.id = e.agent_id AND a.session_uuid = e.session_uuid"
            " AND a.project_id = e.project_id WHERE e.session_uuid = %s ORDER BY e.id",
            session,
        )


@pytest.fixture
def told(tmp_path: Path, database_url: str) -> Iterator[Told]:
    with watched(tmp_path, database_url) as it:
        yield Told(it)


@pytest.fixture
def session() -> str:
    return str(uuid.uuid4())


def test_a_session_is_registered_by_its_start_and_closed_by_its_end(
    told: Told, session: str
) -> None:
    told.hook(session, "SessionStart", EARLIER, source="startup")
    told.hook(session, "Stop")
    told.taken()
    assert told.agent(session) == (True, None, None)
    told.hook(session, "SessionEnd", NOW, reason="prompt_input_exit")
    told.taken()
    assert told.agent(session) == (True, NOW, "closed")
    assert told.events(session) == [
        ("session_registered", None),
        ("hook_received", "SessionStart"),
        ("hook_received", "Stop"),
        ("hook_received", "SessionEnd"),
        ("session_ended", "closed"),
    ]


def test_an_end_and_a_new_start_that_are_taken_in_together(
    tmp_path: Path, database_url: str, session: str
) -> None:
    """The session goes on, as it does when they come one by one."""
    told = Told(Watched(tmp_path, database_url))
    told.hook(session, "SessionStart", EARLIER - timedelta(hours=1))
    told.hook(session, "SessionEnd", EARLIER)
    told.hook(session, "SessionStart", NOW, source="resume")
    with watched(tmp_path, database_url):
        told.taken()
    assert told.agent(session) == (True, None, None)
    assert told.events(session).count(("session_ended", "closed")) == 1


def test_a_hook_of_a_session_nobody_has_heard_of_registers_it(told: Told, session: str) -> None:
    told.hook(session, "Notification", notification_type="idle_prompt", message="waiting")
    told.taken()
    assert told.events(session) == [
        ("session_registered", None),
        ("hook_received", "Notification"),
    ]
    kept = told.rows(
        "SELECT payload->>'notification_type', payload->>'message' FROM events"
        " WHERE event_type = 'hook_received'"
    )
    assert kept == [("idle_prompt", "waiting")]


def test_an_end_of_a_session_nobody_has_heard_of_registers_nothing(
    told: Told, session: str
) -> None:
    told.hook(session, "SessionEnd")
    told.hook("no uuid", "Stop")
    told.taken()
    assert told.rows("SELECT count(*)::int FROM agents") == [(0,)]
    named = told.rows("SELECT session_uuid::text, agent_id FROM events ORDER BY id")
    assert named == [(session, None), (str(uuid.UUID(int=0)), None)]


def test_a_hook_is_no_sign_of_life_of_a_session_that_has_ended(told: Told, session: str) -> None:
    """A client tells of a failed turn after the end."""
    told.hook(session, "SessionStart", EARLIER)
    told.hook(session, "SessionEnd", EARLIER + timedelta(minutes=1))
    told.hook(session, "StopFailure", EARLIER + timedelta(minutes=2))
    told.taken()
    assert told.agent(session) == (True, EARLIER + timedelta(minutes=1), "closed")


def test_only_registered_sessions_are_begun_by_hooks_that_start_one(
    tmp_path: Path, database_url: str, session: str
) -> None:
    other = str(uuid.uuid4())
    with watched(
        tmp_path, database_url, settings={"file_watcher": {"sessions": "registered"}}
    ) as it:
        told = Told(it)
        told.hook(other, "Stop")
        told.hook(session, "SessionStart")
        told.taken()
    assert told.rows("SELECT session_uuid::text FROM agents") == [(session,)]


def test_an_emitted_registration_registers(told: Told, session: str) -> None:
    told.register(session, iterm_pane_id="w0t0p0")
    told.taken()
    row = told.rows(
        "SELECT a.session_uuid::text, a.announced, p.path, a.working_directory, a.iterm_pane_id,"
        " a.started_at FROM agents a JOIN projects p ON p.id = a.project_id"
    )
    assert row == [(session, True, "/w/app", "/w/app/src", "w0t0p0", NOW)]
    told.say(session, NOW)
    wait_for(lambda: len(told.events(session)) == 2, "the turn did not come")
    assert told.events(session) == [("session_registered", None), ("turn_detected", None)]


def test_an_emitted_end_ends_once_whatever_else_says_so(told: Told, session: str) -> None:
    told.hook(session, "SessionStart", EARLIER)
    identity = told.end(session, EARLIER + timedelta(minutes=1))
    told.taken()
    ended = (True, EARLIER + timedelta(minutes=1), "closed")
    assert told.agent(session) == ended
    told.end(session, EARLIER + timedelta(minutes=1), identity)
    told.end(session, EARLIER + timedelta(minutes=2))
    told.taken()
    assert told.agent(session) == ended
    assert told.events(session).count(("session_ended", "closed")) == 2


def test_an_emitted_end_does_not_end_what_was_said_after_it(told: Told, session: str) -> None:
    told.say(session, NOW)
    wait_for(lambda: told.events(session), "the turn did not come")
    told.end(session, EARLIER)
    told.taken()
    assert told.agent(session) == (True, None, None)


def test_an_end_in_the_future_does_not_keep_a_session_closed(told: Told, session: str) -> None:
    told.hook(session, "SessionStart", EARLIER)
    told.end(session, NOW + timedelta(days=300))
    told.taken()
    assert told.agent(session)[1] < NOW + timedelta(hours=1)


def test_what_the_log_refuses_registers_and_ends_nothing(told: Told, session: str) -> None:
    other = str(uuid.uuid4())
    told.hook(session, "SessionStart", EARLIER)
    told.put("session_ended", session_uuid=session, reason="tired")
    told.register(other, unknown="field")
    told.taken()
    assert told.agent(session) == (True, None, None)
    assert told.rows("SELECT count(*)::int FROM agents") == [(1,)]
    assert told.rows("SELECT reason FROM dead_letters") == [("refused",)] * 2


def test_the_command_line_ends_a_session_and_shows_its_hooks(told: Told, session: str) -> None:
    told.hook(session, "SessionStart", EARLIER)
    told.hook(session, "Notification", notification_type="permission_prompt", message="May I?")
    told.taken()
    payload = json.dumps({"session_uuid": session, "reason": "closed"})
    command_line(told.it, "emit", "session_ended", "--payload", payload)
    told.taken()
    assert told.agent(session)[2] == "closed"
    shown = command_line(told.it, "events", "--session", session[:8])
    assert (
        f"hook_received       {session[:8]}  app  Notification permission_prompt: May I?" in shown
    )
    shown = command_line(told.it, "events", "--session", session, "--json")
    assert len(shown.splitlines()) == 4
    assert {json.loads(line)["session_uuid"] for line in shown.splitlines()} == {session}


def command_line(it: Watched, *arguments: str) -> str:
    argv = [sys.executable, "-I", "-m", "claude_headspace.cli", *arguments]
    ended = subprocess.run(
        argv, env=it.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_secrets_of_the_inbox_are_redacted(tmp_path: Path, database_url: str, session: str) -> None:
    with watched(tmp_path, database_url, settings=REDACTING) as it:
        told = Told(it)
        told.hook(session, "Notification", message=f"push with {SECRET}?")
        told.put("turn_detected", text=SECRET)
        (it.inbox / "new" / "0000-x.json").write_text(f"no event {SECRET}")
        told.taken()
    ((message, notes),) = told.rows(
        "SELECT payload->>'message', annotations FROM events WHERE event_type = 'hook_received'"
    )
    assert (message, notes) == ("push with [redacted:github_token]?", {"redacted": 1})
    rejected = told.rows("SELECT convert_from(content, 'UTF8') FROM dead_letters")
    assert len(rejected) == 2
    assert not [content for (content,) in rejected if SECRET in content]


def test_the_watcher_says_at_its_start_that_hooks_are_dangerous(
    tmp_path: Path, database_url: str
) -> None:
    it = Watched(tmp_path, database_url)
    settings = it.projects.parent / "settings.json"
    module = ["-m", "claude_headspace.hooks.command", "--inbox", "/x"]
    entry = {"type": "command", "command": "/bin/sh", "args": ["-c", "x", "python", "-I", *module]}
    settings.write_text(json.dumps({"hooks": {"Stop": [{"hooks": [entry]}]}}))
    with watched(tmp_path, database_url) as it:
        it.wait_state("capturing")
        assert f"{settings} contains dangerous hook entries" in it.log
    status = subprocess.run(
        [sys.executable, "-I", "-m", "claude_headspace.cli", "status"],
        env=it.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert f"  {settings} contains dangerous hook entries" in status.stdout
