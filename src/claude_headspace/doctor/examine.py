"""All checks, in order; here those of what runs: programs, database, page and service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from claude_headspace.config import Config
from claude_headspace.doctor import installation as of
from claude_headspace.doctor.evidence import Advice, Facts, Level, Running
from claude_headspace.store.version import SCHEMA_VERSION

OLDEST_POSTGRES = 140_000
SKEW_SECONDS = 5.0
ELSEWHERE = "Postgres does not answer"
UP = "`claude-headspace up`"
LEVELS: tuple[Level, ...] = ("ok", "warning", "broken")


def programs(_: Config, running: Running) -> Iterator[Advice]:
    """Checks the programs under supervisord."""
    supervisor = running.verdict.checks["supervisor"]
    if not supervisor["answers"]:
        yield Advice("broken", supervisor["problem"], UP)
        return
    states = supervisor["programs"]
    failed = [name for name, state in states.items() if state == "FATAL"]
    for name in failed:
        remedy = f"`claude-headspace logs {name}` shows why"
        yield Advice("broken", f"{name} has failed too often and was given up", remedy)
    if not failed:
        yield Advice("ok", ", ".join(f"{name} {state}" for name, state in states.items()))


def capture(_: Config, running: Running) -> Iterator[Advice]:
    """The problems of the watcher that `status` shows, except those with a check of their own."""
    verdict = running.verdict
    supervisor = verdict.checks["supervisor"].get("problem", ELSEWHERE)
    reasons = [each for each in verdict.reasons if not each.startswith((supervisor, ELSEWHERE))]
    stopped = not verdict.checks["watcher"]["running"]
    for reason in reasons:
        yield Advice("broken" if stopped else "warning", reason, "see docs/operations.md")
    if not reasons:
        yield Advice("ok", "the watcher captures")
    for note in verdict.notes:
        yield Advice("ok", note)


def guard(_: Config, running: Running) -> Iterator[Advice]:
    """Checks the guard, which limits restarts and detects hangs."""
    if running.verdict.checks["supervisor"]["answers"]:
        state = running.verdict.checks["guard"]
        if not state["alive"]:
            told = f"the guard does not work: listener {state['listener']}, {state['enforcer']}"
            yield Advice("broken", told, "`claude-headspace restart`")
        else:
            yield Advice("ok", "the guard works")


def database(config: Config, running: Running) -> Iterator[Advice]:
    """Whether the database can hold the log."""
    log = running.log
    if log.problem:
        remedy = "see database.url" if config.database.url else f"{UP}; then see `logs postgres`"
        yield Advice("broken", log.problem, remedy)
    elif log.server_version < OLDEST_POSTGRES:
        major = log.server_version // 10_000
        yield Advice("broken", f"the server is PostgreSQL {major}", "use PostgreSQL 14 or newer")
    else:
        number = divmod(log.server_version, 10_000)
        yield Advice("ok", f"PostgreSQL {number[0]}.{number[1]}, encoded in UTF-8")


def schema(_: Config, running: Running) -> Iterator[Advice]:
    """Whether the schema fits this version."""
    found = running.log.schema
    if running.log.problem:
        return
    if found == SCHEMA_VERSION:
        yield Advice("ok", f"schema {found}")
    elif found is None or found < SCHEMA_VERSION:
        told = f"the schema is {found or 'missing'}, this version needs {SCHEMA_VERSION}"
        yield Advice("broken", told, "`claude-headspace migrate`")
    else:
        told = f"the schema {found} is newer than this version, which needs {SCHEMA_VERSION}"
        yield Advice("broken", told, "update the program")


def clock(_: Config, running: Running) -> Iterator[Advice]:
    """Whether this machine and the database agree on the time."""
    if running.log.problem:
        return
    seconds = running.log.clock_seconds
    if abs(seconds) > SKEW_SECONDS:
        told = f"this machine's clock is {abs(seconds):.0f} s"
        way = "ahead of" if seconds > 0 else "behind"
        yield Advice(
            "warning", f"{told} {way} the database's", "synchronise both with a time server"
        )
    else:
        yield Advice("ok", "this machine and the database agree on the time")


def page(config: Config, running: Running) -> Iterator[Advice]:
    """Whether the page can be opened."""
    if running.port_problem:
        told, _, remedy = running.port_problem.partition(": ")
        yield Advice("broken", told, remedy)
    else:
        yield Advice("ok", f"the page is at {config.web.host}, port {config.web.port}")


def service(_: Config, running: Running) -> Iterator[Advice]:
    """A service is optional; an installed one should run."""
    for problem in running.service_problems:
        told, _sep, remedy = problem.partition(": ")
        told = f"{told[:1].lower()}{told[1:].rstrip('.')}"
        yield Advice("ok" if "not installed" in problem else "warning", told, remedy)
    if not running.service_problems:
        yield Advice("ok", "the service is installed and running")


# By the facts that they check.
_CHECKS: dict[str, tuple[Callable[..., Iterator[Advice]], ...]] = {
    "installation": (of.python, of.encoding, of.installation, of.configuration),
    "disk": (of.settings_file, of.state_directory, of.room),
    "claude": (of.version, of.transcripts, of.writers, of.notifications, of.cleanup, of.hooks),
    "running": (programs, capture, guard, database, schema, clock, page, service),
}


def examine(facts: Facts) -> Iterator[tuple[str, Advice]]:
    """The findings of each check, with its name."""
    for part, checks in _CHECKS.items():
        found = getattr(facts, part)
        for check in checks if found else ():
            for advice in check(facts.config, found):
                yield check.__name__.replace("_", " "), advice


def exit_status(findings: Iterable[Advice]) -> int:
    """0 all well, 1 warnings, 2 something is broken."""
    return max((LEVELS.index(finding.level) for finding in findings), default=0)
