"""A directory of transcripts, the log of a database, and a watcher that is not started yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Log, Projects, Watcher


@pytest.fixture
def projects(tmp_path: Path) -> Projects:
    return Projects(tmp_path / "projects")


@pytest.fixture
def log(database_url: str) -> Log:
    return Log(database_url)


@pytest.fixture
def watcher(tmp_path: Path, projects: Projects, log: Log) -> Iterator[Watcher]:
    made = Watcher(tmp_path, log.url, projects.root)
    yield made
    made.kill()
