"""The soak test, for ten minutes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from faults.machine import machine
from faults.soak import soak


@pytest.mark.long
@pytest.mark.timeout(900)
def test_ten_minutes_of_mixed_load_with_random_faults(tmp_path: Path) -> None:
    seed = time.time_ns() % 2**32
    print(f"seed {seed}")
    with machine() as server, server.database() as url:
        assert soak(server, tmp_path, url, seconds=600, seed=seed)
