"""What was measured, and how it is shown."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

PRECISION = 3


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity of one contestant, with its value in every round."""

    name: str
    unit: str
    rounds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def as_json(self, reference: float | None) -> dict[str, Any]:
        """The figure with its spread, and its ratio to the reference if there is one."""
        values = {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "low": min(self.rounds),
            "high": max(self.rounds),
            "rounds": self.rounds,
        }
        return values if not reference else {**values, "ratio": self.median / reference}


@dataclass(slots=True)
class Result:
    """One row: its figures in the order in which they were first recorded."""

    name: str
    title: str
    figures: dict[tuple[str, str], Figure] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str) -> None:
        """One round's value."""
        figure = self.figures.setdefault((name, unit), Figure(name, unit))
        figure.rounds.append(value)
        print(f"    {name}: {shown(value)} {unit}", file=sys.stderr, flush=True)

    def compare_with(self, unit: str, name: str) -> None:
        """Ratios of figures of this unit are to the figure of this name."""
        self.references[unit] = name

    def note(self, text: str) -> None:
        """Something that whoever reads the figures has to know; told once."""
        if text not in self.notes:
            self.notes.append(text)
            print(f"    note: {text}", file=sys.stderr, flush=True)

    def reference(self, figure: Figure) -> float | None:
        """What the figure is compared with."""
        found = self.figures.get((self.references.get(figure.unit, ""), figure.unit))
        return None if found is None else found.median

    def as_json(self) -> dict[str, Any]:
        return {
            "row": self.name,
            "title": self.title,
            "figures": [each.as_json(self.reference(each)) for each in self.figures.values()],
            "ratios_to": self.references,
            "notes": self.notes,
            "details": self.details,
        }


def shown(value: float) -> str:
    """Three significant digits, and no fewer than the integer part has."""
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (PRECISION - 1):
        return f"{value:,.0f}"
    return f"{value:.{PRECISION}g}"


def table(results: Sequence[Result]) -> str:
    """All rows as one table of text."""
    rows: list[tuple[str, ...]] = [("", "median", "low", "high", "unit", "ratio", "rounds")]
    for result in results:
        rows.append((f"{result.name}: {result.title}", *[""] * 6))
        rows += [_line(result, figure) for figure in result.figures.values()]
        rows += [(f"    ({note})", *[""] * 6) for note in result.notes]
    widths = [max(len(row[n]) for row in rows if any(row[1:])) for n in range(len(rows[0]))]
    return "\n".join(_aligned(row, widths) for row in rows)


def _line(result: Result, figure: Figure) -> tuple[str, ...]:
    reference = result.reference(figure)
    ratio = f"{figure.median / reference:.2f}" if reference else ""
    values = (figure.median, min(figure.rounds), max(figure.rounds))
    return (
        f"  {figure.name}",
        *[shown(value) for value in values],
        figure.unit,
        ratio,
        str(len(figure.rounds)),
    )


def _aligned(row: tuple[str, ...], widths: list[int]) -> str:
    first = f"{row[0]:<{widths[0]}}"
    rest = [f"{cell:>{width}}" for cell, width in zip(row[1:4], widths[1:4], strict=True)]
    unit = f"{row[4]:<{widths[4]}}"
    last = [f"{cell:>{width}}" for cell, width in zip(row[5:], widths[5:], strict=True)]
    return "  ".join([first, *rest, unit, *last]).rstrip()


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many per cent do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]
