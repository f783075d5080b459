"""Adding, finding and removing our entries in Claude Code's settings.

Nothing here reads or writes a file; settings are the parsed JSON object. An entry is ours if it
runs our command, and belongs to the instance whose inbox it names, whatever its interpreter or
form, so that a reinstalled program replaces its old entries. Earlier versions wrote the command's
words as `args`.
"""

from __future__ import annotations

import copy
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from claude_headspace.errors import HookSettingsError

Version = tuple[int, int, int]
Settings = dict[str, Any]

COMMAND_MODULE = "claude_headspace.hooks.command"
TIMEOUT_SECONDS = 5

# The first version of Claude Code that knows each event that we ask for. An unknown name can make
# it skip the whole settings file. PreCompact is not among them, because Claude Code shows the user
# that it ran.
EVENT_SINCE: dict[str, Version] = {
    "Stop": (1, 0, 41),
    "SubagentStop": (1, 0, 41),
    "Notification": (1, 0, 41),
    "UserPromptSubmit": (1, 0, 54),
    "SessionStart": (1, 0, 62),
    "SessionEnd": (1, 0, 85),
    "StopFailure": (2, 1, 78),
}
# Hooks of earlier versions do not name their event.
OLDEST_VERSION: Version = (1, 0, 41)
# Without a `claude` on the path there may be one inside an editor, which is not that old.
ASSUMED_VERSION: Version = (1, 0, 85)

# Silent and successful even if the interpreter is gone; its standard input is the hook's.
_QUIETLY = 'exec >/dev/null 2>&1; "$0" "$@"; exit 0'


@dataclass(frozen=True, slots=True)
class HookCommand:
    """The command line of one instance's hooks."""

    interpreter: Path
    inbox: Path

    def handler(self) -> dict[str, Any]:
        """Return the settings entry: one shell string, which all versions run in the same way."""
        return {"type": "command", "command": shlex.join(self.argv()), "timeout": TIMEOUT_SECONDS}

    def argv(self) -> list[str]:
        """Return the whole command line as a list."""
        ours = [str(self.interpreter), "-I", "-m", COMMAND_MODULE, "--inbox", str(self.inbox)]
        return ["/bin/sh", "-c", _QUIETLY, *ours]


@dataclass(frozen=True, slots=True)
class Configured:
    """One of our entries in the settings.

    `dangerous`: it passes a script to a shell as `args`, which Claude Code before 2.1.139 ignores;
    the shell then executes the hook's input, and the prompt in it.
    """

    event: str
    command: HookCommand
    dangerous: bool = False


def events_for(version: Version | None) -> tuple[str, ...]:
    """Return the events to ask for; for an unknown version, those that all current ones know."""
    known = version or ASSUMED_VERSION
    return tuple(event for event, since in EVENT_SINCE.items() if known >= since)


def add(settings: Settings, events: Sequence[str], command: HookCommand) -> Settings:
    """Return the settings with this instance's entries at these events and at no others.

    Dangerous entries are rewritten in place, those of other instances too.
    """
    changed = copy.deepcopy(settings)
    hooks = changed.setdefault("hooks", {})
    if not isinstance(hooks, dict):
        raise _misshapen("hooks", "an object")
    for entry in _ours(hooks):
        if "args" in entry.handler:
            del entry.handler["args"]
            entry.handler["command"] = entry.command.handler()["command"]
    for event in [event for event in hooks if event not in events]:
        _drop(hooks, event, command.inbox)
    for event in events:
        groups = hooks.setdefault(event, [])
        if not isinstance(groups, list):
            raise _misshapen(f"hooks.{event}", "a list")
        present = [
            entry for entry in _ours({event: groups}) if entry.command.inbox == command.inbox
        ]
        if [entry.handler for entry in present] != [command.handler()]:
            _drop(hooks, event, command.inbox)
            hooks.setdefault(event, []).append({"hooks": [command.handler()]})
    return changed


def remove(settings: Settings, inbox: Path | None) -> Settings:
    """Return the settings without the entries of one inbox, or all of ours if None."""
    changed = copy.deepcopy(settings)
    hooks = changed.get("hooks")
    for event in list(hooks) if isinstance(hooks, dict) else ():
        _drop(changed["hooks"], event, inbox)
    if hooks == {} and settings["hooks"]:
        del changed["hooks"]
    return changed


def without_empty(settings: Settings) -> Settings:
    """Return the settings without events that have no hooks, as `remove` leaves them."""
    hooks = settings.get("hooks")
    if not isinstance(hooks, dict):
        return settings
    changed = {**settings, "hooks": {event: each for event, each in hooks.items() if each != []}}
    if not changed["hooks"]:
        del changed["hooks"]
    return changed


def configured(settings: Settings) -> list[Configured]:
    """Return all of our entries, those of other instances too."""
    found = _ours(settings.get("hooks"))
    return [Configured(entry.event, entry.command, "args" in entry.handler) for entry in found]


def command_of(handler: object) -> HookCommand | None:
    """Return the command of one of our entries, or None if the entry is not ours."""
    words = _words(handler)
    if COMMAND_MODULE not in words or words[-2:-1] != ["--inbox"]:
        return None
    # ... INTERPRETER -I -m MODULE --inbox DIR
    before = words[: words.index(COMMAND_MODULE)]
    if len(before) < 3 or before[-2:] != ["-I", "-m"]:
        return None
    return HookCommand(Path(before[-3]), Path(words[-1]))


def _words(handler: object) -> list[str]:
    if not isinstance(handler, dict) or not isinstance(handler.get("command"), str):
        return []
    arguments = handler.get("args")
    if isinstance(arguments, list):
        return [handler["command"], *map(str, arguments)]
    try:
        return shlex.split(handler["command"])
    except ValueError:  # an unterminated quotation, which we never write
        return []


class _Entry(NamedTuple):
    """One of our entries, in its group of an event."""

    event: str
    group: dict[str, Any]
    handler: dict[str, Any]
    command: HookCommand


def _ours(hooks: object) -> Iterator[_Entry]:
    for event, groups in hooks.items() if isinstance(hooks, dict) else ():
        for group in list(groups) if isinstance(groups, list) else ():
            handlers = group.get("hooks") if isinstance(group, dict) else None
            for handler in list(handlers) if isinstance(handlers, list) else ():
                if command := command_of(handler):
                    yield _Entry(event, group, handler, command)


def _drop(hooks: dict[str, Any], event: str, inbox: Path | None) -> None:
    """Remove our entries from an event, and containers that become empty."""
    groups = hooks[event]
    for entry in _ours({event: groups}):
        if inbox in (None, entry.command.inbox):
            entry.group["hooks"].remove(entry.handler)
            if not entry.group["hooks"]:
                groups[:] = [group for group in groups if group is not entry.group]
            if not groups:
                del hooks[event]


def _misshapen(key: str, shape: str) -> HookSettingsError:
    return HookSettingsError(
        f"{key} in Claude Code's settings is not {shape}, and Claude Code cannot read it either: "
        "correct it first."
    )
