"""Looks up names of database servers in threads: the system's look-up has no time limit.

libpq would look them up itself, and block our process for as long as a name server does not answer.
It does not if it is given addresses.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from psycopg2.extensions import make_dsn, parse_dsn

from claude_headspace.errors import DatabaseUnavailable

LOOKUP_SECONDS = 5.0
_SLICE_SECONDS = 0.1

Lookup: TypeAlias = Callable[[str], Sequence[str]]


def system_lookup(name: str) -> Sequence[str]:
    """The addresses of a name, in the system's order of preference; raises OSError."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Names:
    """Resolves the names in a database address, with a limit on every wait.

    While a look-up hangs, no second one is started for the same name.
    """

    def __init__(
        self, lookup: Lookup = system_lookup, limit_seconds: float = LOOKUP_SECONDS
    ) -> None:
        self._lookup = lookup
        self._limit = limit_seconds
        self._running: dict[str, _Answer] = {}

    def resolved(self, address: str, left: Callable[[float], float]) -> str:
        """The same address with numeric addresses beside its names.

        `left(started)`, called several times a second during a wait, says how many seconds more it
        may take. Raises DatabaseUnavailable if no name is resolved in time.
        """
        values = parse_dsn(address)
        hosts = (values.get("host") or os.environ.get("PGHOST", "")).split(",")
        if "hostaddr" in values or not any(map(_is_name, hosts)):
            return address
        port = str(values.get("port", ""))
        ports = port.split(",") if "," in port else [port] * len(hosts)
        answers = {host: self._ask(host) for host in hosts if _is_name(host)}
        self._wait(answers.values(), left)
        servers = [
            (host, found, own)
            for host, own in zip(hosts, ports, strict=False)
            for found in (answers[host].addresses if host in answers else [""])
        ]
        if not servers:
            raise DatabaseUnavailable("; ".join(answer.problem() for answer in answers.values()))
        host, hostaddr, own = map(",".join, zip(*servers, strict=True))
        return str(make_dsn(address, host=host, hostaddr=hostaddr, port=own if port else None))

    def _ask(self, name: str) -> _Answer:
        """The pending look-up, one that finished too late for its caller, or a new one."""
        answer = self._running.get(name)
        if answer is None:
            answer = self._running[name] = _Answer(name, self._lookup)
            answer.start()
        return answer

    def _wait(self, answers: Iterable[_Answer], left: Callable[[float], float]) -> None:
        started = time.monotonic()
        for answer in answers:
            while answer.is_alive():
                seconds = min(left(started), started + self._limit - time.monotonic())
                if seconds <= 0:
                    break
                answer.join(min(seconds, _SLICE_SECONDS))
            if not answer.is_alive():
                self._running.pop(answer.name, None)


class _Answer(threading.Thread):
    """One look-up. It cannot be cancelled, and ends with the process at the latest."""

    def __init__(self, name: str, lookup: Lookup) -> None:
        super().__init__(name=name, daemon=True)
        self._lookup = lookup
        self.addresses: Sequence[str] = ()
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self.addresses = self._lookup(self.name)
        except (OSError, UnicodeError) as error:
            self._error = error

    def problem(self) -> str:
        """Why there are no addresses."""
        error = self._error
        if self.is_alive() or getattr(error, "errno", None) == socket.EAI_AGAIN:
            return f"no name server has answered for {self.name}"
        told = getattr(error, "strerror", None) or error or "it has no address"
        return f"the name {self.name} cannot be resolved: {told}"


def _is_name(host: str) -> bool:
    """Whether this is a name to look up, not a socket's folder or a number."""
    if not host or host[0] in "/@":
        return False
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    return False
