"""What happened, newest first: events under readable names, with tool calls and results.

Reads stretches of time from the newest back, each completely before the next, until a page is
full or the time is up; the next page continues further back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from claude_headspace.errors import QuestionTooLong
from claude_headspace.read.buckets import Buckets
from claude_headspace.read.connection import Reader
from claude_headspace.read.happening_kinds import (
    ACTORS,
    CALL_KINDS,
    CALL_ROWS,
    EVENT_ROWS,
    KINDS,
    RESULT_ROWS,
)
from claude_headspace.read.paging import (
    PAGE_ROWS,
    Cursor,
    Limit,
    Moment,
    Page,
    page_of,
    read_cursor,
    write_cursor,
)
from claude_headspace.read.selection import find_session
from claude_headspace.read.stretches import stretches_of

COUNT_SECONDS = 2.0
# Joined last, when few rows are left.
_PLACED = " h LEFT JOIN agents s ON s.id = h.agent_id LEFT JOIN places p ON p.id = s.project_id"


class HappeningQuestion(Struct, frozen=True):
    """A filter of happenings; empty means any. `log`: only events of the log.

    A value that begins with "-" is excluded.
    """

    q: str = ""
    type: tuple[str, ...] = ()
    actor: tuple[str, ...] = ()
    project: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    session: str = ""
    since: Moment | None = None
    until: Moment | None = None
    log: bool = False
    cursor: Cursor | None = None
    limit: Limit = PAGE_ROWS


@dataclass(frozen=True, slots=True)
class Happening:
    """One row; for a call or its result, `text` is the JSON of its input."""

    key: str
    at: datetime
    kind: str
    actor: str
    text: str
    agent_id: int | None
    session: str
    event_id: int | None
    tool: str | None
    call_id: str | None
    seconds: float | None
    size: int | None
    project: str | None
    directory: str | None
    host: str | None


_COLUMNS = (
    "h.key, h.at, h.kind, h.actor, h.text, h.agent_id, h.session_uuid::text, h.event_id, h.tool,"
    " h.call_id, h.seconds, h.size, p.path, s.working_directory, p.host"
)


def list_happenings(reader: Reader, asked: HappeningQuestion) -> Page[Happening]:
    """A page, newest first; a page that is not full may still have a next one."""
    branches, conditions, values = _source(reader, asked)
    before = read_cursor(asked.cursor, datetime, str) if asked.cursor else None
    more = " AND (h.at, h.key) < (%(at)s, %(key)s)" if before else ""
    values["at"], values["key"] = before or (None, None)
    newest = "ORDER BY h.at DESC, h.key DESC LIMIT %(rows)s"
    parts = [f"(SELECT * FROM ({each}) h WHERE {conditions}{more} {newest})" for each in branches]
    page = f"SELECT * FROM ({' UNION ALL '.join(parts)}) h {newest}"
    statement = f"SELECT {_COLUMNS} FROM ({page}){_PLACED} ORDER BY h.at DESC, h.key DESC"
    found: list[Happening] = []
    # Without filters the indexes have the order of the page, so that a page is found at once.
    whole = bool(asked.session) or not any(getattr(asked, name) for name in ("q", *FACETS))
    stretches = stretches_of(reader, asked.since, asked.until, values["at"], whole=whole)
    for lo, hi in stretches:
        values |= {"lo": lo, "hi": hi, "rows": asked.limit + 1 - len(found)}
        found += [Happening(*row) for row in stretches.rows(reader, statement, values)]
        if len(found) > asked.limit:
            break
    rows = page_of(found, asked.limit, lambda row: (row.at, row.key))
    if rows.next or not stretches.unfinished:
        return rows
    return Page(rows.rows, write_cursor((stretches.reached, "")))


def _source(reader: Reader, asked: HappeningQuestion) -> tuple[list[str], str, dict[str, Any]]:
    """Statements about the time from %(lo)s to %(hi)s, conditions for all of them, and values."""
    kinds = set(_apart(asked.type)[0])
    branches = [EVENT_ROWS] if not kinds or kinds - CALL_KINDS else []
    if not asked.log and (not kinds or CALL_KINDS & kinds):
        branches += [CALL_ROWS, RESULT_ROWS]
    conditions = ["true"]
    values: dict[str, Any] = {"projects": None, "session": None, "agent": None}
    for name, column in (("type", "h.kind"), ("actor", "h.actor")):
        wanted, unwanted = _apart(getattr(asked, name))
        conditions.append(f"(%({name})s = '{{}}' OR {column} = ANY (%({name})s))")
        conditions.append(f"{column} <> ALL (%(no_{name})s)")
        values |= {name: wanted, f"no_{name}": unwanted}
    if asked.project or asked.host:
        (path, no_path), (host, no_host) = _apart(asked.project), _apart(asked.host)
        places = {"path": path, "no_path": no_path, "host": host, "no_host": no_host}
        values["projects"] = [row[0] for row in reader.rows(_PROJECTS, places)]
    if asked.session:
        session = find_session(reader, asked.session)
        values["session"], values["agent"] = session.uuid, session.agent_id
    for number, word in enumerate(asked.q.split()):
        conditions.append(f"strpos(lower(h.text), %(word{number})s) > 0")
        values[f"word{number}"] = word.lower()
    return branches or [EVENT_ROWS + " AND false"], " AND ".join(conditions), values


def _apart(values: Sequence[str]) -> tuple[list[str], list[str]]:
    """The values to include, and those to exclude."""
    unwanted = [value[1:] for value in values if value.startswith("-")]
    return [value for value in values if not value.startswith("-")], unwanted


# No value means all of them.
_PROJECTS = (
    "SELECT id FROM places WHERE (%(path)s = '{}' OR path = ANY (%(path)s))"
    " AND path <> ALL (%(no_path)s)"
    " AND (%(host)s = '{}' OR host = ANY (%(host)s)) AND host <> ALL (%(no_host)s)"
)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a stretch of time: all and failed in each part, and by facet."""

    counts: list[int]
    failed: list[int]
    facets: dict[str, dict[str, int]]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts)


FACETS: tuple[Literal["type", "actor", "project", "host"], ...] = (
    "type", "actor", "project", "host",
)  # fmt: skip


def tally(reader: Reader, asked: HappeningQuestion, buckets: Buckets) -> Tally | None:
    """Counts of what happened in a stretch of time, whatever the filter's own times.

    None if that takes too long.
    """
    branches, conditions, values = _source(reader, asked)
    source = f" FROM ({' UNION ALL '.join(branches)}) h WHERE {conditions}"
    try:
        rows = reader.rows(
            "SELECT part, kind, actor, p.path, p.host, sum(number)::int FROM (SELECT"
            " width_bucket(h.at, %(edges)s::timestamptz[]) AS part, h.kind, h.actor, h.agent_id,"
            f" count(*) AS number{source} GROUP BY 1, 2, 3, 4){_PLACED} GROUP BY 1, 2, 3, 4, 5",
            {**values, "edges": list(buckets.edges), "lo": buckets.start, "hi": buckets.end},
            COUNT_SECONDS,
        )
    except QuestionTooLong:
        return None
    facets: dict[str, dict[str, int]] = {name: {} for name in FACETS}
    for row in rows:
        for name, value in zip(FACETS, row[1:5], strict=True):
            if value is not None:
                facets[name][value] = facets[name].get(value, 0) + row[5]
    return Tally(
        buckets.spread([(row[0], row[5]) for row in rows]),
        buckets.spread([(row[0], row[5]) for row in rows if row[1] == "tool failed"]),
        {name: _sorted(name, counts) for name, counts in facets.items()},
    )


def _sorted(name: str, counts: dict[str, int]) -> dict[str, int]:
    order: Sequence[str] = {"type": KINDS, "actor": ACTORS}.get(name, ())
    if order:
        return {
            value: counts.get(value, 0) for value in order if name == "actor" or value in counts
        }
    return dict(sorted(counts.items(), key=lambda item: -item[1])[:12])
