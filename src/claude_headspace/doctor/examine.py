"""All checks, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from claude_headspace.doctor import claude, installation, programs
from claude_headspace.doctor.evidence import Advice, Facts, Level

_INSTALLATION = (
    installation.python,
    installation.encoding,
    installation.installation,
    installation.configuration,
)
_DISK = (installation.settings_file, installation.state_directory, installation.room)
_CLAUDE = (
    claude.version,
    claude.transcripts,
    claude.writers,
    claude.notifications,
    claude.cleanup,
    claude.hooks,
)
_RUNNING = (
    programs.programs,
    programs.capture,
    programs.guard,
    programs.database,
    programs.schema,
    programs.clock,
    programs.page,
    programs.service,
)
LEVELS: tuple[Level, ...] = ("ok", "warning", "broken")


def examine(facts: Facts) -> Iterator[tuple[str, Advice]]:
    """The findings of each check, with its name."""
    for check in _INSTALLATION:
        yield from _named(check, check(facts.installation))
    parts: tuple[tuple[Iterable[Callable[..., Any]], object], ...] = (
        (_DISK, facts.disk),
        (_CLAUDE, facts.claude),
        (_RUNNING, facts.running),
    )
    for checks, part in parts:
        for check in checks if facts.config and part else ():
            yield from _named(check, check(facts.config, part))


def exit_status(findings: Iterable[Advice]) -> int:
    """0 all well, 1 warnings, 2 something is broken."""
    return max((LEVELS.index(finding.level) for finding in findings), default=0)


def _named(check: Callable[..., Any], found: Iterable[Advice]) -> Iterator[tuple[str, Advice]]:
    name = check.__name__.replace("_", " ")
    yield from ((name, finding) for finding in found)
