"""Editing Claude Code's settings file: backed up once, replaced atomically, then verified."""

from __future__ import annotations

import difflib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from claude_headspace.errors import HookSettingsError
from claude_headspace.hooks import entries
from claude_headspace.hooks.entries import Settings, Version
from claude_headspace.hooks.settings_file import (
    BYTE_ORDER_MARK,
    SettingsFile,
    parse_settings,
    read_settings,
)
from claude_headspace.inbox.producer import flush_directory, make_private

BACKUP_SUFFIX = ".bak"

Replace = Callable[[Path, Path], object]


@dataclass(frozen=True, slots=True)
class EditReport:
    """An edit of one settings file, done or planned, and the events that it asked for.

    `restored`: the file is now identical to a backup; `backup` is a copy of the previous file.
    """

    path: Path
    diff: str = ""
    backup: Path | None = None
    restored: bool = False
    dry_run: bool = False
    events: tuple[str, ...] = ()
    version: Version | None = None

    @property
    def changes(self) -> bool:
        """Whether the file differs from what it should be."""
        return bool(self.diff)


def edit(
    path: Path,
    change: Callable[[Settings], Settings],
    *,
    dry_run: bool = False,
    replace: Replace = os.replace,
) -> EditReport:
    """Replace the settings by what `change` returns; `replace` renames a file over another.

    If a backup has the same settings, the file gets the backup's bytes; without such a backup, a
    file that would be empty is deleted. Raises HookSettingsError.
    """
    before = read_settings(path)
    wanted = change(before.settings)
    if wanted == before.settings:
        return EditReport(before.path, dry_run=dry_run)
    kept = _kept_bytes(before.path, wanted)
    after = kept
    if kept is None and (wanted or path.is_symlink()):
        after = _written_like(before.content, wanted)
    backup = None if dry_run else _put_in_place(before, after, replace)
    if not dry_run and kept is not None and not entries.configured(wanted):
        own_backup(before.path).unlink(missing_ok=True)
    old = (before.content or b"").decode("utf-8").splitlines()
    new = (after or b"").decode("utf-8").splitlines()
    names = (str(before.path), f"{before.path} (changed)")
    diff = "\n".join(difflib.unified_diff(old, new, *names, lineterm=""))
    return EditReport(before.path, diff, backup, kept is not None, dry_run)


def own_backup(path: Path) -> Path:
    """The path of the backup of a settings file."""
    return path.with_name(f"{path.name}.claude-headspace{BACKUP_SUFFIX}")


def _kept_bytes(path: Path, wanted: Settings) -> bytes | None:
    """The bytes of a backup beside the file that has exactly these settings, in its order."""
    written = json.dumps(entries.without_empty(wanted))
    for backup in _backups(path):
        with suppress(HookSettingsError, OSError):
            content = backup.read_bytes()
            said = entries.without_empty(parse_settings(backup, content))
            if json.dumps(said) == written:
                return content
    return None


def _backups(path: Path) -> Iterator[Path]:
    """All backups that versions of this program have made, the current kind first."""
    yield own_backup(path)
    with suppress(OSError):
        beside = [p for p in path.parent.iterdir() if p.name.startswith(f"{path.name}.")]
        yield from sorted((p for p in beside if p.suffix == BACKUP_SUFFIX), reverse=True)


def _put_in_place(before: SettingsFile, after: bytes | None, replace: Replace) -> Path | None:
    """Back the file up if needed, and replace it; return the backup if one was made."""
    path = before.path
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        make_private(str(path.parent))
        backup = None if after is None else _back_up(before)
        if after is not None:
            _write_beside(path, draft, after)
        if _content(path) != before.content:
            raise HookSettingsError(
                f"Another program changed {path} at the same moment, so this command changed "
                "nothing: run it again."
            )
        if after is None:
            path.unlink()
        else:
            replace(draft, path)
        flush_directory(str(path.parent))
    except OSError as error:
        raise HookSettingsError(
            f"{path} could not be written ({error.strerror or error}); nothing was changed."
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    # A running Claude Code may have written its own copy of the settings.
    if _content(path) != after:
        kept = f"; the previous version is in {backup}" if backup else ""
        raise HookSettingsError(
            f"{path} does not contain what was written to it: another program, perhaps a running "
            f"Claude Code, wrote its own copy{kept}; run the command again."
        )
    return backup


def _back_up(before: SettingsFile) -> Path | None:
    """Back the file up, unless a backup without our entries exists already."""
    if before.content is None:
        return None
    without_ours = entries.remove(before.settings, None)
    is_ours = without_ours != before.settings
    if is_ours and _kept_bytes(before.path, without_ours) is not None:
        return None
    backup = own_backup(before.path)
    draft = backup.with_name(f"{backup.name}.{os.getpid()}.tmp")
    _write_beside(before.path, draft, before.content)
    draft.replace(backup)
    return backup


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write_beside(original: Path, path: Path, content: bytes) -> None:
    """Write a file with the mode and owner of the original; private if it is new."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if original.exists():
                wanted = original.stat()
                os.fchown(descriptor, wanted.st_uid, wanted.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(wanted.st_mode))
            os.fsync(descriptor)
    except BaseException:
        path.unlink()
        raise


def _written_like(content: bytes | None, wanted: Settings) -> bytes:
    """Write the settings in the file's style: indentation, line ends, BOM, last newline."""
    text = "{\n  \n}\n" if content is None else content.decode("utf-8")
    found = re.search(r"[{\[]\r?\n([ \t]+)", text)
    indentation = found[1] if found else "  "
    written = json.dumps(wanted, indent=indentation, ensure_ascii=False)
    if re.search("[\ud800-\udfff]", written):  # a lone surrogate, which is escaped in the file
        written = json.dumps(wanted, indent=indentation)
    if text.endswith("\n"):
        written += "\n"
    if "\r\n" in text:
        written = written.replace("\n", "\r\n")
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    return (mark + written).encode("utf-8")
