"""Claude Code's settings file: read strictly before an edit, and leniently for warnings.

Dangerous entries, which an earlier version of this program wrote, name `/bin/sh` as the command and
everything else as `args`. A Claude Code that does not know `args` runs the shell alone with the
hook's input, and so executes a prompt as a script.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from claude_headspace.errors import ConfigError, HookSettingsError
from claude_headspace.hooks.entries import Settings, configured

BYTE_ORDER_MARK = "\ufeff"
# Claude Code's default.
CLEANUP_DAYS = 30
MAX_SETTINGS_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file as it was read; `content` is None if there is none yet."""

    path: Path
    content: bytes | None
    settings: Settings


def default_settings_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the user's settings file."""
    from claude_headspace.config.folders import expanded

    directory = environment.get("CLAUDE_CONFIG_DIR")
    return (Path(directory) if directory else expanded("~/.claude", environment)) / "settings.json"


def read_settings(path: Path) -> SettingsFile:
    """Read a settings file, following links; a missing one is an empty object."""
    real = path.resolve()
    try:
        content = real.read_bytes()
    except FileNotFoundError:
        return SettingsFile(real, None, {})
    except OSError as error:
        raise HookSettingsError(
            f"{path} cannot be read ({error.strerror or error}): check its owner and mode."
        ) from error
    return SettingsFile(real, content, parse_settings(path, content))


def parse_settings(path: Path, content: bytes) -> Settings:
    """Parse the content of the file at `path`; HookSettingsError if it is ambiguous."""
    try:
        text = content.decode("utf-8").removeprefix(BYTE_ORDER_MARK)
        settings = json.loads(
            text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise HookSettingsError(
            f"{path} is not valid JSON ({error}): correct it first; nothing was changed."
        ) from error
    if not isinstance(settings, dict):
        raise HookSettingsError(
            f"{path} contains a {type(settings).__name__}, not an object: correct it first; "
            "nothing was changed."
        )
    return settings


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict[str, Any]()
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name!r} appears twice in one object")
        found[name] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def settings_paths(projects: Iterable[Path]) -> list[Path]:
    """Return the relevant settings files: the user's, and those beside captured transcripts."""
    paths = [directory.parent / "settings.json" for directory in projects]
    with suppress(ConfigError):  # a user without a home
        paths.insert(0, default_settings_path())
    return list(dict.fromkeys(paths))


def warnings(paths: Iterable[Path]) -> list[str]:
    """Return a sentence for each file with dangerous entries; never raises."""
    found = [(path, dangerous_events(_read_as_claude(path))) for path in paths]
    return [warning(path, events) for path, events in found if events]


def cleanup_days(paths: Iterable[Path]) -> int:
    """Return after how many days Claude Code deletes transcripts with these settings."""
    told = [_read_as_claude(path).get("cleanupPeriodDays") for path in paths]
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


def _read_as_claude(path: Path) -> Settings:
    """Read settings like Claude Code; a file that it cannot read is not dangerous."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            settings = json.loads(file.read(MAX_SETTINGS_BYTES).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}
