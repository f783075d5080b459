"""The command that Claude Code runs at a hook: it puts one `hook_received` event into the inbox.

Claude Code waits for it and reads its output, so it is quick, prints nothing and always exits with
0; errors go to a small log beside the inbox. To be quick, paths are strings and types are not
imported.
"""
# ruff: noqa: PTH100, PTH109, PTH118, PTH120

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping, Sequence

from claude_headspace.errors import HeadspaceError
from claude_headspace.inbox.producer import make_private, put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_INPUT_BYTES = 32 * 1024 * 1024
INPUT_SECONDS = 3.0
LOG_NAME = "hook-errors.log"
MAX_LOG_BYTES = 64 * 1024
MAX_NOTE_CHARACTERS = 500
OPTIONAL_FIELDS = (
    "reason", "source", "tool_name", "prompt_id", "agent_id", "notification_type", "message",
)  # fmt: skip
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class HookInputError(HeadspaceError):
    """Standard input is not the input of a hook."""


def main(arguments: Sequence[str]) -> int:
    """Run `--inbox DIR` with the hook's JSON on standard input; always returns 0."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if len(arguments) != 2 or arguments[0] != "--inbox" or not arguments[1]:
        return 0  # without an inbox there is nowhere to report it
    inbox = arguments[1]
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        put(inbox, "hook_received", payload_of(_read_input(sys.stdin.fileno())))
    except Exception as error:  # noqa: BLE001 - Claude Code must not notice; the log says it
        _note(inbox, error)
    return 0


def payload_of(received: bytes) -> dict[str, str]:
    """Return the payload of `hook_received` for the hook's JSON.

    Bytes that are not UTF-8 become U+FFFD, such as in a prompt that was cut inside a character.
    """
    text = received.removeprefix(_BYTE_ORDER_MARK).decode("utf-8", "replace")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HookInputError(f"The hook's input is not JSON ({error}).") from error
    if not isinstance(fields, dict):
        raise HookInputError(f"The hook's input is a {type(fields).__name__}, not an object.")
    payload = {
        "hook_type": _required(fields, "hook_event_name"),
        "claude_session_id": _required(fields, "session_id"),
        # Claude Code before 1.0.54 does not name its directory, but runs hooks in it.
        "working_directory": _text(fields, "cwd") or os.getcwd(),
    }
    present = {name: _text(fields, name) for name in OPTIONAL_FIELDS}
    return payload | {name: text for name, text in present.items() if text}


def _required(fields: Mapping[str, Any], name: str) -> str:
    text = _text(fields, name)
    if not text:
        raise HookInputError(f"The hook's input has no {name}.")
    return text


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _read_input(descriptor: int) -> bytes:
    deadline = time.monotonic() + INPUT_SECONDS
    received = bytearray()
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], left)[0]:
            break
        piece = os.read(descriptor, 1024 * 1024)
        if not piece:
            break
        received += piece
        if len(received) > MAX_INPUT_BYTES:
            raise HookInputError(f"The hook's input is longer than {MAX_INPUT_BYTES} bytes.")
    return bytes(received)


def _note(inbox: str, error: Exception) -> None:
    """Say it in the log; if that fails there is nowhere left to report it."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sentence = f"{type(error).__name__}: {error}".replace("\n", " ")[:MAX_NOTE_CHARACTERS]
    try:
        directory = os.path.dirname(os.path.abspath(inbox))
        make_private(directory)
        log = os.path.join(directory, LOG_NAME)
        with open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            if file.tell() > MAX_LOG_BYTES:
                file.truncate(0)
            file.write(f"{moment} {sentence}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return


if __name__ == "__main__":
    # Exit directly: nothing is buffered, and a regular exit takes milliseconds.
    os._exit(main(sys.argv[1:]))
