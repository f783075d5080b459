"""Checks of Claude Code: version, settings, transcripts and hooks."""

from __future__ import annotations

from collections.abc import Iterator

from claude_headspace.config import Config
from claude_headspace.doctor.facts import Claude, Finding
from claude_headspace.health.words import counted
from claude_headspace.hooks.install import version_text
from claude_headspace.hooks.settings import OLDEST_VERSION

FEW_DAYS = 7


def version(_: Config, claude: Claude) -> Iterator[Finding]:
    """The version of Claude Code on the path."""
    if claude.version is None:
        yield Finding(
            "warning",
            "no `claude` on the path reports a version",
            "ignore this if Claude Code runs only inside an editor",
        )
    elif claude.version < OLDEST_VERSION:
        told = (
            f"Claude Code {version_text(claude.version)} is older than the oldest supported version"
        )
        yield Finding("warning", told, f"update it to {version_text(OLDEST_VERSION)} or newer")
    else:
        yield Finding("ok", f"Claude Code {version_text(claude.version)}")


def transcripts(_: Config, claude: Claude) -> Iterator[Finding]:
    """The folders of transcripts: configured and readable, or found besides."""
    for root in claude.roots:
        count = counted(root.transcripts, "transcript")
        if root.configured and root.problem:
            remedy = "correct claude.projects_path, or start Claude Code once"
            yield Finding("broken", f"{root.path}: {root.problem}", remedy)
        elif root.configured:
            yield Finding("ok", f"{root.path}: {count}")
        else:
            told = f"{root.path}: {count} of another profile, not captured"
            yield Finding("warning", told, "add it to claude.projects_path, which may be a list")


def notifications(config: Config, claude: Claude) -> Iterator[Finding]:
    """Whether the system reports changes of this many folders."""
    limit = claude.watch_limit
    if not config.file_watcher.notifications:
        yield Finding("ok", "file notifications are turned off: changes are found by scanning")
    elif limit is not None and claude.folders > limit:
        yield Finding(
            "warning",
            f"{claude.folders} folders, but fs.inotify.max_user_watches is {limit}",
            f"sudo sysctl fs.inotify.max_user_watches={2 * claude.folders}",
        )
    else:
        yield Finding("ok", f"{counted(claude.folders, 'folder')} can be watched")


def cleanup(config: Config, claude: Claude) -> Iterator[Finding]:
    """When Claude Code deletes transcripts, and whether they are archived by then."""
    told = f"Claude Code deletes transcripts after {counted(claude.cleanup_days, 'day')}"
    if claude.cleanup_days < FEW_DAYS:
        yield Finding("warning", told, "raise cleanupPeriodDays in Claude Code's settings")
    elif not config.archive.enabled:
        yield Finding("warning", f"{told}, and the archive is off", "set archive.enabled: true")
    else:
        yield Finding("ok", f"{told}; they are archived before that")


def hooks(_: Config, claude: Claude) -> Iterator[Finding]:
    """Hooks are optional; those that are configured should work."""
    status = claude.hooks
    if not any(event.configured for event in status.events):
        yield Finding("ok", "no hooks are configured; `claude-headspace hooks install` adds them")
    elif not any(event.last_seen for event in status.events):
        told = "hooks are configured, but none has ever been seen"
        yield Finding("warning", told, "start a session of Claude Code, then run `doctor` again")
    else:
        yield Finding("ok", "hooks are configured and have been seen")
    for problem in status.problems:
        if not problem.startswith("No hooks are configured"):
            yield Finding("warning", problem, "`claude-headspace hooks install`")
    if claude.hook_error:
        remedy = "see hook-errors.log in the state directory"
        yield Finding("warning", f"a hook failed: {claude.hook_error}", remedy)
