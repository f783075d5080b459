"""How whole a session is kept: its lines by the accounting of its files, and the files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from claude_headspace.read.connection import Reader

_SOURCES = (
    "SELECT path, machine::text, coalesce((SELECT label FROM machines m WHERE m.id = machine),"
    " left(machine::text, 8)), committed_offset, coalesce((counts->>'lines')::bigint, 0),"
    " coalesce((counts->>'duplicates')::bigint, 0),"
    " coalesce((SELECT sum(value::bigint) FROM jsonb_each_text(counts->'rejected')), 0)::bigint,"
    " updated_at FROM checkpoints WHERE sessions @> ARRAY[%s::uuid] ORDER BY id"
)
TAIL_BYTES = 64_000
_FACTS = {
    "Client": re.compile(rb'"version":"([^"\\]{1,40})"'),
    "Branch": re.compile(rb'"gitBranch":"([^"\\]{1,200})"'),
}


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the session; `on_disk` is None where this machine cannot see it."""

    path: str
    machine: str
    host: str
    read_bytes: int
    lines: int
    repeated: int
    lost: int
    read_at: datetime
    on_disk: int | None = None

    @property
    def gone(self) -> bool:
        """Whether the file is not there any more."""
        return self.on_disk == -1


@dataclass(frozen=True, slots=True)
class Kept:
    """The files of a session, with sums; `facts`: branch and client, by its newest line."""

    sources: tuple[Source, ...]
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def lines(self) -> int:
        """Lines that were written."""
        return sum(source.lines for source in self.sources)

    @property
    def lost(self) -> int:
        """Lines of which something could not be read; their bytes are kept."""
        return sum(source.lost for source in self.sources)

    @property
    def unread(self) -> int:
        """Bytes on disk that were not read yet."""
        return sum(max(0, (source.on_disk or 0) - source.read_bytes) for source in self.sources)

    @property
    def gone(self) -> bool:
        """Whether its main file, the first that was read, is not there any more."""
        return bool(self.sources) and self.sources[0].gone


def kept_of(reader: Reader, session: str) -> Kept:
    """What is known of the files of a session."""
    sources = tuple(
        replace(source, on_disk=_size(source.path) if source.machine == reader.machine else None)
        for source in reader.fetch(Source, _SOURCES, [session])
    )
    main = sources[0] if sources and sources[0].on_disk else None
    return Kept(sources, _facts(main.path, main.read_bytes) if main else {})


_MAIN_FILES = (
    "SELECT DISTINCT ON (session) session::text, path, committed_offset FROM checkpoints,"
    " unnest(sessions) AS session WHERE sessions && %(these)s::uuid[]"
    " AND session = ANY (%(these)s::uuid[]) AND machine = %(machine)s::uuid ORDER BY session, id"
)


def branches_of(reader: Reader, sessions: Sequence[str]) -> dict[str, str]:
    """The branch of each session whose file is on this machine."""
    rows = reader.rows(_MAIN_FILES, {"these": list(sessions), "machine": reader.machine})
    told = {row[0]: _facts(row[1], row[2]).get("Branch", "") for row in rows}
    return {session: branch for session, branch in told.items() if branch}


@lru_cache(maxsize=500)
def _facts(path: str, read_bytes: int) -> Mapping[str, str]:
    """What the last whole line says that has a branch or a version."""
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, read_bytes - TAIL_BYTES))
            tail = file.read(TAIL_BYTES)
    except (OSError, ValueError):
        return {}
    found = {}
    for title, pattern in _FACTS.items():
        if values := pattern.findall(tail):
            found[title] = values[-1].decode("utf-8", "replace")
    return found


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return -1
