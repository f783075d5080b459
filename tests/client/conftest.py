"""One scenario's desk, for every version of the client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client import installed
from client.desk import Desk


@pytest.fixture(scope="session")
def machine() -> None:
    """Skips where no client can be run apart from the network."""
    try:
        installed.check_machine()
    except installed.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(params=installed.VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """The version of the client."""
    return str(request.param)


@pytest.fixture
def desk(machine: None, version: str, tmp_path: Path, database_url: str) -> Iterator[Desk]:
    """A desk with its watcher at work."""
    try:
        program = installed.program(version)
    except installed.Unavailable as reason:
        pytest.skip(str(reason))
    prepared = Desk(tmp_path, database_url, version, program)
    try:
        with prepared.watcher.running():
            yield prepared
    finally:
        prepared.tidy()
