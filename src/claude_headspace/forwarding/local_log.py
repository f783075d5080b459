"""The machine's own log: its rows that are not in the central log yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from claude_headspace.errors import CursorAhead
from claude_headspace.forwarding.pushed_tables import EVENTS, PARENTS, TABLES, PushedTable
from claude_headspace.store.connection import Database
from claude_headspace.store.follower import Follower

PAGE_ROWS = 1000
PAGE_BYTES = 2_000_000
_NOTE = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    EXECUTE format('INSERT INTO forward_due (kind, key) SELECT %L, jsonb_build_object(%s)'
        ' FROM {rows} ON CONFLICT (kind, key) DO UPDATE SET seq = excluded.seq',
        TG_TABLE_NAME, TG_ARGV[0]);
    RETURN NULL;
END $$
"""
_FUNCTIONS = (
    _NOTE.format(function="forwards_changes", rows="new_rows"),
    _NOTE.format(function="forwards_deletions", rows="old_rows"),
)
_TRIGGER = (
    "CREATE OR REPLACE TRIGGER forward_{event} AFTER {event} ON {table}"
    " REFERENCING {rows} TABLE AS {rows}_rows FOR EACH STATEMENT EXECUTE FUNCTION {function}({key})"
)
_TRIGGERS = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'forward\\_%'"
_ALL = (
    "INSERT INTO forward_due (kind, key) SELECT '{table}', jsonb_build_object({key}) FROM {table}"
    " WHERE {which} ON CONFLICT DO NOTHING"
)
_DUE = (
    "(SELECT {place} AS place, '{table}' AS kind, d.seq, d.key, to_jsonb(t) AS row FROM"
    " (SELECT seq, key FROM forward_due WHERE kind = '{table}' ORDER BY seq LIMIT {page}) d"
    " LEFT JOIN {table} t ON ({names}) = ({values}){which})"
)
# Events come between the rows to which they refer and all others.
_NEW = (
    "(SELECT {place} AS place, 'events' AS kind, e.id AS seq, NULL::jsonb AS key,"
    " to_jsonb(e) AS row FROM events e WHERE e.id > %(event_id)s AND e.id <= %(horizon)s"
    " ORDER BY e.id LIMIT {page})"
)
_CUT = (
    "SELECT kind, seq, key::text, row::text FROM (SELECT *, sum(octet_length(row::text))"  # noqa: S608
    " OVER (ORDER BY place, seq) - octet_length(row::text) AS before,"
    " row_number() OVER (ORDER BY place, seq) AS number FROM ({rows}) due) page"
    f" WHERE coalesce(before, 0) < {PAGE_BYTES} AND number <= {PAGE_ROWS} ORDER BY place, seq"
)


class Due(NamedTuple):
    """A row as JSON, or None if it is gone; without a key it is a new event."""

    table: str
    seq: int
    key: str | None
    row: str | None


@dataclass(frozen=True, slots=True)
class NewRows:
    """Rows to write together; `reached` is the id of the last new event among them."""

    due: Sequence[Due]
    reached: int


class LocalLog:
    """Reads rows that are due, and records those that have arrived."""

    def __init__(self, database: Database, origin: str) -> None:
        self._database = database
        self._origin = origin
        self._follower: Follower | None = None

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def begin(self, event_id: int, pages: int) -> None:
        """Continue after what the central log has; if that was reset, everything is due."""
        triggers = list(_triggers())
        if self._database.execute(_TRIGGERS)[0][0] < len(triggers):
            for statement in (*_FUNCTIONS, *triggers):
                self._database.execute(statement)
        known = self._database.execute(
            "SELECT pages FROM forwarders WHERE origin = %s", (self._origin,)
        )
        if not pages or pages < (known[0][0] if known else 0):
            self._all_due(event_id)
        self._follow(event_id)

    def _all_due(self, event_id: int) -> None:
        for table in TABLES:
            which = f"id <= {event_id}" if table is EVENTS else "true"
            self._database.execute(_ALL.format(table=table.name, key=_pairs(table), which=which))

    def _follow(self, event_id: int) -> None:
        # It only finds out how far ids are final.
        self._follower = Follower(self._database, event_id, types=())
        self.event_id = event_id

    def read(self) -> NewRows:
        """The rows that are due now, if any; they are on disk, so that no crash can undo them.

        Other rows would then get their ids.
        """
        horizon = self._horizon()
        asked = {"event_id": self.event_id, "horizon": horizon}
        found = [Due(*row) for row in self._database.execute(_PAGE, asked)]
        new = [due.seq for due in found if due.key is None]
        if found:
            self._database.flush()
        return NewRows(found, new[-1] if new else self.event_id)

    def _horizon(self) -> int:
        assert self._follower is not None  # noqa: S101  begun before
        try:
            return self._follower.read().cursor
        except CursorAhead:
            # This log was reset, for example by a backup: rows in both logs are overwritten.
            self._all_due(0)
            self._follow(0)
            return self._follower.read().cursor

    def arrived(self, page: NewRows, pages: int) -> None:
        """Record that the rows of a page are in the central log, unless they changed since."""
        self.event_id = page.reached
        seqs = [due.seq for due in page.due if due.key is not None]
        self._database.execute(
            "WITH done AS (DELETE FROM forward_due WHERE seq = ANY (%s::bigint[]))"
            " INSERT INTO forwarders (origin, event_id, pages) VALUES (%s, %s, %s)"
            " ON CONFLICT (origin) DO UPDATE SET event_id = excluded.event_id,"
            " pages = excluded.pages, updated_at = clock_timestamp()",
            (seqs, self._origin, page.reached, pages),
        )

    def wait(self, seconds: float) -> None:
        """Wait until something is written, at most this long."""
        if self._follower is not None:
            self._follower.listen()
            self._follower.wait(seconds)


def _pairs(table: PushedTable) -> str:
    return ", ".join(f"'{name}', {name}" for name in table.key)


def _triggers() -> Iterator[str]:
    for table in TABLES:
        key = "'" + _pairs(table).replace("'", "''") + "'"
        for event in ("insert", "update", "delete"):
            if table is EVENTS and event == "insert":
                continue
            rows, function = ("old", "deletions") if event == "delete" else ("new", "changes")
            yield _TRIGGER.format(
                event=event, table=table.name, rows=rows, function=f"forwards_{function}", key=key
            )


def _page() -> str:
    def due(place: int, table: PushedTable) -> str:
        values = ", ".join(f"(d.key ->> '{name}')::{of}" for name, of in table.key.items())
        # New events are found by their ids.
        which = " WHERE t.id IS NULL OR t.id <= %(event_id)s" if table is EVENTS else ""
        names = table.names("t.")
        return _DUE.format(
            place=place, table=table.name, page=table.page, names=names, values=values, which=which
        )

    new = _NEW.format(place=len(PARENTS), page=EVENTS.page)
    rows = [due(place + (place >= len(PARENTS)), table) for place, table in enumerate(TABLES)]
    return _CUT.format(rows=" UNION ALL ".join([*rows, new]))


_PAGE = _page()
