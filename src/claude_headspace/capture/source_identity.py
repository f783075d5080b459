"""How a file relates to a known source; docs/sources.md has the table.

`capture.sources` acts on the answer: a new generation, another path, the old file read to its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

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


@dataclass(frozen=True, slots=True)
class Identity:
    """A source as it was last read: its row, path, file and generation.

    `file` is None before anything was read. `generation` counts rewrites of the file; the checksum
    in the row is that of the current content.
    """

    row: int
    path: str
    file: FileId | None
    generation: int

    @classmethod
    def of(cls, stored: StoredSource) -> Identity:
        """The identity in a row."""
        device, inode = stored.checkpoint.device, stored.checkpoint.inode
        file = None if device is None or inode is None else (device, inode)
        return cls(stored.id, stored.path, file, stored.generation)


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that may be a known source.

    `stays`: the source's own file is still at the source's path.
    """

    path: str
    file: FileId
    contents: Contents
    stays: bool = False


def transition(known: Identity, seen: Seen) -> Transition:
    """What happened to a source, as a file shows it; a deleted source shows no file."""
    is_own = known.file in (None, seen.file)
    if seen.path == known.path:
        return _in_place(is_own, seen.contents)
    if not is_own or seen.contents != "same":
        return Transition.UNRELATED
    return Transition.COPIED if seen.stays else Transition.RENAMED


def _in_place(is_own: bool, contents: Contents) -> Transition:
    if contents == "same":
        return Transition.APPENDED if is_own else Transition.RETURNED
    if not is_own:
        return Transition.REPLACED
    return Transition.TRUNCATED if contents == "shorter" else Transition.REWRITTEN
