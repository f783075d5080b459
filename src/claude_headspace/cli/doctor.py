"""Checks of the installation and everything around it, and the settings in effect."""

from __future__ import annotations

from claude_headspace.cli.access import configured
from claude_headspace.cli.command import command, json_output
from claude_headspace.cli.terminal import print_json, print_lines, terminal_width, wrapped

_INDENT = 26


@command("doctor", "claude-headspace doctor")
@json_output("one JSON object per finding: check, level, told, remedy")
def doctor(*, in_json: bool) -> int:
    """Check the installation, Claude Code and the running programs, and say what to fix.

    Each check reports ok, warning or broken. Exit status: 0 all well, 1 warnings, 2 something is
    broken. Changes nothing.
    """
    from dataclasses import asdict

    from claude_headspace.doctor.examine import examine, exit_status
    from claude_headspace.doctor.gather import gather

    found = list(examine(gather()))
    if in_json:
        print_json({"check": check, **asdict(finding)} for check, finding in found)
    else:
        for check, finding in found:
            _print(f"{finding.level:<8} {check:<16} ", finding.told)
            if finding.remedy and finding.level != "ok":
                _print("", f"to do: {finding.remedy}")
    return exit_status(finding for _, finding in found)


def _print(mark: str, told: str) -> None:
    """One finding beside its mark; below it on a narrow terminal."""
    width = terminal_width()
    narrow = width is not None and width < 3 * _INDENT
    lines = wrapped(told, width, " " * (2 if narrow else _INDENT))
    if narrow:
        lines[:0] = filter(None, [mark.rstrip()])
    else:
        lines[0] = f"{mark:<{_INDENT}}{lines[0][_INDENT:]}"
    print_lines(lines)


@command("check-config", "CLAUDE_HEADSPACE__WEB__PORT=5056 claude-headspace check-config")
def check_config() -> int:
    """Print the settings in effect.

    Passwords are masked. All mistakes are reported at once, with exit status 78.
    """
    from claude_headspace.config import describe

    print(describe(configured()), end="")
    return 0
