"""The settings in effect, as one frozen tree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from claude_headspace.machine import machine_id


class DatabaseSettings(Struct, frozen=True):
    """The Postgres that holds the log; None means the embedded one.

    `reader_url` is the address for everything that only reads; None means `url`.
    """

    url: str | None
    reader_url: str | None


class StateSettings(Struct, frozen=True):
    """Where the program writes, and the name of this machine."""

    directory: Path
    host: str

    @property
    def machine(self) -> str | None:
        """The id of this machine; None if no watcher has run in this state directory."""
        return machine_id(self.directory)


class ForwardSettings(Struct, frozen=True):
    """The central log to which this one is pushed, and the speed limit; both may be None."""

    url: str | None
    bytes_per_second: int | None


class EventSystemSettings(Struct, frozen=True):
    """How writes are retried and how the watcher is restarted and stopped."""

    write_retry_attempts: int
    write_retry_delay_ms: int
    max_restarts_per_minute: int
    shutdown_timeout_seconds: float


class SupervisionSettings(Struct, frozen=True):
    """How long after giving up the watcher is tried again; 0 means never."""

    retry_seconds: float


class ClaudeSettings(Struct, frozen=True):
    """Where Claude Code writes transcripts."""

    projects_path: tuple[Path, ...]


class FileWatcherSettings(Struct, frozen=True):
    """How files are followed, and which sessions are captured."""

    rescan_interval_seconds: float
    inactivity_timeout_seconds: float
    sessions: Literal["all", "registered"]
    max_line_bytes: int
    final_line_wait_seconds: float
    notifications: bool


class ArchiveSettings(Struct, frozen=True):
    """Whether the files of sessions are archived, byte for byte."""

    enabled: bool


class InboxSettings(Struct, frozen=True):
    """How long, and up to how many bytes, consumed files of the inbox are kept."""

    keep_seconds: float
    keep_bytes: int


class Price(Struct, frozen=True):
    """The price of a model for a million tokens of each kind, in any currency."""

    input: float
    output: float
    cache_read: float
    cache_write: float
    cache_write_1h: float


class WebSettings(Struct, frozen=True):
    """Where the web application listens; always a loopback address."""

    host: str
    port: int


class AlertSettings(Struct, frozen=True):
    """The command that runs when health changes or a session waits, as a list of arguments."""

    command: tuple[str, ...] | None


class LoggingSettings(Struct, frozen=True):
    """How much is logged, and how often a summary of writes is logged."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    summary_interval_seconds: float


class PrivacySettings(Struct, frozen=True):
    """Whether matches of the patterns are replaced before an event is written."""

    redact: bool
    patterns: tuple[str, ...]


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
