"""The session and the place of a file, derived from its path."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from uuid import UUID

_SESSION = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def owners(path: str, sessions: Collection[UUID]) -> frozenset[UUID]:
    """The sessions that a transcript belongs to: by its path, else by the sessions of its lines."""
    stems = [part.split(".", 1)[0] for part in path.split(os.sep)]
    named = [UUID(stem) for stem in stems if _SESSION.fullmatch(stem)]
    if not named:
        return frozenset(sessions)
    return frozenset([next((each for each in named if each in sessions), named[-1])])


def folder_of(path: str) -> tuple[str, UUID] | None:
    """The folder of a session's sidecars, from its main transcript's path; None for other files."""
    stem, extension = os.path.splitext(path)
    name = os.path.basename(stem)
    return (stem, UUID(name)) if extension and _SESSION.fullmatch(name) else None


def place_below_root(path: str, session: UUID) -> str:
    """The path of a session's file below the folder of all projects."""
    parts = path.split(os.sep)
    own = (n for n, part in enumerate(parts) if part.startswith(str(session)))
    return os.sep.join(parts[max(0, next(own, len(parts) - 1) - 1) :])
