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


class Transition(Enum):
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
        return self in (Transition.TRUNCATED, Transition.REWRITTEN, Transition.REPLACED)


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


def transition(known: Identity, seen: Seen) -> Transition:
    """What happened to a source, as a file shows it; a deleted source shows no file."""
    is_own = known.file in (None, seen.file)
    if seen.path == known.path:
        if seen.contents == "same":
            return Transition.APPENDED if is_own else Transition.RETURNED
        if not is_own:
            return Transition.REPLACED
        return Transition.TRUNCATED if seen.contents == "shorter" else Transition.REWRITTEN
    if not is_own or seen.contents != "same":
        return Transition.UNRELATED
    return Transition.COPIED if seen.stays else Transition.RENAMED
