"""How a file relates to a known source; docs/sources.md has the table.

`capture.sources` acts on the answer: a new generation, another path, the old file read to its end.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from claude_headspace.store.checkpoints import StoredSource
from claude_headspace.transcripts.source_file import Contents

# Device and inode.
FileId = tuple[int, int]


class SourceChange(Enum):
    """What happened to a source."""

    APPENDED = "was appended to"
    TRUNCATED = "was truncated"
    REWRITTEN = "was rewritten"
    REPLACED = "was replaced by another file"
    RETURNED = "came back as another file"
    RENAMED = "was renamed"
    COPIED = "has another name"
    UNRELATED = "is another file"

    @property
    def begins_generation(self) -> bool:
        """Whether the file must be read from its first byte."""
        return self in (SourceChange.TRUNCATED, SourceChange.REWRITTEN, SourceChange.REPLACED)


class Identity(NamedTuple):
    """A source as it was last read: its path, and its file, which is None if nothing was read."""

    path: str
    file: FileId | None

    @classmethod
    def of(cls, stored: StoredSource) -> Identity:
        """The identity in a row."""
        device, inode = stored.checkpoint.device, stored.checkpoint.inode
        return cls(stored.path, None if device is None or inode is None else (device, inode))


class Seen(NamedTuple):
    """A file that may be a known source; `stays`: its own file is still at the source's path."""

    path: str
    file: FileId
    contents: Contents
    stays: bool = False


def change_of(known: Identity, seen: Seen) -> SourceChange:
    """What happened to a source, as a file shows it; a deleted source shows no file."""
    is_own = known.file in (None, seen.file)
    if seen.path == known.path:
        if seen.contents == "same":
            return SourceChange.APPENDED if is_own else SourceChange.RETURNED
        if not is_own:
            return SourceChange.REPLACED
        return SourceChange.TRUNCATED if seen.contents == "shorter" else SourceChange.REWRITTEN
    if not is_own or seen.contents != "same":
        return SourceChange.UNRELATED
    return SourceChange.COPIED if seen.stays else SourceChange.RENAMED
