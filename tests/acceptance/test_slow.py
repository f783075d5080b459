"""What is slow or silent is waited for and told, and is no hang."""

from __future__ import annotations

import time
from pathlib import Path

from faults.watched import SILENT, watched

STOP_SECONDS = 2.0


def test_a_name_server_that_never_answers(tmp_path: Path) -> None:
    url = "postgresql://u@db.example.test/headspace"
    with watched(tmp_path, url, command=SILENT) as it:
        it.wait_state("waiting")
        for _ in range(40):
            status = it.status()
            assert status
            assert status.doing_seconds <= status.doing_limit
            assert "no name server has answered for db.example.test" in str(status.reason)
            time.sleep(0.05)
        began = time.monotonic()
        assert it.stop() == 0
        assert time.monotonic() - began < STOP_SECONDS + 1.0
