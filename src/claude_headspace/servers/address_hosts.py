"""The hosts of a database address, to be tried in order.

libpq can try a list of hosts itself, but on an asynchronous connection without a time limit: it
would wait for ever for a first host that is frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from psycopg2.extensions import make_dsn, parse_dsn

from claude_headspace.address import told_by_driver
from claude_headspace.errors import DatabaseUnavailable

Opened = TypeVar("Opened")

# For each of several hosts; an address may say `connect_timeout`.
CONNECT_SECONDS = 5.0
_LISTS = ("host", "hostaddr", "port")


class AddressHost(NamedTuple):
    """One host's own address; `seconds`: how long to wait for it, None for no limit."""

    dsn: str
    seconds: float | None = None


def hosts_of(address: str) -> list[AddressHost]:
    """Each host of the address, in order; of several, only one that accepts writes is suitable."""
    given = parse_dsn(address)
    lists = {name: given[name].split(",") for name in _LISTS if given.get(name)}
    count = max((len(lists.get(name, ())) for name in ("host", "hostaddr")), default=0)
    if count < 2:
        return [AddressHost(address)]
    seconds = float(given.get("connect_timeout") or 0) or CONNECT_SECONDS
    shared = {"target_session_attrs": "read-write", **given}
    # A single port applies to all hosts.
    each = {name: of if len(of) > 1 else of * count for name, of in lists.items()}
    parts = ({name: of[number] for name, of in each.items()} for number in range(count))
    return [AddressHost(make_dsn(**{**shared, **own}), seconds) for own in parts]


def open_first(
    address: str, open_host: Callable[[AddressHost], Opened], passed: tuple[type[Exception], ...]
) -> Opened:
    """What `open_host` returns for the first host at which it raises none of `passed`.

    Otherwise raises DatabaseUnavailable with the errors of all hosts, or the error of the only one.
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
