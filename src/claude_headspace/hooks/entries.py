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
from typing import Any

from claude_headspace.errors import HookSettingsError

Version = tuple[int, int, int]
Settings = dict[str, Any]

COMMAND_MODULE = "claude_headspace.hooks.command"
HOOK_TIMEOUT_SECONDS = 5

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
        command = shlex.join(self.argv())
        return {"type": "command", "command": command, "timeout": HOOK_TIMEOUT_SECONDS}

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
    handler = command.handler()
    if not isinstance(hooks, dict):
        raise _misshapen("hooks", "an object")
    _rewrite_dangerous(hooks)
    for event in list(hooks):
        if event not in events:
            _drop(hooks, event, command.inbox)
    for event in events:
        groups = hooks.setdefault(event, [])
        if not isinstance(groups, list):
            raise _misshapen(f"hooks.{event}", "a list")
        if _handlers_of(groups, command.inbox) != [handler]:
            _drop(hooks, event, command.inbox)
            hooks.setdefault(event, []).append({"hooks": [handler]})
    return changed


def _rewrite_dangerous(hooks: dict[str, Any]) -> None:
    for groups in hooks.values():
        for _, handler in _handlers(groups):
            command = command_of(handler)
            if command is not None and _is_dangerous(handler):
                del handler["args"]
                handler["command"] = command.handler()["command"]


def _is_dangerous(handler: object) -> bool:
    return isinstance(handler, dict) and "args" in handler


def remove(settings: Settings, inbox: Path | None) -> Settings:
    """Return the settings without the entries of one inbox, or all of ours if None."""
    changed = copy.deepcopy(settings)
    hooks = changed.get("hooks")
    if not isinstance(hooks, dict):
        return changed
    for event in list(hooks):
        _drop(hooks, event, inbox)
    if not hooks and settings["hooks"]:
        del changed["hooks"]
    return changed


def without_empty(settings: Settings) -> Settings:
    """Return the settings without events that have no hooks, as `remove` leaves them."""
    hooks = settings.get("hooks")
    if not isinstance(hooks, dict):
        return settings
    used = {event: groups for event, groups in hooks.items() if groups != []}
    changed = {**settings, "hooks": used}
    if not used:
        del changed["hooks"]
    return changed


def configured(settings: Settings) -> list[Configured]:
    """Return all of our entries, those of other instances too."""
    hooks = settings.get("hooks")
    if not isinstance(hooks, dict):
        return []
    return [
        Configured(event, command, _is_dangerous(handler))
        for event, groups in hooks.items()
        for _, handler in _handlers(groups)
        if (command := command_of(handler)) is not None
    ]


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


def _handlers(groups: object) -> Iterator[tuple[list[Any], Any]]:
    """Yield every entry of an event with the list that contains it."""
    for group in groups if isinstance(groups, list) else ():
        handlers = group.get("hooks") if isinstance(group, dict) else None
        if isinstance(handlers, list):
            for handler in list(handlers):
                yield handlers, handler


def _is_of(handler: object, inbox: Path | None) -> bool:
    command = command_of(handler)
    return command is not None and inbox in (None, command.inbox)


def _handlers_of(groups: list[Any], inbox: Path) -> list[Any]:
    return [handler for _, handler in _handlers(groups) if _is_of(handler, inbox)]


def _drop(hooks: dict[str, Any], event: str, inbox: Path | None) -> None:
    """Remove our entries from an event, and containers that become empty."""
    groups = hooks[event]
    emptied: list[int] = []
    for handlers, handler in _handlers(groups):
        if _is_of(handler, inbox):
            handlers.remove(handler)
            emptied += [] if handlers else [id(handlers)]
    if emptied:
        groups[:] = [group for group in groups if not _held_in(group, emptied)]
        if not groups:
            del hooks[event]


def _held_in(group: object, emptied: list[int]) -> bool:
    return isinstance(group, dict) and id(group.get("hooks")) in emptied


def _misshapen(key: str, shape: str) -> HookSettingsError:
    return HookSettingsError(
        f"{key} in Claude Code's settings is not {shape}, and Claude Code cannot read it either: "
        "correct it first."
    )
