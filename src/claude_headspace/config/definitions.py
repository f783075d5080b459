"""All settings, with their defaults and checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from claude_headspace.config.checks import (
    ListOf,
    Setting,
    address,
    faults,
    loopback,
    number,
    one_of,
    paths,
    pattern,
    seconds,
    shown,
    some_text,
    switch,
    text,
    whole,
)
from claude_headspace.config.settings import Price

CLAUDE_PROJECTS = "~/.claude/projects"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

Tree = dict[str, dict[str, Any]]

SETTINGS: dict[str, dict[str, Setting]] = {
    "database": {"url": Setting(None, address), "reader_url": Setting(None, address)},
    "state": {"directory": Setting("var", some_text), "host": Setting(None, some_text)},
    "forward": {
        "url": Setting(None, address),
        "bytes_per_second": Setting(None, whole(1000, 10**12)),
    },
    "event_system": {
        "write_retry_attempts": Setting(3, whole(0, 100)),
        "write_retry_delay_ms": Setting(100, whole(1, 60_000)),
        "max_restarts_per_minute": Setting(5, whole(1, 60)),
        "shutdown_timeout_seconds": Setting(2, seconds(0.1, 600)),
    },
    "supervision": {"retry_seconds": Setting(900, seconds(0, 30 * 86400))},
    "claude": {"projects_path": Setting(CLAUDE_PROJECTS, paths)},
    "file_watcher": {
        "rescan_interval_seconds": Setting(2, seconds(0.05, 3600)),
        "inactivity_timeout_seconds": Setting(5400, seconds(0.1, 10 * 366 * 86400)),
        "sessions": Setting("all", one_of("all", "registered")),
        "max_line_bytes": Setting(8 * 1024**2, whole(1024, 1024**3)),
        "final_line_wait_seconds": Setting(5, seconds(0, 3600)),
        "notifications": Setting(True, switch),
    },
    "archive": {"enabled": Setting(True, switch)},
    "inbox": {
        "keep_seconds": Setting(3600, seconds(0, 7 * 86400)),
        "keep_bytes": Setting(64 * 1024**2, whole(0, 1024**4)),
    },
    "prices": {},
    "web": {"host": Setting("127.0.0.1", loopback), "port": Setting(5055, whole(1, 65535))},
    "alerts": {"command": Setting(None, ListOf(text, least=1))},
    "logging": {
        "level": Setting("INFO", one_of(*LEVELS)),
        "summary_interval_seconds": Setting(60, seconds(0.1, 86400)),
    },
    "privacy": {"redact": Setting(False, switch), "patterns": Setting([], ListOf(pattern))},
}
DEFAULTS: Tree = {
    section: {key: setting.default for key, setting in keys.items()}
    for section, keys in SETTINGS.items()
}
# The keys of one model's prices.
_PRICE = dict.fromkeys(Price.__struct_fields__, Setting(0, number(0, 1e6)))


def check_settings(tree: Tree) -> Iterator[str]:
    """What is wrong with a tree that has every section and key."""
    for section, values in tree.items():
        if section != "prices":
            yield from _wrong(section, SETTINGS[section], values)
            continue
        for model, price in values.items():
            yield from _wrong(f"prices.{model}", _PRICE, price)


def _wrong(section: str, known: Mapping[str, Setting], values: object) -> Iterator[str]:
    if not isinstance(values, dict):
        yield f"{section}: must contain keys (got {shown(values)})"
        return
    for key, setting in known.items():
        yield from faults(f"{section}.{key}", setting, values.get(key))
    for key in values.keys() - known.keys():
        yield f"{section}.{key}: unknown key{guess(key, known)}"


def guess(name: object, known: Mapping[str, Any]) -> str:
    """A suggestion of a similar known name, for the end of a message."""
    from difflib import get_close_matches

    near = get_close_matches(str(name), known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""
