"""Checks of Claude Code: version, settings, transcripts and hooks."""

from __future__ import annotations

from collections.abc import Iterator

from claude_headspace.config import Config
from claude_headspace.doctor.evidence import Advice, Claude
from claude_headspace.health.units import counted
from claude_headspace.hooks.entries import OLDEST_VERSION
from claude_headspace.hooks.install import version_text

FEW_DAYS = 7


def version(_: Config, claude: Claude) -> Iterator[Advice]:
    """The version of Claude Code on the path."""
    if claude.version is None:
        yield Advice(
            "warning",
            "no `claude` on the path reports a version",
            "ignore this if Claude Code runs only inside an editor",
        )
    elif claude.version < OLDEST_VERSION:
        told = (
            f"Claude Code {version_text(claude.version)} is older than the oldest supported version"
        )
        yield Advice("warning", told, f"update it to {version_text(OLDEST_VERSION)} or newer")
    else:
        yield Advice("ok", f"Claude Code {version_text(claude.version)}")


def transcripts(_: Config, claude: Claude) -> Iterator[Advice]:
    """The folders of transcripts: configured and readable, or found besides."""
    for root in claude.roots:
        count = counted(root.transcripts, "transcript")
        if root.configured and root.problem:
            remedy = "correct claude.projects_path, or start Claude Code once"
            yield Advice("broken", f"{root.path}: {root.problem}", remedy)
        elif root.configured:
            yield Advice("ok", f"{root.path}: {count}")
        else:
            told = f"{root.path}: {count} of another profile, not captured"
            yield Advice("warning", told, "add it to claude.projects_path, which may be a list")


def writers(_: Config, claude: Claude) -> Iterator[Advice]:
    """Which versions of Claude Code wrote the newest transcripts."""
    if claude.written_by:
        told = ", ".join(f"{version} ({count})" for version, count in claude.written_by.items())
        yield Advice("ok", f"the newest transcripts were written by Claude Code {told}")


def notifications(config: Config, claude: Claude) -> Iterator[Advice]:
    """Whether the system reports changes of this many folders."""
    limit = claude.watch_limit
    if not config.file_watcher.notifications:
        yield Advice("ok", "file notifications are turned off: changes are found by scanning")
    elif limit is not None and claude.folders > limit:
        yield Advice(
            "warning",
            f"{claude.folders} folders, but fs.inotify.max_user_watches is {limit}",
            f"sudo sysctl fs.inotify.max_user_watches={2 * claude.folders}",
        )
    else:
        yield Advice("ok", f"{counted(claude.folders, 'folder')} can be watched")


def cleanup(config: Config, claude: Claude) -> Iterator[Advice]:
    """When Claude Code deletes transcripts, and whether they are archived by then."""
    told = f"Claude Code deletes transcripts after {counted(claude.cleanup_days, 'day')}"
    if claude.cleanup_days < FEW_DAYS:
        yield Advice("warning", told, "raise cleanupPeriodDays in Claude Code's settings")
    elif not config.archive.enabled:
        yield Advice("warning", f"{told}, and the archive is off", "set archive.enabled: true")
    else:
        yield Advice("ok", f"{told}; they are archived before that")


def hooks(_: Config, claude: Claude) -> Iterator[Advice]:
    """Hooks are optional; those that are configured should work."""
    status = claude.hooks
    if not any(event.configured for event in status.events):
        yield Advice("ok", "no hooks are configured; `claude-headspace hooks install` adds them")
    elif not any(event.last_seen for event in status.events):
        told = "hooks are configured, but none has ever been seen"
        yield Advice("warning", told, "start a session of Claude Code, then run `doctor` again")
    else:
        yield Advice("ok", "hooks are configured and have been seen")
    for problem in status.problems:
        if not problem.startswith("No hooks are configured"):
            yield Advice("warning", problem, "`claude-headspace hooks install`")
    if claude.hook_error:
        remedy = "see hook-errors.log in the state directory"
        yield Advice("warning", f"a hook failed: {claude.hook_error}", remedy)
