from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from claude_headspace.supervision.alerts import Alerts
from claude_headspace.supervision.single_watcher import is_listed
from harness import wait_until


def advance_until(alerts: Alerts, condition: Callable[[], bool], what: str) -> None:
    def advanced() -> bool:
        alerts.advance()
        return condition()

    wait_until(advanced, what)


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def advance_until_told(alerts: Alerts, path: Path, lines: int) -> list[str]:
    advance_until(alerts, lambda: len(lines_of(path)) >= lines, "the command's lines")
    return lines_of(path)


def test_the_command_learns_what_happened_one_after_the_other(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = f'echo "$HEADSPACE_ALERT|$HEADSPACE_REASON|$$" >> "{told}"'
    alerts = Alerts(["sh", "-c", script])
    alerts.raise_alert("degraded", "a $(reason); with 'quotes'")
    alerts.raise_alert("recovered", "well")
    heard = [line.rpartition("|") for line in advance_until_told(alerts, told, 2)]
    assert [words for words, _, _ in heard] == [
        "degraded|a $(reason); with 'quotes'",
        "recovered|well",
    ]
    advance_until(alerts, lambda: not is_listed(int(heard[1][2])), "the end")


def test_one_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    told = tmp_path / "told"
    moments = [0.0]
    hang = '[ "$HEADSPACE_ALERT" = recovered ] || { sleep 1000 & wait; }'
    script = f'echo "$HEADSPACE_ALERT $$" >> "{told}"; {hang}'
    alerts = Alerts(["sh", "-c", script], 30.0, lambda: moments[0])
    alerts.raise_alert("degraded", "")
    advance_until_told(alerts, told, 1)
    alerts.raise_alert("recovered", "")
    assert [line.split()[0] for line in lines_of(told)] == ["degraded"]
    moments[0] = 31.0
    heard = [line.split() for line in advance_until_told(alerts, told, 2)]
    assert [kind for kind, _ in heard] == ["degraded", "recovered"]
    first, second = (int(pid) for _, pid in heard)
    assert not is_listed(first)
    advance_until(alerts, lambda: not is_listed(second), "the end")


def test_a_missing_or_failing_command_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    Alerts(["/nowhere/at-all"]).raise_alert("degraded", "")
    assert "cannot be run" in caplog.text
    failing = Alerts([sys.executable, "-c", "raise SystemExit(3)"])
    failing.raise_alert("degraded", "")
    advance_until(failing, lambda: "status 3" in caplog.text, "the log")


def test_none_is_none() -> None:
    Alerts(()).raise_alert("degraded", "")
