"""The configuration: one frozen tree, read once; all mistakes are reported together.

Precedence, lowest first: the defaults, the file, `CLAUDE_HEADSPACE__SECTION__KEY`, `DATABASE_URL`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from claude_headspace.address import mask_password
from claude_headspace.config.definitions import CLAUDE_PROJECTS, DEFAULTS, Tree, check_settings
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
    AlertSettings,
    ArchiveSettings,
    ClaudeSettings,
    Config,
    DatabaseSettings,
    EventSystemSettings,
    FileWatcherSettings,
    ForwardSettings,
    InboxSettings,
    LoggingSettings,
    Price,
    PrivacySettings,
    StateSettings,
    SupervisionSettings,
    WebSettings,
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
    problems += check_settings(tree)
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
    command = tree["alerts"]["command"]
    state = _resolve(tree["state"]["directory"], directory, environ)
    return Config(
        path=path,
        directory=directory,
        database=DatabaseSettings(**tree["database"]),
        state=StateSettings(
            directory=state,
            host=tree["state"]["host"] or socket.gethostname(),
        ),
        forward=ForwardSettings(**tree["forward"]),
        event_system=EventSystemSettings(**tree["event_system"]),
        supervision=SupervisionSettings(**tree["supervision"]),
        claude=ClaudeSettings(_projects(tree["claude"]["projects_path"], directory, environ)),
        file_watcher=FileWatcherSettings(**tree["file_watcher"]),
        archive=ArchiveSettings(**tree["archive"]),
        inbox=InboxSettings(**tree["inbox"]),
        prices={str(model): Price(**price) for model, price in tree["prices"].items()},
        web=WebSettings(**tree["web"]),
        alerts=AlertSettings(None if command is None else tuple(command)),
        logging=LoggingSettings(**tree["logging"]),
        privacy=PrivacySettings(tree["privacy"]["redact"], tuple(tree["privacy"]["patterns"])),
    )


def _projects(
    value: str | Sequence[str], directory: Path, environ: Mapping[str, str]
) -> tuple[Path, ...]:
    texts = [value] if isinstance(value, str) else value
    moved = environ.get("CLAUDE_CONFIG_DIR")
    default = f"{moved}/projects" if moved else CLAUDE_PROJECTS
    named = [default if text.rstrip("/") == CLAUDE_PROJECTS else text for text in texts]
    return tuple(dict.fromkeys(_resolve(text, directory, environ) for text in named))


def _resolve(text: str, directory: Path, environ: Mapping[str, str]) -> Path:
    return Path(os.path.normpath(directory / expand(text, environ)))


def _plain(settings: Any) -> dict[str, Any]:
    if isinstance(settings, dict):
        return {name: _plain(each) for name, each in settings.items()}
    names: Sequence[str] = settings.__struct_fields__
    return {name: _plain_value(getattr(settings, name)) for name in names}


def _plain_value(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain_value(item) for item in value]
    return str(value) if isinstance(value, Path) else value
