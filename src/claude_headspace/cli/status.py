"""Health, as `supervision.health_check` finds it, and what has been captured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from claude_headspace.cli.access import configured, open_log
from claude_headspace.cli.command import command, flag, json_output
from claude_headspace.cli.terminal import as_json, local_time, print_wrapped
from claude_headspace.errors import DatabaseError
from claude_headspace.health.units import counted, format_bytes
from claude_headspace.hooks.settings_file import cleanup_days, settings_paths

if TYPE_CHECKING:
    from claude_headspace.archive.summary import ArchiveSummary
    from claude_headspace.config import Config
    from claude_headspace.health.status_file import StatusResult
    from claude_headspace.health.verdict import Verdict
    from claude_headspace.store.totals import Captured


@command("status", "claude-headspace status || echo 'Claude Headspace needs attention'")
@flag("--exact", "count all events, even if that takes long")
@json_output("one JSON object: the answer of /health, and what has been captured")
def status(*, exact: bool, in_json: bool) -> int:
    """Show health, and what has been captured.

    Exit status: 0 healthy, 1 degraded, 2 down. Works without Postgres and supervisord. The event
    counts of a large log are estimates, unless --exact is given.
    """
    from claude_headspace.deployment.configuration import configuration_file
    from claude_headspace.health.status_file import read_status, status_path
    from claude_headspace.supervision.health_check import check_health

    config = configured()
    verdict = check_health(config)
    held, archive, problem = _captured(config, verdict, exactly=exact)
    if in_json:
        told = {"captured": held, "archive": archive, "captured_problem": problem}
        files = {"settings": config.path, "supervisord": configuration_file(config.state.directory)}
        print(as_json({**asdict(verdict), **told, "files": files}))
    else:
        left = read_status(status_path(config.state.directory))
        lines = [*_verdict_lines(verdict, left), *_captured_lines(held, problem)]
        lines += _archive_lines(config, archive) if archive else ()
        lines.append(f"settings: {config.path or 'defaults; there is no file'}")
        lines.append(f"programs: {configuration_file(config.state.directory)}")
        print_wrapped(lines)
    return verdict.exit_status


def _captured(
    config: Config, verdict: Verdict, *, exactly: bool
) -> tuple[Captured | None, ArchiveSummary | None, str | None]:
    """What the log and the archive hold, or why that is unknown."""
    from claude_headspace.archive.summary import archive_summary
    from claude_headspace.store.totals import captured
    from claude_headspace.transcripts.classify import KNOWN_PROGRAMS

    if not verdict.checks["database"]["reachable"]:
        return None, None, "the database does not answer"
    try:
        with open_log(config) as connection:
            held = captured(connection, exactly=exactly, known_programs=KNOWN_PROGRAMS)
            return held, archive_summary(connection, config.state.machine), None
    except DatabaseError as error:
        return None, None, str(error)


def _verdict_lines(verdict: Verdict, left_by_watcher: StatusResult) -> Iterator[str]:
    yield verdict.status
    yield from (f"  {reason}" for reason in verdict.reasons)
    yield from (f"  note: {note}" for note in verdict.notes)
    yield ""
    machine = verdict.checks["machine"]
    known = f"id {machine['id'][:8]}" if machine["id"] else "no watcher has run here yet"
    yield f"machine:  {machine['host']} ({known})"
    programs: Mapping[str, str] = verdict.checks["supervisor"].get("programs", {})
    if programs:
        yield "programs: " + ", ".join(f"{name} {state}" for name, state in programs.items())
    yield _watcher_line(verdict.checks["watcher"])
    yield _backlog_line(left_by_watcher)
    yield _database_line(verdict.checks["database"])
    yield from _since_start(verdict.checks["watcher"])


def _watcher_line(watcher: Mapping[str, Any]) -> str:
    if "state" not in watcher:
        return "watcher:  unknown"
    if not watcher["running"]:
        return f"watcher:  not running; last seen {_when(watcher['last_heartbeat'])}"
    sessions = counted(watcher["sessions"], "session")
    files = f"{counted(watcher['files'], 'file')} followed, {sessions} in memory"
    return f"watcher:  process {watcher['status_pid']}, {watcher['state']}; {files}"


def _since_start(watcher: Mapping[str, Any]) -> Iterator[str]:
    """Figures that start at 0 with each start of the watcher."""
    if "state" not in watcher:
        return
    yield from ("", "since the watcher's start" if watcher["running"] else "in its last run")
    duplicates = counted(watcher["duplicates"], "duplicate")
    yield (
        f"written:  {counted(watcher['written'], 'event')}, {duplicates};"
        f" rejected {watcher['rejected']}, failed {watcher['failed_writes']};"
        f" last write {_when(watcher['last_write'])}"
    )
    lines = counted(watcher["committed_lines"], "line")
    yield f"read:     {lines}, {format_bytes(watcher['committed_bytes'])}"


def _when(moment: str | None) -> str:
    return local_time(datetime.fromisoformat(moment)) if moment else "never"


def _backlog_line(left: StatusResult) -> str:
    """The backlog, and how much of it is read, as the watcher reports it."""
    from claude_headspace.health.status_file import StatusProblem

    if isinstance(left, StatusProblem):
        return "backlog:  unknown"
    if not left.backlog_bytes:
        return "backlog:  none"
    done = 100 * left.committed_bytes / (left.committed_bytes + left.backlog_bytes)
    files = counted(left.backlog_files, "file")
    line = f"backlog:  {format_bytes(left.backlog_bytes)} in {files}, {done:.0f}% done"
    if rate := left.capture_rate_bytes_per_second:
        line += f", {format_bytes(rate)}/s, about {left.backlog_bytes / rate:.0f} s left"
    return line


def _database_line(database: Mapping[str, Any]) -> str:
    if not database["reachable"]:
        return "database: does not answer"
    return f"database: answers in {database['round_trip_seconds'] * 1000:.1f} ms"


def _captured_lines(held: Captured | None, problem: str | None) -> Iterator[str]:
    yield from ("", "in the log, of all machines (see `claude-headspace hosts`)")
    if held is None:
        yield f"captured: unknown: {problem}"
        return
    about = "" if held.events.exact else "about "
    yield f"captured: {about}{counted(sum(held.events.by_type.values()), 'event')}"
    width = max(map(len, held.events.by_type), default=0)
    for name, number in held.events.by_type.items():
        yield f"  {name.ljust(width)}  {about}{number}"
    if held.events.turns is not None:
        yield f"turns:    {held.events.turns} distinct"
    projects = counted(held.projects, "project")
    yield f"sessions: {held.sessions} in {projects}, {held.open_sessions} open"
    yield (
        f"sources:  {counted(held.sources, 'file')}, {format_bytes(held.committed_bytes)},"
        f" {counted(held.lines['lines'], 'line')}; rescued {held.lines['rescued']},"
        f" duplicates {held.lines['duplicates']}"
    )
    if held.older_rules:
        files = counted(held.older_rules, "file")
        yield f"rules:    {files} read by older rules; those on disk or archived are read again"
    if held.unknown_programs:
        kinds = ", ".join(f"{kind} {number}" for kind, number in held.unknown_programs.items())
        yield f"messages: kinds that this version does not know: {kinds}"
    if held.dead_letters:
        yield f"rejected: {held.dead_letters}; see `claude-headspace rejected`"


def _archive_lines(config: Config, archive: ArchiveSummary) -> Iterator[str]:
    ratio = f" ({archive.bytes / archive.stored:.1f}:1)" if archive.stored else ""
    state = "" if config.archive.enabled else "off; "
    yield f"archive:  {state}{format_bytes(archive.bytes)} in {format_bytes(archive.stored)}{ratio}"
    if archive.redacted:
        yield f"          secrets are overwritten in {counted(archive.redacted, 'file')}"
    if archive.behind_files:
        left = format_bytes(archive.behind_bytes)
        files = counted(archive.behind_files, "file")
        of = counted(archive.behind_sessions, "session")
        yield f"          not archived yet: {left} in {files} of {of} on disk"
    if archive.only_archived:
        saved = counted(archive.only_archived, "session")
        yield f"          {saved} only in the archive: see `restore`"
    if archive.only_in_log:
        lost = counted(archive.only_in_log, "session")
        yield f"          {lost} with lost files that were never archived"
    days = cleanup_days(settings_paths(config.claude.projects_path))
    oldest = f"; the oldest was written {archive.oldest:%Y-%m-%d}" if archive.oldest else ""
    yield f"cleanup:  Claude Code deletes transcripts after {counted(days, 'day')}{oldest}"
