"""Which hooks are configured in Claude Code's settings, and when they were seen."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from claude_headspace.errors import HookSettingsError
from claude_headspace.hooks import entries
from claude_headspace.hooks.entries import EVENT_SINCE, Configured, Settings, Version
from claude_headspace.hooks.install import version_text
from claude_headspace.hooks.settings_file import dangerous_events, read_settings, warning


@dataclass(frozen=True, slots=True)
class EventStatus:
    """One hook event: whether it is configured, and when it was last logged."""

    event: str
    configured: bool
    last_seen: datetime | None


@dataclass(frozen=True, slots=True)
class HookStatus:
    """The state of the hooks of one inbox; `problems` are sentences, empty if all is well."""

    path: Path
    version: Version | None
    events: tuple[EventStatus, ...]
    problems: tuple[str, ...]


def managed_settings_path() -> Path:
    """Return the path of an administrator's settings for Claude Code."""
    if sys.platform == "darwin":
        return Path("/Library/Application Support/ClaudeCode/managed-settings.json")
    return Path("/etc/claude-code/managed-settings.json")


def status(
    settings_path: Path,
    inbox: Path,
    *,
    version: Version | None,
    seen: Iterable[tuple[str, datetime]] = (),
    managed_path: Path | None = None,
) -> HookStatus:
    """Compare the settings with what they should be, and with the hooks seen.

    `seen` has the time of the last event of each hook type. Settings that cannot be read are
    reported as a problem, and raise nothing.
    """
    last_seen = dict(seen)
    problems: list[str] = []
    settings = _settings_or_problem(settings_path, problems)
    managed = _settings_or_problem(managed_path or managed_settings_path(), problems)
    found = entries.configured(settings)
    ours = [entry for entry in found if entry.command.inbox == inbox]
    names = {entry.event for entry in ours}
    wanted = entries.events_for(version)
    if dangerous := dangerous_events(settings):
        problems.append(warning(settings_path, dangerous))
    problems += _silenced(settings_path, settings, managed)
    problems += _entry_problems(ours, wanted, version)
    others = sorted({entry.command.inbox for entry in found} - {inbox})
    problems += [f"Hooks of another instance are configured too: {other}." for other in others]
    every = dict.fromkeys((*wanted, *names, *last_seen))
    events = tuple(EventStatus(name, name in names, last_seen.get(name)) for name in every)
    return HookStatus(settings_path, version, events, tuple(problems))


def describe_status(status: HookStatus) -> str:
    """The status as a table of events and a list of problems."""
    version = "of unknown version" if status.version is None else version_text(status.version)
    lines = [f"{status.path}, Claude Code {version}", ""]
    lines.append(f"{'event':<18} {'configured':<11} last seen")
    for each in status.events:
        seen = each.last_seen.isoformat(timespec="seconds") if each.last_seen else "never"
        lines.append(f"{each.event:<18} {'yes' if each.configured else 'no':<11} {seen}")
    if status.problems:
        lines += ["", *status.problems]
    return "\n".join(lines)


def _settings_or_problem(path: Path, problems: list[str]) -> Settings:
    try:
        return read_settings(path).settings
    except HookSettingsError as error:
        problems.append(str(error))
        return {}


def _silenced(path: Path, settings: Settings, managed: Settings) -> Iterator[str]:
    if True in (settings.get("disableAllHooks"), managed.get("disableAllHooks")):
        yield f"disableAllHooks is set (see {path}): Claude Code runs no hooks."
    if managed.get("allowManagedHooksOnly") is True:
        yield "allowManagedHooksOnly is set by an administrator: Claude Code runs only their hooks."


def _entry_problems(
    ours: Sequence[Configured], wanted: Sequence[str], version: Version | None
) -> Iterator[str]:
    names = {entry.event for entry in ours}
    if not names:
        yield "No hooks are configured: run `claude-headspace hooks install`."
        return
    if missing := [event for event in wanted if event not in names]:
        yield f"Not configured: {', '.join(missing)}; install the hooks again."
    if needless := sorted(names - EVENT_SINCE.keys()):
        yield f"No longer needed: {', '.join(needless)}; install the hooks again."
    unknown = [event for event in EVENT_SINCE if event in names and event not in wanted]
    if unknown and version is not None:
        yield (
            f"Claude Code {version_text(version)} does not know {', '.join(unknown)} and may skip "
            "all of its settings: install the hooks again."
        )
    for interpreter in sorted({entry.command.interpreter for entry in ours}):
        if not os.access(interpreter, os.X_OK):
            yield f"{interpreter} is missing or not executable: install the hooks again."
