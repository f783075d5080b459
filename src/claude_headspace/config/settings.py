"""The settings as the program uses them: one frozen tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from claude_headspace.machine import machine_id


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Which Postgres holds the log; None means the embedded one.

    `reader_url`: how those ask it that only read; None: at `url`.
    """

    url: str | None
    reader_url: str | None


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Where the program writes, and what this machine is called."""

    directory: Path
    host: str

    @property
    def machine(self) -> str | None:
        """The id of this machine; None where no watcher has run in this state directory."""
        return machine_id(self.directory)


@dataclass(frozen=True, slots=True)
class ForwardSettings:
    """The central log to which this one is pushed, and how fast at most; None for either."""

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
class ArchiveSettings:
    """Whether the files of sessions are kept, byte for byte."""

    enabled: bool


@dataclass(frozen=True, slots=True)
class InboxSettings:
    """How long files of the inbox are kept after they were taken in, and how many bytes of them."""

    keep_seconds: float
    keep_bytes: int


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs for a million tokens of each kind, in whatever money."""

    input: float
    output: float
    cache_read: float
    cache_write: float
    cache_write_1h: float


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the web application listens: always a loopback address."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """The command that is run when health changes or a session waits, as an argument list."""

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
