"""A real watcher over a directory of transcripts, until it has read all of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg2

PATIENCE_SECONDS = 30.0


def settings(url: str, directory: Path, **more: str) -> dict[str, str]:
    """The environment of one of our programs: its database, and state and transcripts below."""
    (directory / "projects").mkdir(parents=True, exist_ok=True)
    return {
        **os.environ,
        "CLAUDE_HEADSPACE_CONFIG": "/dev/null",
        "DATABASE_URL": url,
        "CLAUDE_HEADSPACE__STATE__DIRECTORY": str(directory / "var"),
        "CLAUDE_HEADSPACE__STATE__HOST": "here",
        "CLAUDE_HEADSPACE__CLAUDE__PROJECTS_PATH": str(directory / "projects"),
        "CLAUDE_HEADSPACE__FILE_WATCHER__FINAL_LINE_WAIT_SECONDS": "0",
        "CLAUDE_HEADSPACE__LOGGING__LEVEL": "DEBUG",
        **more,
    }


@contextmanager
def watching(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A watcher for as long as the block lasts."""
    watcher = subprocess.Popen(
        [sys.executable, "-m", "claude_headspace.watcher"],
        env=dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield watcher
    finally:
        watcher.send_signal(signal.SIGTERM)
        watcher.wait(PATIENCE_SECONDS)


def capture(url: str, directory: Path, environment: Mapping[str, str]) -> None:
    """Run the watcher until every transcript is committed to its end, and stop it."""
    with watching(environment) as watcher:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _is_done(url, directory):
            assert watcher.poll() is None, "the watcher ended"
            assert time.monotonic() < deadline, "the watcher did not read everything"
            time.sleep(0.02)


def _is_done(url: str, directory: Path) -> bool:
    rows = query(url, "SELECT path, committed_offset FROM checkpoints")
    committed: dict[object, object] = dict(rows)  # type: ignore[arg-type]
    files = [path for path in (directory / "projects").rglob("*.jsonl") if path.stat().st_size]
    return all(committed.get(str(path)) == path.stat().st_size for path in files)


def query(url: str, statement: str, *values: object) -> list[tuple[object, ...]]:
    """Rows of one statement, committed."""
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()
