"""All settings, with their defaults and checks, and the settings in effect as one frozen tree."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Struct

from claude_headspace.config.checks import (
    Setting,
    address,
    loopback,
    number,
    one_of,
    paths,
    pattern,
    seconds,
    some_text,
    switch,
    text,
    whole,
)
from claude_headspace.machine import machine_id

CLAUDE_PROJECTS = "~/.claude/projects"
Tree = dict[str, dict[str, Any]]


class DatabaseSettings(Struct, frozen=True):
    """The Postgres that holds the log; None means the embedded one.

    `reader_url` is the address for everything that only reads; None means `url`.
    """

    url: Annotated[str | None, Setting(None, address)]
    reader_url: Annotated[str | None, Setting(None, address)]


class StateSettings(Struct, frozen=True):
    """Where the program writes, and the name of this machine."""

    directory: Annotated[Path, Setting("var", some_text)]
    host: Annotated[str, Setting(None, some_text)]

    @property
    def machine(self) -> str | None:
        """The id of this machine; None if no watcher has run in this state directory."""
        return machine_id(self.directory)


class ForwardSettings(Struct, frozen=True):
    """The central log to which this one is pushed, and the speed limit; both may be None."""

    url: Annotated[str | None, Setting(None, address)]
    bytes_per_second: Annotated[int | None, Setting(None, whole(1000, 10**12))]


class EventSystemSettings(Struct, frozen=True):
    """How writes are retried and how the watcher is restarted and stopped."""

    write_retry_attempts: Annotated[int, Setting(3, whole(0, 100))]
    write_retry_delay_ms: Annotated[int, Setting(100, whole(1, 60_000))]
    max_restarts_per_minute: Annotated[int, Setting(5, whole(1, 60))]
    shutdown_timeout_seconds: Annotated[float, Setting(2, seconds(0.1, 600))]


class SupervisionSettings(Struct, frozen=True):
    """How long after giving up the watcher is tried again; 0 means never."""

    retry_seconds: Annotated[float, Setting(900, seconds(0, 30 * 86400))]


class ClaudeSettings(Struct, frozen=True):
    """Where Claude Code writes transcripts."""

    projects_path: Annotated[tuple[Path, ...], Setting(CLAUDE_PROJECTS, paths)]


class FileWatcherSettings(Struct, frozen=True):
    """How files are followed, and which sessions are captured."""

    rescan_interval_seconds: Annotated[float, Setting(2, seconds(0.05, 3600))]
    inactivity_timeout_seconds: Annotated[float, Setting(5400, seconds(0.1, 10 * 366 * 86400))]
    sessions: Annotated[Literal["all", "registered"], Setting("all", one_of("all", "registered"))]
    max_line_bytes: Annotated[int, Setting(8 * 1024**2, whole(1024, 1024**3))]
    final_line_wait_seconds: Annotated[float, Setting(5, seconds(0, 3600))]
    notifications: Annotated[bool, Setting(True, switch)]


class ArchiveSettings(Struct, frozen=True):
    """Whether the files of sessions are archived, byte for byte."""

    enabled: Annotated[bool, Setting(True, switch)]


class InboxSettings(Struct, frozen=True):
    """How long, and up to how many bytes, consumed files of the inbox are kept."""

    keep_seconds: Annotated[float, Setting(3600, seconds(0, 7 * 86400))]
    keep_bytes: Annotated[int, Setting(64 * 1024**2, whole(0, 1024**4))]


class Price(Struct, frozen=True):
    """The price of a model for a million tokens of each kind, in any currency."""

    input: float
    output: float
    cache_read: float
    cache_write: float
    cache_write_1h: float


class WebSettings(Struct, frozen=True):
    """Where the web application listens; always a loopback address."""

    host: Annotated[str, Setting("127.0.0.1", loopback)]
    port: Annotated[int, Setting(5055, whole(1, 65535))]


class AlertSettings(Struct, frozen=True):
    """The command that runs when health changes or a session waits, as a list of arguments."""

    command: Annotated[tuple[str, ...] | None, Setting(None, text, least_items=1)]


class LoggingSettings(Struct, frozen=True):
    """How much is logged, and how often a summary of writes is logged."""

    level: Annotated[str, Setting("INFO", one_of("DEBUG", "INFO", "WARNING", "ERROR"))]
    summary_interval_seconds: Annotated[float, Setting(60, seconds(0.1, 86400))]


class PrivacySettings(Struct, frozen=True):
    """Whether matches of the patterns are replaced before an event is written."""

    redact: Annotated[bool, Setting(False, switch)]
    patterns: Annotated[tuple[str, ...], Setting([], pattern, least_items=0)]


class Config(Struct, frozen=True):
    """All settings in effect; `path` is the file they came from, `directory` its folder."""

    path: Path | None
    directory: Path
    database: DatabaseSettings
    state: StateSettings
    forward: ForwardSettings
    event_system: EventSystemSettings
    supervision: SupervisionSettings
    claude: ClaudeSettings
    file_watcher: FileWatcherSettings
    archive: ArchiveSettings
    inbox: InboxSettings
    prices: Mapping[str, Price]
    web: WebSettings
    alerts: AlertSettings
    logging: LoggingSettings
    privacy: PrivacySettings


# All but `prices`: its keys are models, each with the keys of PRICE.
SECTIONS: dict[str, Any] = {
    name: kind
    for name, kind in Config.__annotations__.items()
    if name not in ("path", "directory", "prices")
}
SETTINGS: dict[str, dict[str, Setting]] = {
    section: {key: kind.__annotations__[key].__metadata__[0] for key in kind.__struct_fields__}
    for section, kind in SECTIONS.items()
}
PRICE = dict.fromkeys(Price.__struct_fields__, Setting(0, number(0, 1e6)))
DEFAULTS: Tree = {
    section: {key: setting.default for key, setting in known.items()}
    for section, known in SETTINGS.items()
} | {"prices": {}}
