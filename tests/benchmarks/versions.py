"""Versions of the watcher that are measured in turns: this one, and an earlier commit."""

from __future__ import annotations

import subprocess
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from benchmarks.server import TEMPLATE, Server
from benchmarks.watching import run
from servers import embedded_environment

REPOSITORY = Path(__file__).resolve().parents[2]
OURS = "the watcher"


@dataclass(frozen=True, slots=True)
class Version:
    """A version by its name in the table; `source` is None for the one that is installed."""

    name: str = OURS
    source: Path | None = None
    template: str = TEMPLATE


def of_commit(commit: str, directory: Path, server: Server) -> Version:
    """The version of a commit of this repository, with a schema of its own."""
    archive = subprocess.run(
        ["git", "-C", str(REPOSITORY), "archive", commit, "src"], check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(directory, filter="data")
    source = directory / "src"
    template = f"{TEMPLATE}_{commit}"
    server.postgres.execute(f"CREATE DATABASE {template} TEMPLATE template0")
    subprocess.run(
        run("claude_headspace.migrate", source),
        env=embedded_environment(directory) | {"DATABASE_URL": server.postgres.url(template)},
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return Version(f"{OURS} of {commit}", source, template)
