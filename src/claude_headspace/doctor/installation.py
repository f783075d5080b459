"""Checks of the installation, the configuration, the disk and Claude Code."""

from __future__ import annotations

from collections.abc import Iterator

from claude_headspace.config import Config
from claude_headspace.doctor.evidence import Advice, Claude, Disk, Installation
from claude_headspace.health.units import counted, format_bytes
from claude_headspace.hooks.entries import OLDEST_VERSION
from claude_headspace.hooks.install import version_text

NEWEST_PYTHON = (3, 14)
LITTLE_BYTES = 1_000_000_000
OTHERS_READ = 0o066
FEW_DAYS = 7


def python(_: object, installed: Installation) -> Iterator[Advice]:
    """The interpreter and versions, which every report should name."""
    told = ", ".join(f"{name} {version}" for name, version in installed.versions.items())
    number = ".".join(map(str, installed.python))
    if installed.python[:2] > NEWEST_PYTHON:
        yield Advice(
            "warning",
            f"Python {number} is newer than any that this version was tested with",
            "install the program with Python 3.11 to 3.14",
        )
    yield Advice("ok", f"Python {number}; {told}")


def encoding(_: object, installed: Installation) -> Iterator[Advice]:
    """File names that are not ASCII need UTF-8."""
    if installed.encoding.lower().replace("-", "") != "utf8":
        yield Advice(
            "warning",
            f"file names are read as {installed.encoding}",
            "set LC_ALL=C.UTF-8, then `claude-headspace restart`",
        )
    else:
        yield Advice("ok", "file names are read as UTF-8")


def installation(_: object, installed: Installation) -> Iterator[Advice]:
    """Whether everything can be started from this installation."""
    for problem in installed.refusals:
        told, _, remedy = problem.rpartition(": ")
        yield Advice("broken", told, remedy)
    if not installed.refusals:
        yield Advice("ok", "the installation is complete")


def configuration(_: object, installed: Installation) -> Iterator[Advice]:
    """Mistakes in the configuration."""
    for problem in installed.config_problems:
        yield Advice("broken", problem, "correct it; `claude-headspace check-config` shows more")
    if not installed.config_problems:
        yield Advice("ok", "the configuration has no mistakes")


def settings_file(config: Config, disk: Disk) -> Iterator[Advice]:
    """Who may read the configuration file, which may contain a password."""
    secret = config.database.url is not None and "@" in config.database.url
    if secret and (disk.config_mode or 0) & OTHERS_READ:
        yield Advice(
            "warning",
            f"{config.path} names a database, and other users can read it",
            f"chmod 600 {config.path}",
        )
    else:
        yield Advice("ok", str(config.path or "there is no file: the defaults apply"))


def state_directory(config: Config, disk: Disk) -> Iterator[Advice]:
    """Whether the state directory is writable and private."""
    path = config.state.directory
    if not disk.writable:
        yield Advice("broken", f"{path} cannot be written", "check its owner and mode")
    elif (disk.mode or 0) & OTHERS_READ:
        yield Advice("warning", f"{path} is open to other users", f"chmod go-rw {path}")
    else:
        yield Advice("ok", f"everything is written to {path}")


def room(config: Config, disk: Disk) -> Iterator[Advice]:
    """Whether the disk has free space."""
    free = format_bytes(disk.free_bytes)
    if disk.problem:
        yield Advice("broken", disk.problem, "free some space")
    elif disk.free_bytes < LITTLE_BYTES:
        yield Advice("warning", f"only {free} are free on the disk", "free some space")
    else:
        yield Advice("ok", f"{free} are free on the disk of {config.state.directory}")


def version(_: Config, claude: Claude) -> Iterator[Advice]:
    """The version of Claude Code on the path."""
    if claude.version is None:
        yield Advice(
            "warning",
            "no `claude` on the path reports a version",
            "ignore this if Claude Code runs only inside an editor",
        )
    elif claude.version < OLDEST_VERSION:
        told = f"Claude Code {version_text(claude.version)} is older than the oldest supported"
        remedy = f"update it to {version_text(OLDEST_VERSION)} or newer"
        yield Advice("warning", f"{told} version", remedy)
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
