"""Derives a verdict with reasons from an observation: a pure function, so every case is tested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from claude_headspace.health.figures import checks
from claude_headspace.health.observation import Observation, Unanswered
from claude_headspace.health.reasons import notes, reasons

Health = Literal["healthy", "degraded", "down"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reasons` say what is wrong, `notes` what is worth knowing, `checks` contain the figures."""

    status: Health
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    checks: dict[str, dict[str, Any]]

    @property
    def exit_status(self) -> int:
        """For programs: 0 healthy, 1 degraded, 2 down."""
        return ("healthy", "degraded", "down").index(self.status)


def judge(seen: Observation) -> Verdict:
    """Healthy, degraded or down, and why."""
    wrong = tuple(reasons(seen))
    return Verdict(_status(seen, wrong), wrong, tuple(notes(seen)), checks(seen))


def _status(seen: Observation, wrong: tuple[str, ...]) -> Health:
    if isinstance(seen.programs, Unanswered) and not seen.is_beating:
        return "down"
    return "degraded" if wrong else "healthy"
