"""The hosts of a database's address, to be tried one after the other.

libpq walks a list of hosts by itself, but on an asynchronous connection without any limit of
time: a first host that is frozen would never be left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from psycopg2.extensions import make_dsn, parse_dsn

from claude_headspace.address import told_by_driver
from claude_headspace.errors import DatabaseUnavailable

Opened = TypeVar("Opened")

# For each of several hosts; an address may say `connect_timeout`.
CONNECT_SECONDS = 5.0

_LISTS = ("host", "hostaddr", "port")


@dataclass(frozen=True, slots=True)
class Host:
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


def open_first(
    address: str, open_host: Callable[[Host], Opened], passed: tuple[type[Exception], ...]
) -> Opened:
    """What is opened at the first host that will do; an error of these goes on to the next.

    Raises DatabaseUnavailable, which names them all; what only one host has to say it says itself.
    """
    hosts = hosts_of(address)
    problems: dict[str, None] = {}
    for host in hosts:
        try:
            return open_host(host)
        except passed as error:
            if len(hosts) == 1 and type(error) is not DatabaseUnavailable:
                raise
            problems[told_by_driver(error)] = None
    raise DatabaseUnavailable(f"the database cannot be reached: {'; '.join(problems)}")


def _of(lists: dict[str, list[str]], number: int) -> dict[str, str]:
    """What the lists say of one host; a single port is every host's."""
    return {
        name: values[number] if len(values) > 1 else values[0] for name, values in lists.items()
    }
