"""Editing Claude Code's settings file: shown before, backed up, replaced whole, read again."""

from __future__ import annotations

import difflib
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

from claude_headspace.errors import HookSettingsError
from claude_headspace.hooks import settings as entries
from claude_headspace.hooks.settings import HookCommand, Settings, Version
from claude_headspace.inbox.producer import flush_directory, make_private

VERSION_SECONDS = 15
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file as it was read; `content` is None if there is none yet."""

    path: Path
    content: bytes | None
    settings: Settings


@dataclass(frozen=True, slots=True)
class EditReport:
    """What an edit did, or with `dry_run` would have done, to one settings file."""

    path: Path
    diff: str
    events: tuple[str, ...]
    version: Version | None
    dry_run: bool
    backup: Path | None

    @property
    def changes(self) -> bool:
        """Tell whether the file differs from what it should be."""
        return bool(self.diff)


def default_settings_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the user's settings file, where Claude Code itself looks for it."""
    directory = environment.get("CLAUDE_CONFIG_DIR")
    return (Path(directory) if directory else Path.home() / ".claude") / "settings.json"


def claude_version(program: str = "claude") -> Version | None:
    """Return the installed version of Claude Code, or None if it cannot be found out."""
    try:
        answer = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERSION_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_version(answer.stdout.decode("utf-8", "replace"))


def parse_version(text: str) -> Version | None:
    """Return the version that `claude --version` printed, such as `2.1.240 (Claude Code)`."""
    found = re.match(r"\s*v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})\b", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def install(
    settings_path: Path,
    inbox: Path,
    *,
    version: Version | None,
    interpreter: Path | None = None,
    dry_run: bool = False,
) -> EditReport:
    """Make Claude Code run our hook command at every event that its version knows.

    Raises HookSettingsError, and then has changed nothing.
    """
    if version is not None and version < entries.OLDEST_VERSION:
        raise HookSettingsError(
            f"Claude Code {version_text(version)} is older than "
            f"{version_text(entries.OLDEST_VERSION)}, the first whose hooks say what they are "
            "for: update it."
        )
    command = HookCommand(_checked_interpreter(interpreter or Path(sys.executable)), inbox)
    _check_absolute(inbox)
    events = entries.events_for(version)
    return _edit(
        settings_path,
        lambda settings: entries.add(settings, events, command, version),
        EditReport(settings_path, "", events, version, dry_run, None),
    )


def remove(settings_path: Path, inbox: Path | None, *, dry_run: bool = False) -> EditReport:
    """Take our entries for one inbox out of the settings; all of ours, if `inbox` is None."""
    return _edit(
        settings_path,
        lambda settings: entries.remove(settings, inbox),
        EditReport(settings_path, "", (), None, dry_run, None),
    )


def read_settings(path: Path) -> SettingsFile:
    """Read a settings file, following links; a missing one is an empty object."""
    real = path.resolve()
    try:
        content = real.read_bytes()
    except FileNotFoundError:
        return SettingsFile(real, None, {})
    except OSError as error:
        raise HookSettingsError(
            f"{path} cannot be read ({error.strerror or error}): see who owns it and its mode."
        ) from error
    return SettingsFile(real, content, _parsed(path, content))


def version_text(version: Version) -> str:
    """Write a version with dots."""
    return ".".join(map(str, version))


def describe_edit(report: EditReport) -> str:
    """Say in a few lines what an edit did or would do, with the difference."""
    if not report.changes:
        return f"{report.path} is already as it should be; nothing was changed."
    lines = [report.diff]
    if report.dry_run:
        lines.append(f"This would be changed in {report.path}; nothing was written.")
    else:
        lines.append(f"Changed {report.path}.")
    if report.backup is not None:
        lines.append(f"What it was before is in {report.backup}.")
    if report.events:
        lines.append(_events_sentence(report))
    return "\n".join(lines)


def _events_sentence(report: EditReport) -> str:
    if report.version is None:
        known = "the version of Claude Code is not known, so only events that every version has"
    else:
        known = f"events that Claude Code {version_text(report.version)} knows"
    return f"Hooks ({known}): {', '.join(report.events)}."


def _parsed(path: Path, content: bytes) -> Settings:
    try:
        text = content.decode("utf-8").removeprefix(_BYTE_ORDER_MARK)
        settings = json.loads(
            text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise HookSettingsError(
            f"{path} is not valid JSON ({error}): correct it first; nothing was changed."
        ) from error
    if not isinstance(settings, dict):
        raise HookSettingsError(
            f"{path} holds a {type(settings).__name__}, not an object: correct it first; "
            "nothing was changed."
        )
    return settings


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {repeated!r} stands twice in one object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _edit(path: Path, change: Callable[[Settings], Settings], report: EditReport) -> EditReport:
    before = read_settings(path)
    wanted = change(before.settings)
    if wanted == before.settings:
        return report
    after = _written_like(before.content, wanted)
    diff = _difference(before, after)
    backup = None if report.dry_run else _replace(before, after, wanted)
    return EditReport(before.path, diff, report.events, report.version, report.dry_run, backup)


def _difference(before: SettingsFile, after: bytes) -> str:
    old = (before.content or b"").decode("utf-8").splitlines()
    new = after.decode("utf-8").splitlines()
    names = (str(before.path), f"{before.path} (changed)")
    return "\n".join(difflib.unified_diff(old, new, *names, lineterm=""))


def _written_like(content: bytes | None, wanted: Settings) -> bytes:
    """Write the settings in the manner of the file: indentation, line ends, mark, last newline."""
    text = "{\n  \n}\n" if content is None else content.decode("utf-8")
    written = _dumped(wanted, _indentation(text))
    if text.endswith("\n"):
        written += "\n"
    if "\r\n" in text:
        written = written.replace("\n", "\r\n")
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    return (mark + written).encode("utf-8")


def _indentation(text: str) -> str:
    found = re.search(r"[{\[]\r?\n([ \t]+)", text)
    return found[1] if found else "  "


def _dumped(wanted: Settings, indentation: str) -> str:
    written = json.dumps(wanted, indent=indentation, ensure_ascii=False)
    try:
        written.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, which stands escaped in the file
        return json.dumps(wanted, indent=indentation)
    return written


def _replace(before: SettingsFile, after: bytes, wanted: Settings) -> Path | None:
    """Back the file up and put the new one in its place; return the backup."""
    path = before.path
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%fZ")
    draft = path.with_name(f"{path.name}.{stamp}.tmp")
    backup = None
    try:
        make_private(str(path.parent))
        if before.content is not None:
            backup = path.with_name(f"{path.name}.{stamp}.bak")
            _write_beside(path, backup, before.content)
        _write_beside(path, draft, after)
        _check_unchanged(before)
        draft.replace(path)
        flush_directory(str(path.parent))
    except OSError as error:
        raise HookSettingsError(
            f"{path} could not be written ({error.strerror or error}); nothing was changed."
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    _verify(path, wanted, backup)
    return backup


def _check_unchanged(before: SettingsFile) -> None:
    if read_settings(before.path).content != before.content:
        raise HookSettingsError(
            f"{before.path} was changed by another program in this very moment: nothing was "
            "changed; do it again."
        )


def _write_beside(original: Path, path: Path, content: bytes) -> None:
    """Write a file with the mode and the owner of the original; for its owner alone if new."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            _make_alike(original, file.fileno())
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise


def _make_alike(original: Path, descriptor: int) -> None:
    if not original.exists():
        return
    wanted, now = original.stat(), os.fstat(descriptor)
    if (wanted.st_uid, wanted.st_gid) != (now.st_uid, now.st_gid):
        os.fchown(descriptor, wanted.st_uid, wanted.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(wanted.st_mode))


def _verify(path: Path, wanted: Settings, backup: Path | None) -> None:
    if read_settings(path).settings != wanted:
        kept = f"; what it was before is in {backup}" if backup else ""
        raise HookSettingsError(
            f"{path} does not hold what was written to it: another program, perhaps a running "
            f"Claude Code, wrote its own copy{kept}; do it again."
        )


def _check_absolute(inbox: Path) -> None:
    if not inbox.is_absolute():
        raise HookSettingsError(
            f"The inbox {inbox} is not an absolute path, and hooks run in any directory: "
            "give its whole path."
        )


def _checked_interpreter(interpreter: Path) -> Path:
    if {"archive-v0", "environments-v2"}.intersection(interpreter.parts):
        raise HookSettingsError(
            f"{interpreter} lies in a cache that uv empties, and the hooks would stop with it: "
            "install the program, for instance with `uv tool install claude-headspace`."
        )
    check = subprocess.run(
        [interpreter, "-I", "-c", f"import {entries.COMMAND_MODULE}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=VERSION_SECONDS * 4,
        check=False,
    )
    if check.returncode != 0:
        raise HookSettingsError(
            f"{interpreter} cannot load {entries.COMMAND_MODULE}: install the program for it."
        )
    return interpreter
