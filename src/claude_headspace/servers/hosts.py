"""The hosts of a database's address, to be tried one after the other.

libpq walks a list of hosts by itself, but on an asynchronous connection without any limit of
time: a first host that is frozen would never be left.
"""

from __future__ import annotations

from typing import NamedTuple

from psycopg2.extensions import make_dsn, parse_dsn

# For each of several hosts; an address may say `connect_timeout`.
CONNECT_SECONDS = 5.0

_LISTS = ("host", "hostaddr", "port")


class Host(NamedTuple):
    """One host's own address; `seconds`: how long to wait for it, None for as long as ever."""

    dsn: str
    seconds: float | None = None


def hosts_of(address: str) -> list[Host]:
    """Each host of the address alone, in order; of several only one that takes writes will do."""
    given = parse_dsn(address)
    lists = {name: given[name].split(",") for name in _LISTS if given.get(name)}
    count = max((len(lists.get(name, ())) for name in ("host", "hostaddr")), default=0)
    if count < 2:
        return [Host(address)]
    seconds = float(given.get("connect_timeout") or 0) or CONNECT_SECONDS
    shared = {"target_session_attrs": "read-write", **given}
    return [Host(make_dsn(**{**shared, **_of(lists, number)}), seconds) for number in range(count)]


def _of(lists: dict[str, list[str]], number: int) -> dict[str, str]:
    """What the lists say of one host; a single port is every host's."""
    return {
        name: values[number] if len(values) > 1 else values[0] for name, values in lists.items()
    }
