"""The facts that are checked, gathered at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from claude_headspace.config import Config
from claude_headspace.health.verdict import Verdict
from claude_headspace.hooks.entries import Version
from claude_headspace.hooks.install import HookStatus

Level = Literal["ok", "warning", "broken"]


@dataclass(frozen=True, slots=True)
class Advice:
    """One sentence about one thing, and the remedy if something is wrong."""

    level: Level
    told: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The installation and the system, independent of the configuration.

    `refusals`: why this installation cannot start anything.
    """

    python: Version
    versions: Mapping[str, str]
    encoding: str
    refusals: tuple[str, ...] = ()
    config_problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Root:
    """A folder of transcripts, configured or found; `problem` says why it cannot be read."""

    path: Path
    configured: bool
    transcripts: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The state directory, the configuration file, and free disk space.

    `mode` and `config_mode` are permission bits, None if the path does not exist.
    """

    writable: bool
    mode: int | None
    config_mode: int | None
    free_bytes: int
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claude:
    """Claude Code's installation and configuration, and where it writes.

    `written_by`: how many of the newest transcripts each version last wrote to.
    """

    version: Version | None
    roots: tuple[Root, ...]
    written_by: Mapping[str, int]
    folders: int
    watch_limit: int | None
    cleanup_days: int
    hooks: HookStatus
    hook_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """The database's report on itself; `problem` says why there is none."""

    server_version: int = 0
    schema: str | None = None
    clock_seconds: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The running instance: health, the log, the page's port, the service."""

    verdict: Verdict
    log: DatabaseFacts
    port_problem: str = ""
    service_problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All facts; without a valid configuration, only those of the machine."""

    installation: Installation
    config: Config | None = None
    disk: Disk | None = None
    claude: Claude | None = None
    running: Running | None = None
