"""Installing and removing our hooks in Claude Code's settings."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from claude_headspace.errors import HookSettingsError
from claude_headspace.hooks import entries
from claude_headspace.hooks.edit import EditReport, edit
from claude_headspace.hooks.entries import HookCommand, Version

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
