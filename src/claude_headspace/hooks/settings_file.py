"""Reading Claude Code's settings file strictly, with its bytes, before an edit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from claude_headspace.errors import HookSettingsError
from claude_headspace.hooks.entries import Settings

BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file as it was read; `content` is None if there is none yet."""

    path: Path
    content: bytes | None
    settings: Settings


def default_settings_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the user's settings file."""
    directory = environment.get("CLAUDE_CONFIG_DIR")
    return (Path(directory) if directory else Path.home() / ".claude") / "settings.json"


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
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {repeated!r} appears twice in one object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
