from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from claude_headspace.supervision.alerts import Alerts
from harness import wait_until


def advance_until(alerts: Alerts, path: Path, lines: int) -> list[str]:
    deadline = time.monotonic() + 20
    while not path.exists() or len(path.read_text().splitlines()) < lines:
        assert time.monotonic() < deadline, "the command did not run"
        alerts.advance()
        time.sleep(0.01)
    return path.read_text().splitlines()


def is_listed(pid: int) -> bool:
    """Whether a process has this id, be it one that has ended and nobody waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def advance_until_ended(alerts: Alerts, pid: int) -> None:
    deadline = time.monotonic() + 20
    while is_listed(pid):
        assert time.monotonic() < deadline, "the command did not end"
        alerts.advance()
        time.sleep(0.01)


def test_the_command_learns_what_happened_one_after_the_other(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = f'echo "$HEADSPACE_ALERT|$HEADSPACE_REASON|$$" >> "{told}"'
    alerts = Alerts(["sh", "-c", script])
    alerts.raise_alert("degraded", "a $(reason); with 'quotes'")
    alerts.raise_alert("recovered", "well")
    heard = [line.rpartition("|") for line in advance_until(alerts, told, 2)]
    assert [words for words, _, _ in heard] == [
        "degraded|a $(reason); with 'quotes'",
        "recovered|well",
    ]
    advance_until_ended(alerts, int(heard[1][2]))


def test_one_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    told = tmp_path / "told"
    moments = [0.0]
    hang = '[ "$HEADSPACE_ALERT" = recovered ] || { sleep 1000 & wait; }'
    script = f'echo "$HEADSPACE_ALERT" >> "{told}"; echo $$ > "{tmp_path}/pid"; {hang}'
    alerts = Alerts(["sh", "-c", script], 30.0, lambda: moments[0])
    alerts.raise_alert("degraded", "")
    advance_until(alerts, told, 1)
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "its id")
    alerts.raise_alert("recovered", "")
    assert told.read_text().splitlines() == ["degraded"]
    moments[0] = 31.0
    first = int((tmp_path / "pid").read_text())
    assert advance_until(alerts, told, 2) == ["degraded", "recovered"]
    assert not is_listed(first)
    wait_until(lambda: (tmp_path / "pid").read_text() not in ("", f"{first}\n"), "its id")
    advance_until_ended(alerts, int((tmp_path / "pid").read_text()))


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
