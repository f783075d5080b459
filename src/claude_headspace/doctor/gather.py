"""Gathering the facts for the checks, quickly and without changing anything."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from importlib import metadata
from pathlib import Path

from claude_headspace.config import Config, load_config
from claude_headspace.deployment.managers import manager
from claude_headspace.deployment.service import problems
from claude_headspace.deployment.start import require_port, require_visible
from claude_headspace.doctor.facts import Claude, Disk, Facts, Instance, Log, Machine, Root
from claude_headspace.embedded import binaries
from claude_headspace.embedded.location import database_url
from claude_headspace.errors import ConfigError, DatabaseError, HeadspaceError
from claude_headspace.health.disk import disk_problem
from claude_headspace.hooks import report
from claude_headspace.hooks.danger import cleanup_days, settings_paths
from claude_headspace.hooks.install import claude_version
from claude_headspace.hooks.settings_file import default_settings_path
from claude_headspace.store.engine import reading
from claude_headspace.supervision.observe import check_health

PACKAGES = ("claude-headspace", "supervisor", "psycopg2-binary", "SQLAlchemy", "watchdog")
WATCH_LIMIT = Path("/proc/sys/fs/inotify/max_user_watches")
_PROFILES = (".claude*/projects", ".config/claude*/projects")
_RECENT_SECONDS = 86400.0
_FIGURES = (
    "SELECT current_setting('server_version_num')::int,"
    " extract(epoch FROM clock_timestamp())::float8, to_regclass('alembic_version') IS NOT NULL"
)


def gather() -> Facts:
    """Gather all facts."""
    try:
        config = load_config()
    except ConfigError as error:
        return Facts(machine=look_at_machine(None, error.problems))
    log, seen = look_at_log(config)
    return Facts(
        machine=look_at_machine(config, ()),
        config=config,
        disk=look_at_disk(config),
        claude=look_at_claude(config, seen),
        instance=look_at_instance(config, log),
    )


def look_at_machine(config: Config | None, config_problems: tuple[str, ...]) -> Machine:
    """The interpreter, the packages, and whether the programs can be started."""
    needed: list[Callable[[], object]] = [require_visible]
    if config and not config.database.url:
        needed.append(binaries.installed)
    return Machine(
        python=sys.version_info[:3],
        versions={name: _version(name) for name in PACKAGES},
        encoding=sys.getfilesystemencoding(),
        refusals=tuple(filter(None, map(_refusal, needed))),
        config_problems=config_problems,
    )


def look_at_disk(config: Config) -> Disk:
    """The state directory, or the place where it will be created."""
    state = config.state.directory
    place = next(each for each in (state, *state.parents) if each.exists())
    return Disk(
        writable=place.is_dir() and os.access(place, os.W_OK | os.X_OK),
        mode=_mode(state),
        config_mode=_mode(config.path) if config.path else None,
        free_bytes=shutil.disk_usage(place).free,
        problem=disk_problem(place),
    )


def look_at_claude(config: Config, seen: list[tuple[str, datetime]]) -> Claude:
    """Claude Code's version and settings, and all folders where it writes."""
    version = claude_version()
    inbox = config.state.directory / "inbox"
    return Claude(
        version=version,
        roots=tuple(_roots(config)),
        folders=sum(1 for root in config.claude.projects_path for _ in os.walk(root)),
        watch_limit=_watch_limit(),
        cleanup_days=cleanup_days(settings_paths(config.claude.projects_path)),
        hooks=report.status(default_settings_path(), inbox, version=version, seen=seen),
        hook_error=_last_error(config.state.directory / "hook-errors.log"),
    )


def look_at_instance(config: Config, log: Log) -> Instance:
    """The running programs, and their health."""
    return Instance(
        verdict=check_health(config),
        log=log,
        port_problem=_refusal(lambda: require_port(config)),
        service_problems=_service_problems(),
    )


def look_at_log(config: Config) -> tuple[Log, list[tuple[str, datetime]]]:
    """The database's report on itself, and when each hook was last seen."""
    from sqlalchemy import text

    from claude_headspace.store.queries import hooks_seen

    try:
        with reading(database_url(config)) as connection:
            number, moment, has_log = connection.execute(text(_FIGURES)).one()
            log = Log(server_version=number, clock_seconds=time.time() - moment)
            if not has_log:
                return log, []
            schema = connection.scalar(text("SELECT version_num FROM alembic_version"))
            return replace(log, schema=schema), hooks_seen(connection)
    except DatabaseError as error:
        return Log(problem=str(error)), []


def _roots(config: Config) -> Iterator[Root]:
    for path in config.claude.projects_path:
        try:
            yield Root(path, True, _transcripts(path))
        except OSError as error:
            yield Root(path, True, problem=error.strerror or str(error))
    known = {path.resolve() for path in config.claude.projects_path}
    for pattern in _PROFILES:
        for path in sorted(Path.home().glob(pattern)):
            with suppress(OSError):
                if path.resolve() not in known and (count := _transcripts(path)):
                    yield Root(path, False, count)


def _transcripts(root: Path) -> int:
    projects = [Path(each.path) for each in os.scandir(root) if each.is_dir()]
    return sum(1 for project in projects for _ in project.glob("*.jsonl"))


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
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return None


def _watch_limit() -> int | None:
    try:
        return int(WATCH_LIMIT.read_text("ascii"))
    except (OSError, ValueError):
        return None


def _last_error(path: Path) -> str:
    """The last line of the hooks' error log, if it is from today."""
    try:
        if time.time() - path.stat().st_mtime > _RECENT_SECONDS:
            return ""
        return path.read_text("utf-8", "replace").strip().rpartition("\n")[2]
    except OSError:
        return ""


def _service_problems() -> tuple[str, ...]:
    try:
        return tuple(problems(manager(), os.environ))
    except HeadspaceError as error:
        return (str(error),)
