"""Nothing is lost, doubled or out of order, whatever is killed, stopped, full or away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.cell import FAULTS, QUICK, WHOLE, Scale
from faults.cells import SMALL_DISK, TWO_SERVERS, hindrance, run_cell
from faults.count import Count
from faults.machine import Machine, machine
from faults.pair import Pair, pair

CELLS = [(name, live) for name in FAULTS for live in (False, True)]
REPRESENTATIVE = [
    ("killed", False),
    ("server_crashed", False),
    ("connections_terminated", False),
    ("killed", True),
    ("server_frozen", True),
    ("no_descriptors", True),
    ("state_full_at_start", True),
    ("narrow_server", True),
    ("host_changed", False),
]

Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def server() -> Iterator[Machine]:
    with machine() as it:
        yield it


@pytest.fixture(scope="module")
def small_server() -> Iterator[Machine]:
    with machine(small_disk=True) as it:
        yield it


@pytest.fixture(scope="module")
def two_servers() -> Iterator[Pair]:
    with pair() as it:
        yield it


def identity(cell: tuple[str, bool]) -> str:
    return f"{cell[0]}-{'live' if cell[1] else 'backlog'}"


def check(
    request: pytest.FixtureRequest, directory: Path, cell: tuple[str, bool], scale: Scale
) -> None:
    name, live = cell
    record: Record = request.getfixturevalue("record_property")
    if reason := hindrance(name):
        record("figures", f"{identity(cell):50} did not run: {reason}")
        pytest.skip(reason)
    kinds = {
        **dict.fromkeys(SMALL_DISK, "small_server"),
        **dict.fromkeys(TWO_SERVERS, "two_servers"),
    }
    server = request.getfixturevalue(kinds.get(name, "server"))
    result = run_cell(server, directory, name, live=live, scale=scale)
    record("figures", f"{identity(cell):50} {result}")
    assert result == Count()


@pytest.mark.parametrize("cell", REPRESENTATIVE, ids=identity)
def test_a_small_load(
    cell: tuple[str, bool], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    check(request, tmp_path, cell, QUICK)


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("cell", CELLS, ids=identity)
def test_the_whole_matrix(
    cell: tuple[str, bool], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    check(request, tmp_path, cell, WHOLE)
