"""The central log: writes pages of a machine, each in one transaction with its cursor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from claude_headspace.forwarding.local_log import Due, NewRows
from claude_headspace.forwarding.pushed_tables import TABLES, PushedTable
from claude_headspace.store.connection import Database
from claude_headspace.store.precondition import Precondition
from claude_headspace.store.writer import NOTIFICATION

_COLUMNS = (
    "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position)"
    " FROM information_schema.columns WHERE table_schema = current_schema() GROUP BY 1"
)
_ID = (
    "(SELECT m.id FROM forwarded_ids m WHERE m.origin = %(origin)s AND m.kind = '{kind}'"
    " AND m.local_id = {value})"
)
_GIVEN = "SELECT * FROM jsonb_populate_recordset(NULL::{table}, %(rows)s::jsonb)"
_WRITE = (
    "INSERT INTO {table} AS old ({columns}) SELECT {values} FROM given r WHERE {possible}"
    " ON CONFLICT ({key}) DO UPDATE SET ({columns}) = ROW ({excluded}){where}"
)
_NUMBER = (
    "WITH given AS ({given}), new AS ({write} RETURNING *)"
    " INSERT INTO forwarded_ids (origin, kind, local_id, id)"
    " SELECT %(origin)s, '{kind}', given.id, new.id FROM given JOIN new USING ({key})"
    " ON CONFLICT (origin, kind, local_id) DO UPDATE SET id = excluded.id"
)
# A renamed file is still the same source.
_RENAME = (
    "UPDATE {table} old SET path = r.path FROM ({given}) r JOIN forwarded_ids m"
    " ON m.origin = %(origin)s AND m.kind = 'sources' AND m.local_id = r.id"
    " WHERE old.id = m.id AND old.path <> r.path AND NOT EXISTS"
    " (SELECT FROM {table} o WHERE o.machine = r.machine AND o.path = r.path)"
)
# With partitions, the key of events includes the time: each event first gets its new time.
_PARTITIONED = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'events'::regclass"
_MOVE = (
    "UPDATE events old SET timestamp = r.timestamp FROM ({given}) r WHERE {same}"
    " AND old.source_id IS NOT DISTINCT FROM {source}"
)
_OTHERWISE = (
    "old.event_key = r.event_key AND old.session_uuid = r.session_uuid"
    " AND old.timestamp <> r.timestamp"
)
_DELETE = "DELETE FROM {table} t USING ({given}) r WHERE ({names}) = ({values})"
_CURSOR = (
    "INSERT INTO forwarders (origin, event_id, pages) VALUES (%(origin)s, %(event_id)s, %(pages)s)"
    " ON CONFLICT (origin) DO UPDATE SET event_id = excluded.event_id, pages = excluded.pages,"
    " updated_at = clock_timestamp()"
)


class CentralLog:
    """Writes over one connection, as long as it lasts."""

    def __init__(self, database: Database, origin: str) -> None:
        self._database = database
        self._origin = origin
        self._columns: Mapping[str, Sequence[str]] = {}
        self._partitioned = False
        self._precondition: Precondition | None = None
        self.pages = 0

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def begin(self) -> tuple[int, int]:
        """Connect; returns the id up to which all events are here, and the number of pages."""
        self._database.connect()
        self._precondition = self._database.precondition()
        self._columns = dict(self._database.execute(_COLUMNS))
        self._partitioned = self._database.execute(_PARTITIONED)[0][0]
        rows = self._database.execute(
            "SELECT event_id, pages FROM forwarders WHERE origin = %s", (self._origin,)
        )
        event_id, self.pages = rows[0] if rows else (0, 0)
        return event_id, self.pages

    def write(self, page: NewRows) -> None:
        """Write a page completely or not at all; it is on disk when this returns."""
        assert self._precondition is not None  # noqa: S101  begun before
        moved = {"origin": self._origin, "event_id": page.reached, "pages": self.pages + 1}
        statements = [
            *self._statements(page.due),
            self._database.mogrify(_CURSOR, moved),
            NOTIFICATION,
        ]
        self._database.store(statements, self._precondition, durably=True)
        self.pages += 1

    def _statements(self, due: Sequence[Due]) -> Iterator[str]:
        for table in TABLES:
            if rows := [each.row for each in due if each.table == table.name and each.row]:
                for statement in self._writing(table):
                    yield self._mogrified(statement, rows)
        for table in reversed(TABLES):
            gone = [
                each.key for each in due if each.table == table.name and each.key and not each.row
            ]
            if gone:
                yield self._mogrified(_deleting(table), gone)

    def _mogrified(self, statement: str, rows: Sequence[str]) -> str:
        values: dict[str, Any] = {"origin": self._origin, "rows": f"[{','.join(rows)}]"}
        return self._database.mogrify(statement, values)

    def _writing(self, table: PushedTable) -> Iterator[str]:
        columns = [
            name for name in self._columns[table.name]
            if (name != "id" or "id" in table.key) and name not in ("command_id", "turn_id")
        ]  # fmt: skip
        given = _GIVEN.format(table=table.name)
        possible = [f"{_value(table, name, 'r.')} IS NOT NULL" for name in table.needs] or ["true"]
        key = table.names()
        if table.name == "events" and self._partitioned:
            source = _value(table, "source_id", "r.")
            yield _MOVE.format(given=given, same=_OTHERWISE, source=source)
            possible.append(f"NOT EXISTS (SELECT FROM events old WHERE {_OTHERWISE})")
            key += ", timestamp"
        write = _WRITE.format(
            table=table.name,
            columns=", ".join(columns),
            values=", ".join(_value(table, name, "r.") for name in columns),
            possible=" AND ".join(possible),
            key=key,
            excluded=", ".join(f"excluded.{name}" for name in columns),
            # If two machines have a session, each event stays as it was first written.
            where=" WHERE old.source_id IS NOT DISTINCT FROM excluded.source_id"
            if table.name == "events"
            else "",
        )
        if table.numbers is None:
            yield f"WITH given AS ({given}) {write}"
            return
        if table.numbers == "sources":
            yield _RENAME.format(table=table.name, given=given)
        yield _NUMBER.format(given=given, write=write, kind=table.numbers, key=table.names())


def _value(table: PushedTable, name: str, prefix: str) -> str:
    refers = table.refers.get(name)
    return _ID.format(kind=refers, value=prefix + name) if refers else prefix + name


def _deleting(table: PushedTable) -> str:
    return _DELETE.format(
        table=table.name,
        given=_GIVEN.format(table=table.name),
        names=table.names("t."),
        values=", ".join(_value(table, name, "r.") for name in table.key),
    )
