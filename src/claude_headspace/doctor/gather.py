"""Gathering the facts for the checks, quickly and without changing anything."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from heapq import nlargest
from importlib import metadata
from pathlib import Path

from claude_headspace.config import Config, load_config
from claude_headspace.config.folders import expanded
from claude_headspace.deployment.service import manager
from claude_headspace.deployment.service_problems import problems
from claude_headspace.deployment.start import require_port, require_visible
from claude_headspace.doctor.evidence import (
    Claude,
    DatabaseFacts,
    Disk,
    Facts,
    Installation,
    Root,
    Running,
)
from claude_headspace.embedded import binaries
from claude_headspace.embedded.location import database_url
from claude_headspace.errors import ConfigError, DatabaseError, HeadspaceError
from claude_headspace.health.observation import disk_problem
from claude_headspace.hooks import install as hooks
from claude_headspace.hooks.settings_file import cleanup_days, default_settings_path, settings_paths
from claude_headspace.store.engine import reading
from claude_headspace.supervision.health_check import check_health

PACKAGES = ("claude-headspace", "supervisor", "psycopg2-binary", "SQLAlchemy", "watchdog")
WATCH_LIMIT = Path("/proc/sys/fs/inotify/max_user_watches")
_PROFILES = (".claude*/projects", ".config/claude*/projects")
_RECENT_SECONDS = 86400.0
# Most lines of a transcript name the version of Claude Code.
_WRITTEN_BY = re.compile(rb'"version":"(\d+(?:\.\d+)+)"')
_LOOKED_INTO = 100
_END_BYTES = 64 * 1024
_FIGURES = (
    "SELECT current_setting('server_version_num')::int,"
    " extract(epoch FROM clock_timestamp())::float8, to_regclass('alembic_version') IS NOT NULL"
)


def gather() -> Facts:
    """Gather all facts."""
    try:
        config = load_config()
    except ConfigError as error:
        return Facts(installation=look_at_installation(None, error.problems))
    log, seen = look_at_log(config)
    return Facts(
        installation=look_at_installation(config, ()),
        config=config,
        disk=look_at_disk(config),
        claude=look_at_claude(config, seen),
        running=look_at_running(config, log),
    )


def look_at_installation(config: Config | None, config_problems: tuple[str, ...]) -> Installation:
    """The interpreter, the packages, and whether the programs can be started."""
    embedded = config and not config.database.url
    needed = [require_visible, *([binaries.installed] if embedded else [])]
    return Installation(
        python=sys.version_info[:3],
        versions={name: _version(name) for name in PACKAGES},
        encoding=sys.getfilesystemencoding(),
        refusals=tuple(filter(None, map(_refusal, needed))),
        config_problems=config_problems,
    )


def look_at_disk(config: Config) -> Disk:
    """The state directory, or the folder in which it will be created."""
    state = config.state.directory
    folder = next(each for each in (state, *state.parents) if each.exists())
    return Disk(
        writable=folder.is_dir() and os.access(folder, os.W_OK | os.X_OK),
        mode=_mode(state),
        config_mode=_mode(config.path) if config.path else None,
        free_bytes=shutil.disk_usage(folder).free,
        problem=disk_problem(folder),
    )


def look_at_claude(config: Config, seen: list[tuple[str, datetime]]) -> Claude:
    """Claude Code's version and settings, and all folders where it writes."""
    version = hooks.claude_version()
    inbox = config.state.directory / "inbox"
    return Claude(
        version=version,
        roots=tuple(_roots(config)),
        written_by=_written_by(config.claude.projects_path),
        folders=sum(1 for root in config.claude.projects_path for _ in os.walk(root)),
        watch_limit=_watch_limit(),
        cleanup_days=cleanup_days(settings_paths(config.claude.projects_path)),
        hooks=hooks.status(default_settings_path(), inbox, version=version, seen=seen),
        hook_error=_last_error(config.state.directory / "hook-errors.log"),
    )


def look_at_running(config: Config, log: DatabaseFacts) -> Running:
    """The running programs, and their health."""
    try:
        service = tuple(problems(manager(), os.environ))
    except HeadspaceError as error:
        service = (str(error),)
    return Running(
        verdict=check_health(config),
        log=log,
        port_problem=_refusal(lambda: require_port(config)),
        service_problems=service,
    )


def look_at_log(config: Config) -> tuple[DatabaseFacts, list[tuple[str, datetime]]]:
    """The database's report on itself, and when each hook was last seen."""
    from sqlalchemy import text

    from claude_headspace.store.queries import hooks_seen

    try:
        with reading(database_url(config)) as connection:
            number, moment, has_log = connection.execute(text(_FIGURES)).one()
            log = DatabaseFacts(server_version=number, clock_seconds=time.time() - moment)
            if not has_log:
                return log, []
            schema = connection.scalar(text("SELECT version_num FROM alembic_version"))
            return replace(log, schema=schema), hooks_seen(connection)
    except DatabaseError as error:
        return DatabaseFacts(problem=str(error)), []


def _roots(config: Config) -> Iterator[Root]:
    for path in config.claude.projects_path:
        try:
            yield Root(path, True, len(_transcripts(path)))
        except OSError as error:
            yield Root(path, True, problem=error.strerror or str(error))
    known = {path.resolve() for path in config.claude.projects_path}
    for pattern in _PROFILES:
        for path in sorted(expanded("~").glob(pattern)):
            with suppress(OSError):
                if path.resolve() not in known and (found := _transcripts(path)):
                    yield Root(path, False, len(found))


def _transcripts(root: Path) -> list[Path]:
    projects = [Path(each.path) for each in os.scandir(root) if each.is_dir()]
    return [path for project in projects for path in project.glob("*.jsonl")]


def _written_by(roots: Iterable[Path]) -> Counter[str]:
    """How many of the newest transcripts each version of Claude Code last wrote to."""
    newest = list[tuple[float, Path]]()
    for root in roots:
        with suppress(OSError):
            newest += [(path.stat().st_mtime, path) for path in _transcripts(root)]
    found = Counter[str]()
    for _, path in nlargest(_LOOKED_INTO, newest):
        with suppress(OSError), path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _END_BYTES))
            found.update(each.decode() for each in _WRITTEN_BY.findall(file.read())[-1:])
    return Counter(dict(found.most_common()))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _refusal(demand: Callable[[], object]) -> str:
    try:
        demand()
    except HeadspaceError as error:
        return str(error)
    return ""


def _mode(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_mode & 0o777
    return None


def _watch_limit() -> int | None:
    with suppress(OSError, ValueError):
        return int(WATCH_LIMIT.read_text("ascii"))
    return None


def _last_error(path: Path) -> str:
    """The last line of the hooks' error log, if it is from today."""
    with suppress(OSError):
        if time.time() - path.stat().st_mtime <= _RECENT_SECONDS:
            return path.read_text("utf-8", "replace").strip().rpartition("\n")[2]
    return ""
