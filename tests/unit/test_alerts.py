from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from claude_headspace.supervision.alerts import Alerts


def advance_until(alerts: Alerts, path: Path, lines: int) -> list[str]:
    deadline = time.monotonic() + 20
    while not path.exists() or len(path.read_text().splitlines()) < lines:
        assert time.monotonic() < deadline, "the command did not run"
        alerts.advance()
        time.sleep(0.01)
    return path.read_text().splitlines()


def test_the_command_learns_what_happened_one_after_the_other(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = f'echo "$HEADSPACE_ALERT|$HEADSPACE_REASON" >> "{told}"'
    alerts = Alerts(["sh", "-c", script])
    alerts.raise_alert("degraded", "a $(reason); with 'quotes'")
    alerts.raise_alert("recovered", "well")
    assert advance_until(alerts, told, 2) == [
        "degraded|a $(reason); with 'quotes'",
        "recovered|well",
    ]


def test_one_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    told = tmp_path / "told"
    moments = [0.0]
    hang = '[ "$HEADSPACE_ALERT" = recovered ] || { sleep 1000 & wait; }'
    script = f'echo "$HEADSPACE_ALERT" >> "{told}"; {hang}'
    alerts = Alerts(["sh", "-c", script], 30.0, lambda: moments[0])
    alerts.raise_alert("degraded", "")
    advance_until(alerts, told, 1)
    alerts.raise_alert("recovered", "")
    assert told.read_text().splitlines() == ["degraded"]
    moments[0] = 31.0
    assert advance_until(alerts, told, 2) == ["degraded", "recovered"]


def test_a_missing_or_failing_command_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    Alerts(["/nowhere/at-all"]).raise_alert("degraded", "")
    assert "cannot be run" in caplog.text
    failing = Alerts([sys.executable, "-c", "raise SystemExit(3)"])
    failing.raise_alert("degraded", "")
    deadline = time.monotonic() + 20
    while "status 3" not in caplog.text:
        assert time.monotonic() < deadline
        failing.advance()
        time.sleep(0.01)


def test_none_is_none() -> None:
    Alerts(()).raise_alert("degraded", "")
