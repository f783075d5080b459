from __future__ import annotations

import pytest
from psycopg2.extensions import parse_dsn

from claude_headspace.servers import CONNECT_SECONDS, hosts_of


@pytest.mark.parametrize("address", [
    "postgresql://u:p@h:5433/d", "postgresql:///d?host=/run/pg", "postgresql:///d",
])  # fmt: skip
def test_a_single_host_is_left_as_it_is(address: str) -> None:
    assert [(host.dsn, host.seconds) for host in hosts_of(address)] == [(address, None)]


@pytest.mark.parametrize(("address", "places"), [
    ("postgresql://u:p@a:1,b:2/d", [("a", "1"), ("b", "2")]),
    ("postgresql://u:p@/d?host=a,b&port=7", [("a", "7"), ("b", "7")]),
    ("postgresql://u:p@/d?host=/x,/y", [("/x", None), ("/y", None)]),
])  # fmt: skip
def test_each_of_several_hosts_alone_in_order(
    address: str, places: list[tuple[str, str | None]]
) -> None:
    found = hosts_of(address)
    parts = [parse_dsn(host.dsn) for host in found]
    assert [(part["host"], part.get("port")) for part in parts] == places
    for part in parts:
        assert (part["user"], part["password"], part["dbname"]) == ("u", "p", "d")
        assert part["target_session_attrs"] == "read-write"
    assert {host.seconds for host in found} == {CONNECT_SECONDS}


def test_the_addresses_own_wishes_hold() -> None:
    address = "postgresql://a,b/d?connect_timeout=3&target_session_attrs=primary"
    assert [host.seconds for host in hosts_of(address)] == [3, 3]
    attributes = {parse_dsn(host.dsn)["target_session_attrs"] for host in hosts_of(address)}
    assert attributes == {"primary"}
