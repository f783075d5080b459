"""The settings in effect, as one frozen tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from claude_headspace.machine import machine_id


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """The Postgres that holds the log; None means the embedded one."""

    url: str | None


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Where the program writes, and the name of this machine."""

    directory: Path
    host: str

    @property
    def machine(self) -> str | None:
        """The id of this machine; None if no watcher has run in this state directory."""
        return machine_id(self.directory)


@dataclass(frozen=True, slots=True)
class ForwardSettings:
    """The central log to which this one is pushed, and the speed limit; both may be None."""

    url: str | None
    bytes_per_second: int | None


@dataclass(frozen=True, slots=True)
class EventSystemSettings:
    """How writes are retried and how the watcher is restarted and stopped."""

    write_retry_attempts: int
    write_retry_delay_ms: int
    max_restarts_per_minute: int
    shutdown_timeout_seconds: float


@dataclass(frozen=True, slots=True)
class SupervisionSettings:
    """How long after giving up the watcher is tried again; 0 means never."""

    retry_seconds: float


@dataclass(frozen=True, slots=True)
class ClaudeSettings:
    """Where Claude Code writes transcripts."""

    projects_path: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class FileWatcherSettings:
    """How files are followed, and which sessions are captured."""

    rescan_interval_seconds: float
    inactivity_timeout_seconds: float
    sessions: Literal["all", "registered"]
    max_line_bytes: int
    final_line_wait_seconds: float
    notifications: bool


@dataclass(frozen=True, slots=True)
class ArchiveSettings:
    """Whether the files of sessions are archived, byte for byte."""

    enabled: bool


@dataclass(frozen=True, slots=True)
class InboxSettings:
    """How long, and up to how many bytes, consumed files of the inbox are kept."""

    keep_seconds: float
    keep_bytes: int


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a model for a million tokens of each kind, in any currency."""

    input: float
    output: float
    cache_read: float
    cache_write: float
    cache_write_1h: float


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the web application listens; always a loopback address."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """The command that runs when health changes or a session waits, as a list of arguments."""

    command: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class LoggingSettings:
    """How much is logged, and how often a summary of writes is logged."""

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
