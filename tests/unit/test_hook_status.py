from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from claude_headspace.hooks.entries import HookCommand, add, events_for
from claude_headspace.hooks.install import HookStatus, describe_status, status

NEW = (2, 1, 240)
INBOX = Path("/somewhere/var/inbox")
SEEN = datetime(2026, 3, 1, 10, 0, 0, 123, tzinfo=UTC)


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    program = tmp_path / "python"
    program.write_text("")
    program.chmod(0o755)
    return program


def look(tmp_path: Path, settings: Any, *, managed: Any = None, **options: Any) -> HookStatus:
    path, managed_path = tmp_path / "settings.json", tmp_path / "managed.json"
    path.write_text(json.dumps(settings))
    if managed is not None:
        managed_path.write_text(json.dumps(managed))
    arguments = {"version": NEW, **options}
    return status(path, INBOX, managed_path=managed_path, **arguments)


def complete(interpreter: Path) -> dict[str, Any]:
    return add({}, events_for(NEW), HookCommand(interpreter, INBOX))


def test_all_is_well(tmp_path: Path, interpreter: Path) -> None:
    found = look(tmp_path, complete(interpreter), seen=[("Stop", SEEN)])
    assert found.problems == ()
    assert all(event.configured for event in found.events)
    assert {event.event: event.last_seen for event in found.events if event.last_seen} == {
        "Stop": SEEN
    }
    text = describe_status(found)
    assert "2.1.240" in text
    assert "2026-03-01T10:00:00+00:00" in text
    assert "never" in text


def test_nothing_is_configured(tmp_path: Path) -> None:
    found = look(tmp_path, {}, seen=[("PreToolUse", SEEN)])
    assert not any(event.configured for event in found.events)
    assert any("hooks install" in problem for problem in found.problems)
    assert "PreToolUse" in {event.event for event in found.events}


@pytest.mark.parametrize(
    ("settings", "managed", "named"),
    [
        ({"disableAllHooks": True}, None, "disableAllHooks"),
        ({}, {"disableAllHooks": True}, "disableAllHooks"),
        ({}, {"allowManagedHooksOnly": True}, "allowManagedHooksOnly"),
    ],
)
def test_hooks_that_are_silenced(
    tmp_path: Path, interpreter: Path, settings: Any, managed: Any, named: str
) -> None:
    found = look(tmp_path, complete(interpreter) | settings, managed=managed)
    assert [named in problem for problem in found.problems] == [True]


def test_hooks_that_are_not_silenced(tmp_path: Path, interpreter: Path) -> None:
    settings = complete(interpreter) | {"disableAllHooks": False, "allowManagedHooksOnly": True}
    assert look(tmp_path, settings, managed={"disableAllHooks": False}).problems == ()


def test_an_interpreter_that_is_gone(tmp_path: Path) -> None:
    (problem,) = look(tmp_path, complete(tmp_path / "gone")).problems
    assert str(tmp_path / "gone") in problem


def test_events_missing_and_events_unknown_to_the_version(
    tmp_path: Path, interpreter: Path
) -> None:
    command = HookCommand(interpreter, INBOX)
    (missing,) = look(tmp_path, add({}, ("Stop",), command)).problems
    assert "SessionEnd" in missing
    (unknown,) = look(tmp_path, complete(interpreter), version=(1, 0, 70)).problems
    assert "SessionEnd" in unknown
    assert look(tmp_path, complete(interpreter), version=None).problems == ()


def test_dangerous_entries_are_named_with_what_to_do(tmp_path: Path, interpreter: Path) -> None:
    settings = json.loads(json.dumps(complete(interpreter)))
    for event in ("Stop", "SessionEnd"):
        handler = settings["hooks"][event][0]["hooks"][0]
        handler["command"], *handler["args"] = shlex.split(handler["command"])
    (problem,) = look(tmp_path, settings).problems
    assert f"{tmp_path}/settings.json contains dangerous hook entries" in problem
    assert "(Stop, SessionEnd)" in problem
    assert "hooks install" in problem


def test_an_event_that_is_no_longer_asked_for(tmp_path: Path, interpreter: Path) -> None:
    settings = add({}, (*events_for(NEW), "PreCompact"), HookCommand(interpreter, INBOX))
    for version in (NEW, None):
        (problem, *_) = look(tmp_path, settings, version=version).problems
        assert problem == "No longer needed: PreCompact; install the hooks again."


def test_another_instance_is_named(tmp_path: Path, interpreter: Path) -> None:
    other = HookCommand(interpreter, Path("/other/inbox"))
    (problem,) = look(tmp_path, add(complete(interpreter), ("Stop",), other)).problems
    assert "/other/inbox" in problem


def test_settings_that_cannot_be_read_are_a_problem_and_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{")
    found = status(path, INBOX, version=None, managed_path=tmp_path / "none")
    assert "not valid JSON" in found.problems[0]
