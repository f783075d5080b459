"""One scenario's desk, for every version of the client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client import installed
from client.desk import Desk
from client.installed import Client


@pytest.fixture(scope="session")
def machine() -> None:
    """Skips where no client can be run apart from the network."""
    try:
        installed.check_machine()
    except installed.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session", params=installed.VERSIONS)
def client(machine: None, request: pytest.FixtureRequest) -> Client:
    """The client of one version."""
    try:
        return installed.client(request.param)
    except installed.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def desk(client: Client, tmp_path: Path, database_url: str) -> Iterator[Desk]:
    """A desk with its watcher at work."""
    prepared = Desk(tmp_path, database_url, client)
    try:
        with prepared.watcher.running():
            yield prepared
    finally:
        prepared.tidy()
