"""The configuration: one frozen tree, read once; all mistakes are reported together.

Precedence, lowest first: the defaults, the file, `CLAUDE_HEADSPACE__SECTION__KEY`, `DATABASE_URL`.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from claude_headspace.address import mask_password
from claude_headspace.config.checks import faults, guess, masked
from claude_headspace.config.folders import config_directory, default_state, expanded
from claude_headspace.config.settings import (
    CLAUDE_PROJECTS,
    DEFAULTS,
    PRICE,
    SECTIONS,
    SETTINGS,
    Config,
    FileWatcherSettings,
    Price,
    Tree,
)
from claude_headspace.errors import ConfigError

CONFIG_VARIABLE = "CLAUDE_HEADSPACE_CONFIG"
OVERRIDE_PREFIX = "CLAUDE_HEADSPACE__"
__all__ = [
    "CONFIG_VARIABLE",
    "DEFAULTS",
    "Config",
    "FileWatcherSettings",
    "describe",
    "load_config",
]


def load_config(environ: Mapping[str, str] | None = None) -> Config:
    """Read the settings in effect; raises ConfigError with all mistakes."""
    environ = os.environ if environ is None else environ
    path = _find_file(environ)
    directory = path.parent if path else config_directory()
    problems: list[str] = []
    layers = [DEFAULTS, {"state": {"directory": default_state(path)}}]
    layers += [_read_file(path, problems), _read_overrides(environ, problems)]
    if environ.get("DATABASE_URL"):
        layers.append({"database": {"url": environ["DATABASE_URL"]}})
    tree: Tree = {section: {} for section in DEFAULTS}
    for layer in layers:
        for section, values in layer.items():
            tree[section].update(values)
    for price in tree["prices"].values():
        if isinstance(price, dict) and "cache_write" in price:
            price.setdefault("cache_write_1h", price["cache_write"])
    for section, known in SETTINGS.items():
        problems += faults(section, known, tree[section])
    for model, price in tree["prices"].items():
        problems += faults(f"prices.{model}", PRICE, price)
    if problems:
        raise ConfigError(problems)
    return _build(tree, path, directory, environ)


def describe(config: Config) -> str:
    """The effective settings as YAML, with passwords masked."""
    import yaml

    tree = {section: _plain(getattr(config, section)) for section in DEFAULTS}
    for section, key in (("database", "url"), ("database", "reader_url"), ("forward", "url")):
        tree[section][key] = mask_password(tree[section][key])
    source = config.path or "none found: defaults"
    body = yaml.safe_dump(tree, sort_keys=False, default_flow_style=False, allow_unicode=True)
    return f"# file: {source}\n{body}"


def _build(tree: Tree, path: Path | None, directory: Path, environ: Mapping[str, str]) -> Config:
    def resolved(text: str) -> Path:
        return Path(os.path.normpath(directory / expanded(text, environ)))

    moved = environ.get("CLAUDE_CONFIG_DIR")
    default = f"{moved}/projects" if moved else CLAUDE_PROJECTS
    value = tree["claude"]["projects_path"]
    texts = [value] if isinstance(value, str) else value
    named = [default if text.rstrip("/") == CLAUDE_PROJECTS else text for text in texts]
    tree["claude"]["projects_path"] = list(dict.fromkeys(map(resolved, named)))
    tree["state"]["directory"] = resolved(tree["state"]["directory"])
    tree["state"]["host"] = tree["state"]["host"] or socket.gethostname()
    prices = {str(model): Price(**price) for model, price in tree.pop("prices").items()}
    sections = {name: _section(SECTIONS[name], values) for name, values in tree.items()}
    return Config(path=path, directory=directory, prices=prices, **sections)


def _section(kind: Any, values: Mapping[str, Any]) -> Any:
    return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, Struct):
        return _plain(structs.asdict(value))
    return value


def _find_file(environ: Mapping[str, str]) -> Path | None:
    """The configuration file: the one that a variable names, else that of this installation."""
    named = environ.get(CONFIG_VARIABLE)
    if named:
        return expanded(named, environ).absolute()
    file = config_directory() / "config.yaml"
    return file if file.is_file() else None


def _read_file(path: Path | None, problems: list[str]) -> Tree:
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
        problems.append(f"{name}: must contain sections with keys (got {masked(tree)})")
        return {}
    checked: Tree = {}
    for section, values in tree.items():
        if section not in DEFAULTS:
            problems.append(f"{section}: unknown section{guess(section, DEFAULTS)}")
        elif values is not None and not isinstance(values, dict):
            problems.append(f"{section}: must contain keys (got {masked(values)})")
        else:
            checked[section] = values or {}
    return checked


def _read_overrides(environ: Mapping[str, str], problems: list[str]) -> Tree:
    """The settings in `CLAUDE_HEADSPACE__SECTION__KEY` variables."""
    tree: Tree = {}
    for name in sorted(name for name in environ if name.startswith(OVERRIDE_PREFIX)):
        section, _, key = name[len(OVERRIDE_PREFIX) :].lower().partition("__")
        if key not in DEFAULTS.get(section, {}):
            problems.append(f"{name}: no setting has this name")
            continue
        import yaml

        text = environ[name]
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError):
            problems.append(f"{section}.{key}: is not YAML (got {masked(text)} in {name})")
            continue
        # Plain text is used unchanged: YAML would cut it at " #".
        plain = isinstance(value, str) and text[0] not in "\"'"
        tree.setdefault(section, {})[key] = text if plain else value
    return tree
