"""What guards the 50 MB of the watcher's process: its memory after a backlog, and what it imports.

The contract `lean` in setup.cfg forbids the same imports before anything runs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness import Log, Projects, Watcher, assert_exactly_captured
from lines import new_session

LIMIT_BYTES = 50_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_watcher_stays_below_50_mb_after_a_backlog(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    projects.fill(sessions=20, turns=250)
    projects.say(new_session(), "x" * 900_000)
    with watcher.running():
        assert_exactly_captured(projects, log)
        assert watcher.process is not None
        status = Path(f"/proc/{watcher.process.pid}/status").read_text()
        resident = int(status.split("VmRSS:")[1].split()[0]) * 1024
        assert resident < LIMIT_BYTES


def test_the_watcher_loads_no_orm_no_web_framework_and_no_migrations(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    watcher.options = ("-X", "importtime")
    projects.say(new_session(), "x")
    with watcher.running():
        assert_exactly_captured(projects, log)
    told = [ln for ln in watcher.told().splitlines() if ln.startswith("import time:")]
    imported = {ln.split("|")[-1].strip().split(".")[0] for ln in told}
    assert {"psycopg2", "marshmallow", "watchdog"} <= imported
    assert not {"sqlalchemy", "flask", "alembic", "werkzeug", "jinja2"} & imported
