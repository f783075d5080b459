"""Finding dangerous hook entries that an earlier version of this program wrote.

They name `/bin/sh` as the command and everything else as `args`. A Claude Code that does not know
`args` runs the shell alone with the hook's input, and so executes a prompt as a script.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from claude_headspace.hooks.entries import Settings, configured
from claude_headspace.hooks.settings_file import default_settings_path

# Claude Code's default.
CLEANUP_DAYS = 30
MAX_SETTINGS_BYTES = 4 * 1024 * 1024


def settings_paths(projects: Iterable[Path]) -> list[Path]:
    """Return the relevant settings files: the user's, and those beside captured transcripts."""
    paths = [directory.parent / "settings.json" for directory in projects]
    with suppress(RuntimeError):  # a user without a home
        paths.insert(0, default_settings_path())
    return list(dict.fromkeys(paths))


def warnings(paths: Iterable[Path]) -> list[str]:
    """Return a sentence for each file with dangerous entries; never raises."""
    found = [(path, dangerous_events(_settings_of(path))) for path in paths]
    return [warning(path, events) for path, events in found if events]


def cleanup_days(paths: Iterable[Path]) -> int:
    """Return after how many days Claude Code deletes transcripts with these settings."""
    told = [_settings_of(path).get("cleanupPeriodDays") for path in paths]
    days = [each for each in told if type(each) is int and each >= 0]
    return min(days, default=CLEANUP_DAYS)


def dangerous_events(settings: Settings) -> list[str]:
    """Return the events that have a dangerous entry of ours."""
    return list(dict.fromkeys(one.event for one in configured(settings) if one.dangerous))


def warning(path: Path, events: Sequence[str]) -> str:
    """Describe what is wrong with a file, and the remedy."""
    return (
        f"{path} contains dangerous hook entries of an earlier version ({', '.join(events)}): "
        "Claude Code before 2.1.139 executes prompts through them; to rewrite them: "
        f"`claude-headspace hooks install --settings {shlex.quote(str(path))}`"
    )


def _settings_of(path: Path) -> Settings:
    """Read settings like Claude Code; a file that it cannot read is not dangerous."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            settings = json.loads(file.read(MAX_SETTINGS_BYTES).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}
