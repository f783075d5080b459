"""The configuration: one frozen tree, read once, all of its mistakes reported together.

Precedence, lowest first: the defaults, the file, `CLAUDE_HEADSPACE__SECTION__KEY`, `DATABASE_URL`.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from marshmallow import Schema, ValidationError, fields, validate

from claude_headspace.address import address_fault, mask_password, shown_address
from claude_headspace.errors import ConfigError

CONFIG_VARIABLE = "CLAUDE_HEADSPACE_CONFIG"
OVERRIDE_PREFIX = "CLAUDE_HEADSPACE__"
# In the state directory: the name under which its watcher ran last.
HOST_FILE = "host"
CLAUDE_PROJECTS = "~/.claude/projects"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

Tree = dict[str, dict[str, Any]]
Messages = dict[str, str | list[Any] | dict[Any, Any]]

DEFAULTS: Tree = {
    "database": {"url": None},
    "state": {"directory": "var", "host": None},
    "event_system": {
        "write_retry_attempts": 3,
        "write_retry_delay_ms": 100,
        "max_restarts_per_minute": 5,
        "shutdown_timeout_seconds": 2,
    },
    "supervision": {"retry_seconds": 900},
    "claude": {"projects_path": CLAUDE_PROJECTS},
    "file_watcher": {
        "rescan_interval_seconds": 2,
        "inactivity_timeout_seconds": 5400,
        "sessions": "all",
        "max_line_bytes": 8 * 1024 * 1024,
        "final_line_wait_seconds": 5,
        "notifications": True,
    },
    "inbox": {"keep_seconds": 3600, "keep_bytes": 64 * 1024 * 1024},
    "web": {"host": "127.0.0.1", "port": 5055},
    "alerts": {"command": None},
    "logging": {"level": "INFO", "summary_interval_seconds": 60},
    "privacy": {"redact": False, "patterns": []},
}


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Which Postgres holds the log; None means the embedded one."""

    url: str | None


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Where the program writes, and under which name this machine's sources stand in the log."""

    directory: Path
    host: str


@dataclass(frozen=True, slots=True)
class EventSystemSettings:
    """How writes are retried and how the watcher is restarted and stopped."""

    write_retry_attempts: int
    write_retry_delay_ms: int
    max_restarts_per_minute: int
    shutdown_timeout_seconds: float


@dataclass(frozen=True, slots=True)
class SupervisionSettings:
    """What becomes of a watcher that was given up: a try after so many seconds, none for 0."""

    retry_seconds: float


@dataclass(frozen=True, slots=True)
class ClaudeSettings:
    """Where Claude Code keeps its transcripts."""

    projects_path: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class FileWatcherSettings:
    """How files are followed and sessions judged."""

    rescan_interval_seconds: float
    inactivity_timeout_seconds: float
    sessions: Literal["all", "registered"]
    max_line_bytes: int
    final_line_wait_seconds: float
    notifications: bool


@dataclass(frozen=True, slots=True)
class InboxSettings:
    """How long files of the inbox are kept after they were taken in, and how many bytes of them."""

    keep_seconds: float
    keep_bytes: int


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the web application listens: always a loopback address."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """The command that is run when health changes, as an argument list."""

    command: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class LoggingSettings:
    """How much is logged, and how often the summary of writes comes."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    summary_interval_seconds: float


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    """Whether matches of the patterns are replaced before an event is written."""

    redact: bool
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """All settings in effect; `path` is the file they came from, `directory` its folder."""

    path: Path | None
    directory: Path
    database: DatabaseSettings
    state: StateSettings
    event_system: EventSystemSettings
    supervision: SupervisionSettings
    claude: ClaudeSettings
    file_watcher: FileWatcherSettings
    inbox: InboxSettings
    web: WebSettings
    alerts: AlertSettings
    logging: LoggingSettings
    privacy: PrivacySettings


_TEXT_MESSAGES: Messages = {"invalid": "must be text", "null": "must not be empty"}
_LIST_MESSAGES: Messages = {"invalid": "must be a list of text", "null": "must not be empty"}


def _setting(check: Callable[[Any], None]) -> fields.Raw:
    return fields.Raw(required=True, validate=check, error_messages=_TEXT_MESSAGES)


def _text(**options: Any) -> fields.String:
    return fields.String(error_messages=_TEXT_MESSAGES, **options)


def _texts(item: fields.String, **options: Any) -> fields.List[str]:
    return fields.List(item, required=True, error_messages=_LIST_MESSAGES, **options)


def _number(kinds: tuple[type, ...], what: str, low: float, high: float) -> fields.Raw:
    def check(value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise ValidationError(f"must be {what}")
        if not low <= value <= high:  # type: ignore[operator]
            raise ValidationError(f"must be between {low} and {high}")

    return _setting(check)


def _whole(low: int, high: int) -> fields.Raw:
    return _number((int,), "a whole number", low, high)


def _seconds(low: float, high: float) -> fields.Raw:
    return _number((int, float), "a number of seconds", low, high)


def _check_switch(value: object) -> None:
    if not isinstance(value, bool):
        raise ValidationError("must be true or false")


def _check_paths(value: object) -> None:
    paths = value if isinstance(value, list) else [value]
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise ValidationError("must be a path or a list of paths")


def _check_url(value: str) -> None:
    if fault := address_fault(value):
        raise ValidationError(fault)


def _check_loopback(value: str) -> None:
    if value == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(value).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValidationError("must be a loopback address such as 127.0.0.1")


def _check_pattern(value: str) -> None:
    try:
        re.compile(value)
    except re.error as error:
        raise ValidationError(f"must be a regular expression: {error}") from error


def _one_of(*choices: str) -> validate.OneOf:
    return validate.OneOf(choices, error="must be one of {choices}")


_NOT_EMPTY = validate.Length(min=1, error="must not be empty")

_SECTIONS: dict[str, dict[str, fields.Field[Any]]] = {
    "database": {"url": _text(required=True, allow_none=True, validate=_check_url)},
    "state": {
        "directory": _text(required=True, validate=_NOT_EMPTY),
        "host": _text(required=True, allow_none=True, validate=_NOT_EMPTY),
    },
    "event_system": {
        "write_retry_attempts": _whole(0, 100),
        "write_retry_delay_ms": _whole(1, 60_000),
        "max_restarts_per_minute": _whole(1, 60),
        "shutdown_timeout_seconds": _seconds(0.1, 600),
    },
    "supervision": {"retry_seconds": _seconds(0, 30 * 86400)},
    "claude": {"projects_path": _setting(_check_paths)},
    "file_watcher": {
        "rescan_interval_seconds": _seconds(0.05, 3600),
        "inactivity_timeout_seconds": _seconds(0.1, 10 * 366 * 86400),
        "sessions": _text(required=True, validate=_one_of("all", "registered")),
        "max_line_bytes": _whole(1024, 1024**3),
        "final_line_wait_seconds": _seconds(0, 3600),
        "notifications": _setting(_check_switch),
    },
    "inbox": {
        "keep_seconds": _seconds(0, 7 * 86400),
        "keep_bytes": _whole(0, 1024**4),
    },
    "web": {
        "host": _text(required=True, validate=_check_loopback),
        "port": _whole(1, 65535),
    },
    "alerts": {"command": _texts(_text(), allow_none=True, validate=_NOT_EMPTY)},
    "logging": {
        "level": _text(required=True, validate=_one_of(*LEVELS)),
        "summary_interval_seconds": _seconds(0.1, 86400),
    },
    "privacy": {
        "redact": _setting(_check_switch),
        "patterns": _texts(_text(validate=_check_pattern)),
    },
}


def load_config(environ: Mapping[str, str] | None = None) -> Config:
    """Read the settings in effect; raise ConfigError with every mistake in them."""
    environ = os.environ if environ is None else environ
    path = _find_file(environ)
    directory = (path.parent if path else Path.cwd()).absolute()
    problems: list[str] = []
    layers = [DEFAULTS, _read_file(path, problems), _read_overrides(environ, problems)]
    if environ.get("DATABASE_URL"):
        layers.append({"database": {"url": environ["DATABASE_URL"]}})
    tree = _validate(_merge(layers), problems)
    if problems:
        raise ConfigError(problems)
    return _build(tree, path, directory, environ)


def describe(config: Config) -> str:
    """The effective settings as YAML, with passwords masked."""
    tree = {section: _plain(getattr(config, section)) for section in DEFAULTS}
    tree["database"]["url"] = mask_password(tree["database"]["url"])
    source = config.path or "none found: defaults"
    body = yaml.safe_dump(tree, sort_keys=False, default_flow_style=False, allow_unicode=True)
    return f"# file: {source}\n{body}"


def _find_file(environ: Mapping[str, str]) -> Path | None:
    named = environ.get(CONFIG_VARIABLE)
    if named:
        return _expand(named, environ).absolute()
    places = [Path.cwd()]
    if sys.prefix != sys.base_prefix:
        places.insert(0, Path(sys.prefix).parent)
    return next((file for place in places if (file := place / "config.yaml").is_file()), None)


def _read_file(path: Path | None, problems: list[str]) -> Tree:
    if path is None:
        return {}
    try:
        tree = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path}: cannot be read ({error})")
        return {}
    except yaml.YAMLError as error:
        problems.append(f"{path}: is not YAML ({_yaml_fault(error)})")
        return {}
    return _checked_shape(tree, problems, str(path))


def _yaml_fault(error: yaml.YAMLError) -> str:
    """Where and what, without the text that stands there: it may be a password."""
    problem = re.sub(r"(['\"]).{2,}\1", "…", str(getattr(error, "problem", None) or "unreadable"))
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else problem


def _checked_shape(tree: object, problems: list[str], name: str) -> Tree:
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        problems.append(f"{name}: must hold sections with keys (got {_shown(tree)})")
        return {}
    checked: Tree = {}
    for section, values in tree.items():
        if section not in DEFAULTS:
            problems.append(f"{section}: unknown section{_guess(section, DEFAULTS)}")
        elif values is not None and not isinstance(values, dict):
            problems.append(f"{section}: must hold keys (got {_shown(values)})")
        else:
            checked[section] = values or {}
    return checked


def _read_overrides(environ: Mapping[str, str], problems: list[str]) -> Tree:
    tree: Tree = {}
    for name in sorted(name for name in environ if name.startswith(OVERRIDE_PREFIX)):
        section, _, key = name[len(OVERRIDE_PREFIX) :].lower().partition("__")
        if key not in DEFAULTS.get(section, {}):
            problems.append(f"{name}: no setting has this name")
            continue
        try:
            tree.setdefault(section, {})[key] = _parse_override(environ[name])
        except yaml.YAMLError:
            problems.append(f"{section}.{key}: is not YAML (got {_shown(environ[name])} in {name})")
    return tree


def _parse_override(text: str) -> Any:
    value = yaml.safe_load(text)
    # Plain text is taken as it stands: YAML would cut it at " #".
    return text if isinstance(value, str) and text[0] not in "\"'" else value


def _merge(layers: Sequence[Tree]) -> Tree:
    merged: Tree = {section: {} for section in DEFAULTS}
    for layer in layers:
        for section, values in layer.items():
            merged[section].update(values)
    return merged


def _validate(tree: Tree, problems: list[str]) -> Tree:
    valid: Tree = {}
    for section, values in tree.items():
        schema = Schema.from_dict(dict(_SECTIONS[section]))()
        try:
            valid[section] = dict(schema.load(values))
        except ValidationError as error:
            problems.extend(_explain(section, error.messages_dict, values))
    return valid


def _explain(section: str, faults: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[str]:
    for key, fault in faults.items():
        if key not in DEFAULTS[section]:
            yield f"{section}.{key}: unknown key{_guess(key, DEFAULTS[section])}"
        elif isinstance(fault, dict):
            for index, messages in fault.items():
                yield f"{section}.{key}[{index}]: {_say(messages, values[key][index])}"
        elif (section, key) == ("database", "url"):
            yield f"{section}.{key}: {', '.join(fault)} (got {shown_address(values.get(key))})"
        else:
            yield f"{section}.{key}: {_say(fault, values.get(key))}"


def _say(messages: Sequence[str], value: object) -> str:
    return f"{', '.join(messages)} (got {_shown(value)})"


def _shown(value: object) -> str:
    return str(mask_password(repr(value)))


def _guess(name: object, known: Mapping[str, Any]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(str(name), known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _host(named: str | None, state: Path) -> str:
    """The name given, else the one this state directory has had, else the machine's.

    A machine's name changes with the network that it is in; what stands in the log under it stays.
    """
    if named:
        return named
    try:
        known = (state / HOST_FILE).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        known = ""
    return known or socket.gethostname()


def _build(tree: Tree, path: Path | None, directory: Path, environ: Mapping[str, str]) -> Config:
    command = tree["alerts"]["command"]
    state = _resolve(tree["state"]["directory"], directory, environ)
    return Config(
        path=path,
        directory=directory,
        database=DatabaseSettings(**tree["database"]),
        state=StateSettings(
            directory=state,
            host=_host(tree["state"]["host"], state),
        ),
        event_system=EventSystemSettings(**tree["event_system"]),
        supervision=SupervisionSettings(**tree["supervision"]),
        claude=ClaudeSettings(_projects(tree["claude"]["projects_path"], directory, environ)),
        file_watcher=FileWatcherSettings(**tree["file_watcher"]),
        inbox=InboxSettings(**tree["inbox"]),
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
    return Path(os.path.normpath(directory / _expand(text, environ)))


def _expand(text: str, environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME")
    if home and (text == "~" or text.startswith("~/")):
        return Path(home + text[1:])
    return Path(text).expanduser()


def _plain(settings: Any) -> dict[str, Any]:
    names: Sequence[str] = settings.__slots__
    return {name: _plain_value(getattr(settings, name)) for name in names}


def _plain_value(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain_value(item) for item in value]
    return str(value) if isinstance(value, Path) else value
