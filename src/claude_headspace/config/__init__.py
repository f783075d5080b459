"""The configuration: one frozen tree, read once; all mistakes are reported together.

Precedence, lowest first: the defaults, the file, `CLAUDE_HEADSPACE__SECTION__KEY`, `DATABASE_URL`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from claude_headspace.address import mask_password
from claude_headspace.config.checks import faults
from claude_headspace.config.layers import (
    CONFIG_VARIABLE,
    expand,
    find_file,
    merge,
    read_file,
    read_overrides,
)
from claude_headspace.config.places import config_directory, default_state
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
    path = find_file(environ)
    directory = path.parent if path else config_directory()
    problems: list[str] = []
    layers = [DEFAULTS, {"state": {"directory": default_state(path)}}]
    layers += [read_file(path, problems), read_overrides(environ, problems)]
    if environ.get("DATABASE_URL"):
        layers.append({"database": {"url": environ["DATABASE_URL"]}})
    tree = merge(layers)
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
        return Path(os.path.normpath(directory / expand(text, environ)))

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
