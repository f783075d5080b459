"""Installing and removing our hooks in Claude Code's settings, and what is configured there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from claude_headspace.errors import HookSettingsError
from claude_headspace.hooks import entries
from claude_headspace.hooks.edit import EditReport, edit
from claude_headspace.hooks.entries import EVENT_SINCE, Configured, HookCommand, Settings, Version
from claude_headspace.hooks.settings_file import dangerous_events, read_settings, warning

VERSION_SECONDS = 15


def claude_version(program: str = "claude") -> Version | None:
    """Return the installed version of Claude Code, or None if it is unknown."""
    try:
        answer = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERSION_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_version(answer.stdout.decode("utf-8", "replace"))


def parse_version(text: str) -> Version | None:
    """Parse the output of `claude --version`, such as `2.1.240 (Claude Code)`."""
    found = re.match(r"\s*v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})\b", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def install(
    settings_path: Path,
    inbox: Path,
    *,
    version: Version | None,
    interpreter: Path | None = None,
    dry_run: bool = False,
) -> EditReport:
    """Make Claude Code run our hook command at every event that its version knows.

    Raises HookSettingsError, with nothing changed.
    """
    if version is not None and version < entries.OLDEST_VERSION:
        raise HookSettingsError(
            f"Claude Code {version_text(version)} is older than "
            f"{version_text(entries.OLDEST_VERSION)}, the first version whose hooks name their "
            "event: update it."
        )
    command = HookCommand(_checked_interpreter(interpreter or Path(sys.executable)), inbox)
    if not inbox.is_absolute():
        raise HookSettingsError(
            f"The inbox {inbox} is not an absolute path, and hooks run in any directory: "
            "give an absolute path."
        )
    events = entries.events_for(version)
    done = edit(settings_path, lambda old: entries.add(old, events, command), dry_run=dry_run)
    return replace(done, events=events, version=version)


def remove(settings_path: Path, inbox: Path | None, *, dry_run: bool = False) -> EditReport:
    """Remove our entries for one inbox from the settings; all of ours if `inbox` is None."""
    return edit(settings_path, lambda old: entries.remove(old, inbox), dry_run=dry_run)


def version_text(version: Version) -> str:
    """The version as text with dots."""
    return ".".join(map(str, version))


def describe_edit(report: EditReport) -> str:
    """Describe an edit in a few lines, with the difference."""
    if not report.changes:
        return f"{report.path} needs no change."
    lines = [report.diff]
    if report.dry_run:
        lines.append(f"These changes were not written to {report.path}.")
    else:
        lines.append(f"Changed {report.path}.")
    if report.backup is not None:
        lines.append(f"The previous version is in {report.backup}.")
    if report.restored and not report.dry_run:
        lines.append("It is now, byte for byte, what it was before the hooks were installed.")
    if report.events:
        known = "Claude Code's version is unknown, so only events that older versions know too"
        if report.version is not None:
            known = f"events that Claude Code {version_text(report.version)} knows"
        lines.append(f"Hooks ({known}): {', '.join(report.events)}.")
    return "\n".join(lines)


def _checked_interpreter(interpreter: Path) -> Path:
    if {"archive-v0", "environments-v2"}.intersection(interpreter.parts):
        raise HookSettingsError(
            f"{interpreter} is in uv's cache, and the hooks would fail once the cache is emptied: "
            "install the program, for example with `uv tool install claude-headspace`."
        )
    check = subprocess.run(
        [interpreter, "-I", "-c", f"import {entries.COMMAND_MODULE}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=VERSION_SECONDS * 4,
        check=False,
    )
    if check.returncode != 0:
        raise HookSettingsError(
            f"{interpreter} cannot load {entries.COMMAND_MODULE}: install the program for it."
        )
    return interpreter


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
