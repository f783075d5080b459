"""The sources of settings: the file, and the environment, which overrides it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from claude_headspace.config.checks import guess, shown
from claude_headspace.config.places import config_directory
from claude_headspace.config.settings import DEFAULTS, Tree

CONFIG_VARIABLE = "CLAUDE_HEADSPACE_CONFIG"
OVERRIDE_PREFIX = "CLAUDE_HEADSPACE__"


def find_file(environ: Mapping[str, str]) -> Path | None:
    """The configuration file: the one that a variable names, else that of this installation."""
    named = environ.get(CONFIG_VARIABLE)
    if named:
        return expand(named, environ).absolute()
    file = config_directory() / "config.yaml"
    return file if file.is_file() else None


def read_file(path: Path | None, problems: list[str]) -> Tree:
    """The settings in the file."""
    if path is None:
        return {}
    import yaml  # loading it takes longer than all else here

    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, if built
        tree = yaml.load(path.read_text("utf-8"), loader)  # noqa: S506
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path}: cannot be read ({error})")
        return {}
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a day that no month has
        problems.append(f"{path}: is not YAML ({_yaml_fault(error)})")
        return {}
    return _checked_shape(tree, problems, str(path))


def _yaml_fault(error: Exception) -> str:
    """Place and kind of the error, without the text there, which may be a password."""
    problem = re.sub(r"(['\"]).{2,}\1", "…", str(getattr(error, "problem", None) or "unreadable"))
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else problem


def _checked_shape(tree: object, problems: list[str], name: str) -> Tree:
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        problems.append(f"{name}: must contain sections with keys (got {shown(tree)})")
        return {}
    checked: Tree = {}
    for section, values in tree.items():
        if section not in DEFAULTS:
            problems.append(f"{section}: unknown section{guess(section, DEFAULTS)}")
        elif values is not None and not isinstance(values, dict):
            problems.append(f"{section}: must contain keys (got {shown(values)})")
        else:
            checked[section] = values or {}
    return checked


def read_overrides(environ: Mapping[str, str], problems: list[str]) -> Tree:
    """The settings in `CLAUDE_HEADSPACE__SECTION__KEY` variables."""
    tree: Tree = {}
    for name in sorted(name for name in environ if name.startswith(OVERRIDE_PREFIX)):
        section, _, key = name[len(OVERRIDE_PREFIX) :].lower().partition("__")
        if key not in DEFAULTS.get(section, {}):
            problems.append(f"{name}: no setting has this name")
            continue
        try:
            tree.setdefault(section, {})[key] = _parse_override(environ[name])
        except ValueError:
            problems.append(f"{section}.{key}: is not YAML (got {shown(environ[name])} in {name})")
    return tree


def _parse_override(text: str) -> Any:
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(text) from error
    # Plain text is used unchanged: YAML would cut it at " #".
    return text if isinstance(value, str) and text[0] not in "\"'" else value


def merge(layers: Sequence[Tree]) -> Tree:
    """One tree, in which later layers override earlier ones."""
    merged: Tree = {section: {} for section in DEFAULTS}
    for layer in layers:
        for section, values in layer.items():
            merged[section].update(values)
    return merged


def expand(text: str, environ: Mapping[str, str]) -> Path:
    """The path with `~` replaced by the home directory from the environment."""
    home = environ.get("HOME")
    if home and (text == "~" or text.startswith("~/")):
        return Path(home + text[1:])
    return Path(text).expanduser()
