"""Tables of figures at the end of a run, from whichever worker they came."""

from __future__ import annotations

import pytest

FIGURES = "figures"


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded under the name "figures", one row each."""
    rows = [
        str(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport)
        for name, value in report.user_properties
        if name == FIGURES
    ]
    if rows:
        terminalreporter.section("figures")
        for row in sorted(set(rows)):
            terminalreporter.write_line(row)
