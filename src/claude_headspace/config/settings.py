"""The settings as the program uses them: one frozen tree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from claude_headspace.machine import machine_id


class DatabaseSettings(Struct, frozen=True):
    """Which Postgres holds the log; None means the embedded one."""

    url: str | None


class StateSettings(Struct, frozen=True):
    """Where the program writes, and what this machine is called."""

    directory: Path
    host: str

    @property
    def machine(self) -> str | None:
        """The id of this machine; None where no watcher has run in this state directory."""
        return machine_id(self.directory)


class ForwardSettings(Struct, frozen=True):
    """The central log to which this one is pushed, and how fast at most; None for either."""

    url: str | None
    bytes_per_second: int | None


class EventSystemSettings(Struct, frozen=True):
    """How writes are retried and how the watcher is restarted and stopped."""

    write_retry_attempts: int
    write_retry_delay_ms: int
    max_restarts_per_minute: int
    shutdown_timeout_seconds: float


class SupervisionSettings(Struct, frozen=True):
    """What becomes of a watcher that was given up: a try after so many seconds, none for 0."""

    retry_seconds: float


class ClaudeSettings(Struct, frozen=True):
    """Where Claude Code keeps its transcripts."""

    projects_path: tuple[Path, ...]


class FileWatcherSettings(Struct, frozen=True):
    """How files are followed and sessions judged."""

    rescan_interval_seconds: float
    inactivity_timeout_seconds: float
    sessions: Literal["all", "registered"]
    max_line_bytes: int
    final_line_wait_seconds: float
    notifications: bool


class ArchiveSettings(Struct, frozen=True):
    """Whether the files of sessions are kept, byte for byte."""

    enabled: bool


class InboxSettings(Struct, frozen=True):
    """How long files of the inbox are kept after they were taken in, and how many bytes of them."""

    keep_seconds: float
    keep_bytes: int


class Price(Struct, frozen=True):
    """What a model costs for a million tokens of each kind, in whatever money."""

    input: float
    output: float
    cache_read: float
    cache_write: float
    cache_write_1h: float


class WebSettings(Struct, frozen=True):
    """Where the web application listens: always a loopback address."""

    host: str
    port: int


class AlertSettings(Struct, frozen=True):
    """The command that is run when health changes or a session waits, as an argument list."""

    command: tuple[str, ...] | None


class LoggingSettings(Struct, frozen=True):
    """How much is logged, and how often the summary of writes comes."""

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
