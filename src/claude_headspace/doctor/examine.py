"""All checks, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from claude_headspace.doctor import claude, instance, machine
from claude_headspace.doctor.facts import Facts, Finding, Level

_MACHINE = (machine.python, machine.encoding, machine.installation, machine.configuration)
_DISK = (machine.settings_file, machine.state_directory, machine.room)
_CLAUDE = (claude.version, claude.transcripts, claude.notifications, claude.cleanup, claude.hooks)
_INSTANCE = (
    instance.programs,
    instance.capture,
    instance.guard,
    instance.database,
    instance.schema,
    instance.clock,
    instance.page,
    instance.service,
)
LEVELS: tuple[Level, ...] = ("ok", "warning", "broken")


def examine(facts: Facts) -> Iterator[tuple[str, Finding]]:
    """The findings of each check, with its name."""
    for check in _MACHINE:
        yield from _named(check, check(facts.machine))
    parts: tuple[tuple[Iterable[Callable[..., Any]], object], ...] = (
        (_DISK, facts.disk),
        (_CLAUDE, facts.claude),
        (_INSTANCE, facts.instance),
    )
    for checks, part in parts:
        for check in checks if facts.config and part else ():
            yield from _named(check, check(facts.config, part))


def exit_status(findings: Iterable[Finding]) -> int:
    """0 all well, 1 warnings, 2 something is broken."""
    return max((LEVELS.index(finding.level) for finding in findings), default=0)


def _named(check: Callable[..., Any], found: Iterable[Finding]) -> Iterator[tuple[str, Finding]]:
    name = check.__name__.replace("_", " ")
    yield from ((name, finding) for finding in found)
