"""How much of a session is captured: its files, and the lines counted in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from claude_headspace.read.connection import Reader

_SOURCES = (
    "SELECT path, machine::text, coalesce((SELECT label FROM machines m WHERE m.id = machine),"
    " left(machine::text, 8)), committed_offset, coalesce((counts->>'lines')::bigint, 0),"
    " coalesce((SELECT sum(value::bigint) FROM jsonb_each_text(counts->'rejected')), 0)::bigint"
    " FROM checkpoints WHERE sessions @> ARRAY[%s::uuid] ORDER BY id"
)
TAIL_BYTES = 64_000
_FACTS = {
    "Client": re.compile(rb'"version":"([^"\\]{1,40})"'),
    "Branch": re.compile(rb'"gitBranch":"([^"\\]{1,200})"'),
}


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the session; `on_disk` is -1 if it is gone, None if it is on another machine."""

    path: str
    machine: str
    host: str
    read_bytes: int
    lines: int
    lost: int
    on_disk: int | None = None


@dataclass(frozen=True, slots=True)
class SessionFiles:
    """The files of a session, with sums; `facts`: branch and client, by its newest line.

    `lost`: lines that could not be read completely; they are stored as dead letters. `unread`:
    bytes on disk that have not been read yet. `gone`: its main file, the first that was read, no
    longer exists.
    """

    sources: tuple[Source, ...]
    facts: Mapping[str, str]
    lines: int
    lost: int
    unread: int
    gone: bool


def files_of(reader: Reader, session: str) -> SessionFiles:
    """The files of a session."""
    sources = tuple(
        replace(source, on_disk=_size(source.path) if source.machine == reader.machine else None)
        for source in reader.fetch(Source, _SOURCES, [session])
    )
    main = sources[0] if sources else None
    return SessionFiles(
        sources, _facts(main.path, main.read_bytes) if main and main.on_disk else {},
        sum(each.lines for each in sources), sum(each.lost for each in sources),
        sum(max(0, (each.on_disk or 0) - each.read_bytes) for each in sources),
        main is not None and main.on_disk == -1,
    )  # fmt: skip


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
    """Branch and version from the last complete line that has them."""
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, read_bytes - TAIL_BYTES))
            tail = file.read(TAIL_BYTES)
    except (OSError, ValueError):
        return {}
    found = {title: pattern.findall(tail) for title, pattern in _FACTS.items()}
    return {title: each[-1].decode("utf-8", "replace") for title, each in found.items() if each}


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return -1
