from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from claude_headspace.hooks.entries import HookCommand
from claude_headspace.hooks.install import install
from claude_headspace.inbox.messages import Message, list_messages, read_message

ENOUGH_SECONDS = 60
SESSION = "6f1d0a7e-0d3a-4c6b-9a0c-0123456789ab"
HOOK: dict[str, Any] = {
    "session_id": SESSION,
    "transcript_path": "/home/u/.claude/projects/p/s.jsonl",
    "cwd": "/home/u/pröject",
    "hook_event_name": "SessionEnd",
    "permission_mode": "default",
}
Call = Callable[[dict[str, Any]], list[str]]
DIRECT = [sys.executable, "-I", "-m", "claude_headspace.hooks.command"]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "the state" / "inbox"


def run(
    argv: list[str], given: bytes | int = b"", **options: Any
) -> subprocess.CompletedProcess[bytes]:
    source = {"stdin": given} if isinstance(given, int) else {"input": given}
    return subprocess.run(
        argv,
        **source,
        capture_output=True,
        timeout=ENOUGH_SECONDS,
        check=False,
        **options,
    )


def assert_unnoticed(ended: subprocess.CompletedProcess[bytes]) -> None:
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def hook(inbox: Path, given: bytes) -> list[Message]:
    assert_unnoticed(run([*DIRECT, "--inbox", str(inbox)], given))
    return [read_message(path) for path in list_messages(inbox)]


def notes(inbox: Path) -> str:
    return (inbox.parent / "hook-errors.log").read_text()


def installed_entry(directory: Path, inbox: Path) -> dict[str, Any]:
    """The entry that `hooks install` leaves for Stop."""
    settings = directory / "settings.json"
    install(settings, inbox, version=(2, 1, 332))
    (group,) = json.loads(settings.read_bytes())["hooks"]["Stop"]
    (entry,) = group["hooks"]
    assert isinstance(entry, dict)
    return entry


def as_old_clients_call_it(entry: dict[str, Any]) -> list[str]:
    """They hand the command to a shell, and know nothing of `args`."""
    return ["/bin/sh", "-c", entry["command"]]


def as_new_clients_call_it(entry: dict[str, Any]) -> list[str]:
    """They start the command itself where there are `args`."""
    if "args" in entry:
        return [entry["command"], *entry["args"]]
    return as_old_clients_call_it(entry)


CALLS = [as_old_clients_call_it, as_new_clients_call_it]


@pytest.mark.parametrize("call", CALLS)
def test_the_installed_entry_leaves_the_event_in_any_environment(
    inbox: Path, tmp_path: Path, call: Call
) -> None:
    argv = call(installed_entry(tmp_path, inbox))
    hostile = {"PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere", "PYTHONSTARTUP": "/nowhere"}
    assert_unnoticed(run(argv, json.dumps(HOOK).encode(), env=hostile, cwd="/"))
    (path,) = list_messages(inbox)
    message = read_message(path)
    assert message.type == "hook_received"
    assert message.payload == {
        "hook_type": "SessionEnd",
        "claude_session_id": SESSION,
        "working_directory": "/home/u/pröject",
    }


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("directory", ["plain", 'it\'s $(touch A) `touch B` "so"'])
def test_nothing_that_a_prompt_says_is_executed(
    tmp_path: Path, call: Call, shell: str, directory: str
) -> None:
    """Wherever the inbox is: a folder's name may look like a command too."""
    place, inbox = tmp_path / "empty", tmp_path / directory / "inbox"
    place.mkdir()
    touch = f"touch {place}/made"
    prompt = "\n".join(
        [f"`{touch}1`", f"$({touch}2)", f"'; {touch}3 #", f'" ; {touch}4 ; "', f"{touch}5", "}"]
    )
    hook = HOOK | {"hook_event_name": "UserPromptSubmit", "prompt": prompt, "message": prompt}
    argv = call(installed_entry(tmp_path, inbox))
    if argv[0] == "/bin/sh":
        argv[0] = shell
    lines = json.dumps(hook, indent=1).encode()
    inputs = [json.dumps(hook).encode(), lines, lines + f"\n{touch}6\n".encode()]
    ended = [run(argv, given, cwd=place) for given in inputs]
    assert list(place.iterdir()) == [], "the prompt was executed"
    for one in ended:
        assert_unnoticed(one)
    messages = [read_message(path) for path in list_messages(inbox)]
    assert [message.payload["hook_type"] for message in messages] == ["UserPromptSubmit"] * 2
    assert [message.payload["message"] for message in messages] == [prompt] * 2
    assert not any("prompt" in message.payload for message in messages)


def test_only_what_the_event_may_carry_is_taken(inbox: Path) -> None:
    optional = {
        "reason": "clear",
        "source": "startup",
        "tool_name": "Bash",
        "prompt_id": "p-1",
        "agent_id": "a-1",
        "notification_type": "permission_prompt",
        "message": "Claude needs your permission to use Bash",
    }
    secret = {"prompt": "my password", "tool_input": {"x": 1}, "last_assistant_message": "y"}
    (message,) = hook(inbox, json.dumps(HOOK | optional | secret).encode())
    assert message.payload == optional | {
        "hook_type": "SessionEnd",
        "claude_session_id": SESSION,
        "working_directory": "/home/u/pröject",
    }


def test_optional_fields_of_another_type_are_left_out(inbox: Path) -> None:
    (message,) = hook(
        inbox, json.dumps(HOOK | {"reason": None, "source": {}, "agent_id": ""}).encode()
    )
    assert message.payload.keys() == {"hook_type", "claude_session_id", "working_directory"}


def test_bytes_that_are_no_utf_8_are_replaced(inbox: Path) -> None:
    given = json.dumps(HOOK | {"message": "cut: X"}).encode().replace(b"X", b"\xc3 \xff\xf0\x9f")
    (message,) = hook(inbox, b"\xef\xbb\xbf" + given)
    assert message.payload["message"] == "cut: \ufffd \ufffd\ufffd"
    assert not (inbox.parent / "hook-errors.log").exists()


def test_without_a_directory_its_own_is_taken(inbox: Path, tmp_path: Path) -> None:
    old = {name: value for name, value in HOOK.items() if name != "cwd"}
    assert_unnoticed(run([*DIRECT, "--inbox", str(inbox)], json.dumps(old).encode(), cwd=tmp_path))
    (path,) = list_messages(inbox)
    assert read_message(path).payload["working_directory"] == str(tmp_path)


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"{",
        b"\xff\x00\xfe",
        b"[]",
        b"null",
        b"[" * 200_000,
        b'{"session_id": "s"}',
        b'{"hook_event_name": "Stop", "session_id": 7}',
    ],
    ids=range(8),
)
def test_broken_input_is_noted_and_unnoticed(inbox: Path, given: bytes) -> None:
    assert hook(inbox, given) == []
    assert "HookInputError" in notes(inbox)
    assert len(notes(inbox)) < 700
    assert stat.S_IMODE((inbox.parent / "hook-errors.log").stat().st_mode) == 0o600


def test_input_without_an_end_is_cut_off(inbox: Path) -> None:
    assert hook(inbox, json.dumps(HOOK | {"prompt": "x" * 40_000_000}).encode()) == []
    assert "longer than" in notes(inbox)


def test_a_long_prompt_is_no_hindrance(inbox: Path) -> None:
    assert len(hook(inbox, json.dumps(HOOK | {"prompt": "x" * 5_000_000}).encode())) == 1


def test_standard_input_left_open_is_read_as_far_as_it_goes(inbox: Path) -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, json.dumps(HOOK).encode())
        assert_unnoticed(run([*DIRECT, "--inbox", str(inbox)], reading))
    finally:
        os.close(reading)
        os.close(writing)
    assert len(list_messages(inbox)) == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_unnoticed(inbox: Path, closed: str) -> None:
    script = f'exec "$0" "$@" {closed}'
    argv = ["/bin/sh", "-c", script, *DIRECT, "--inbox", str(inbox)]
    assert_unnoticed(run(argv, json.dumps(HOOK).encode()))
    assert len(list_messages(inbox)) == (0 if "<&-" in closed else 1)


def test_a_full_disk_is_unnoticed_and_leaves_no_half_event(inbox: Path) -> None:
    argv = ["/bin/sh", "-c", 'ulimit -f 0; exec "$0" "$@"', *DIRECT, "--inbox", str(inbox)]
    assert_unnoticed(run(argv, json.dumps(HOOK).encode()))
    assert list_messages(inbox) == []
    assert list((inbox / "tmp").iterdir()) == []


def test_a_place_that_cannot_be_written_is_unnoticed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    argv = [*DIRECT, "--inbox", str(tmp_path / "file" / "inbox")]
    assert_unnoticed(run(argv, json.dumps(HOOK).encode()))


@pytest.mark.parametrize("arguments", [[], ["--inbox"], ["--inbox", ""], ["--help"]])
def test_wrong_arguments_are_unnoticed(arguments: list[str]) -> None:
    assert_unnoticed(run([*DIRECT, *arguments], json.dumps(HOOK).encode()))


def test_a_program_that_is_gone_or_broken_is_unnoticed(inbox: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho out; echo err >&2; exit 2\n")
    broken.chmod(0o755)
    for interpreter in (broken, tmp_path / "gone"):
        entry = HookCommand(interpreter, inbox).handler()
        assert_unnoticed(run(as_new_clients_call_it(entry), b"{}"))


def test_the_log_stays_small(inbox: Path) -> None:
    log = inbox.parent / "hook-errors.log"
    log.parent.mkdir()
    log.write_text("x" * 70_000 + "\n")
    hook(inbox, b"{")
    assert len(notes(inbox)) < 700


def test_it_loads_little() -> None:
    script = (
        "import sys, claude_headspace.hooks.command;print(*sys.modules.keys() & set(sys.argv[1:]))"
    )
    heavy = ["yaml", "marshmallow", "sqlalchemy", "psycopg2", "flask", "argparse", "pathlib",
             "typing", "datetime", "dataclasses", "logging", "uuid", "subprocess"]  # fmt: skip
    ended = run([sys.executable, "-I", "-c", script, *heavy])
    assert (ended.returncode, ended.stdout.strip()) == (0, b"")
