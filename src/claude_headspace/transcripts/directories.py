"""The directory in which a session was started, and its project."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from marshmallow import ValidationError

from claude_headspace.events.payloads import parse_instant
from claude_headspace.transcripts.records import quick_record
from claude_headspace.transcripts.source_file import SourceFile

FIRST_DIRECTORY_BYTES = 256 * 1024
# Where Claude Code creates worktrees of a repository.
_WORKTREES = "/.claude/worktrees/"


class SeenDirectory(NamedTuple):
    """A directory that a line names, and the line's time."""

    path: str
    when: datetime


def repository_of(directory: str) -> str:
    """The repository of a directory: a worktree belongs to the one in which it was created."""
    repository, found, name = directory.partition(_WORKTREES)
    return repository if found and repository and name.strip("/") else directory


def first_directory(path: str, session: UUID) -> SeenDirectory | None:
    """The first directory that the file names for the session; None if it is not found soon."""
    try:
        with closing(SourceFile(path)) as file:
            start = file.begin(0, FIRST_DIRECTORY_BYTES)
    except OSError:
        return None
    return next(filter(None, (_directory(line, session) for line in start.split(b"\n"))), None)


def _directory(line: bytes, session: UUID) -> SeenDirectory | None:
    record = quick_record(line)
    if not (record and record.cwd and record.timestamp and record.sessionId):
        return None
    if record.sessionId.lower() != str(session):
        return None
    try:
        return SeenDirectory(record.cwd, parse_instant(record.timestamp))
    except ValidationError:
        return None
