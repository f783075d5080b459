"""Checks of programs, capture, the guard, the database, the page and the service."""

from __future__ import annotations

from collections.abc import Iterator

from claude_headspace.config import Config
from claude_headspace.doctor.facts import Finding, Instance
from claude_headspace.store.version import SCHEMA_VERSION

OLDEST_POSTGRES = 140_000
SKEW_SECONDS = 5.0
ELSEWHERE = "Postgres does not answer"
UP = "`claude-headspace up`"


def programs(_: Config, instance: Instance) -> Iterator[Finding]:
    """Checks the programs under supervisord."""
    supervisor = instance.verdict.checks["supervisor"]
    if not supervisor["answers"]:
        yield Finding("broken", supervisor["problem"], UP)
        return
    failed = [name for name, state in supervisor["programs"].items() if state == "FATAL"]
    for name in failed:
        remedy = f"`claude-headspace logs {name}` shows why"
        yield Finding("broken", f"{name} has failed too often and was given up", remedy)
    if not failed:
        states = ", ".join(f"{name} {state}" for name, state in supervisor["programs"].items())
        yield Finding("ok", states)


def capture(_: Config, instance: Instance) -> Iterator[Finding]:
    """The problems of the watcher that `status` shows, except those with a check of their own."""
    verdict = instance.verdict
    supervisor = verdict.checks["supervisor"].get("problem", ELSEWHERE)
    reasons = [each for each in verdict.reasons if not each.startswith((supervisor, ELSEWHERE))]
    stands = not verdict.checks["watcher"]["running"]
    for reason in reasons:
        yield Finding("broken" if stands else "warning", reason, "see docs/operations.md")
    if not reasons:
        yield Finding("ok", "the watcher captures")
    for note in verdict.notes:
        yield Finding("ok", note)


def guard(_: Config, instance: Instance) -> Iterator[Finding]:
    """Checks the guard, which limits restarts and detects hangs."""
    if instance.verdict.checks["supervisor"]["answers"]:
        state = instance.verdict.checks["guard"]
        if not state["alive"]:
            told = f"the guard does not work: listener {state['listener']}, {state['enforcer']}"
            yield Finding("broken", told, "`claude-headspace restart`")
        else:
            yield Finding("ok", "the guard works")


def database(config: Config, instance: Instance) -> Iterator[Finding]:
    """Whether the database can hold the log."""
    log = instance.log
    if log.problem:
        remedy = "see database.url" if config.database.url else f"{UP}; then see `logs postgres`"
        yield Finding("broken", log.problem, remedy)
    elif log.server_version < OLDEST_POSTGRES:
        major = log.server_version // 10_000
        yield Finding("broken", f"the server is PostgreSQL {major}", "use PostgreSQL 14 or newer")
    else:
        number = divmod(log.server_version, 10_000)
        yield Finding("ok", f"PostgreSQL {number[0]}.{number[1]}, encoded in UTF-8")


def schema(_: Config, instance: Instance) -> Iterator[Finding]:
    """Whether the schema fits this version."""
    found = instance.log.schema
    if instance.log.problem:
        return
    if found == SCHEMA_VERSION:
        yield Finding("ok", f"schema {found}")
    elif found is None or found < SCHEMA_VERSION:
        told = f"the schema is {found or 'missing'}, this version needs {SCHEMA_VERSION}"
        yield Finding("broken", told, "`claude-headspace migrate`")
    else:
        told = f"the schema {found} is newer than this version, which needs {SCHEMA_VERSION}"
        yield Finding("broken", told, "update the program")


def clock(_: Config, instance: Instance) -> Iterator[Finding]:
    """Whether this machine and the database agree on the time."""
    if instance.log.problem:
        return
    seconds = instance.log.clock_seconds
    if abs(seconds) > SKEW_SECONDS:
        told = f"this machine's clock is {abs(seconds):.0f} s"
        way = "ahead of" if seconds > 0 else "behind"
        yield Finding(
            "warning", f"{told} {way} the database's", "synchronise both with a time server"
        )
    else:
        yield Finding("ok", "this machine and the database agree on the time")


def page(config: Config, instance: Instance) -> Iterator[Finding]:
    """Whether the page can be opened."""
    if instance.port_problem:
        told, _sep, remedy = instance.port_problem.partition(": ")
        yield Finding("broken", told, remedy)
    else:
        yield Finding("ok", f"the page is at {config.web.host}, port {config.web.port}")


def service(_: Config, instance: Instance) -> Iterator[Finding]:
    """A service is optional; an installed one should run."""
    for problem in instance.service_problems:
        told, _sep, remedy = problem.partition(": ")
        yield Finding("ok" if "not installed" in problem else "warning", told, remedy)
    if not instance.service_problems:
        yield Finding("ok", "the service is installed and running")
