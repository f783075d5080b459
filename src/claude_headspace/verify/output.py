"""Reports for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import TextIO

from claude_headspace.health.units import counted
from claude_headspace.verify.findings import HARMLESS, TALLIES, Finding, FindingKind, Report

# Places of each kind; --json has more.
PLACES_SHOWN = 20

_LEGEND = (
    "in log: in a file and in the log; repeated: more than once in the files; missing: read, but"
    " not in the log; unread: not read yet; not captured: of a session that is not registered; file"
    " gone, file replaced: in the log, but their file, or that part of it, was deleted or"
    " rewritten; invented: in the log, but in no line of their file"
)
_REMARKABLE = ("missing", "unread", "rejected", "differs", "invented", "repaired")


def figures(report: Report, *, everything: bool = False) -> list[list[str]]:
    """Rows of the table: titles, incomplete sessions (or all), and the sum."""
    named = [(str(session), tally) for session, tally in sorted(report.sessions.items())]
    shown = [
        (name, tally)
        for name, tally in named
        if everything or any(getattr(tally, each) for each in _REMARKABLE)
    ]
    rows = [
        [*(str(getattr(tally, each)) for each in TALLIES), name]
        for name, tally in [*shown, ("all sessions", report.totals)]
    ]
    return [[*(name.replace("_", " ") for name in TALLIES), "session"], *rows]


def conclusions(report: Report) -> list[str]:
    """The legend, findings, and the verdict."""
    return [
        _LEGEND,
        "",
        *_places(report),
        _summary(report),
        *(f"to be read again: {one_line(path)}" for path in report.rewound),
        *map(one_line, report.notes),
        verdict(report),
    ]


def print_json(report: Report, output: TextIO) -> None:
    """Print one JSON object with all sessions."""
    values = {name: getattr(report, name) for name in Report.__slots__}
    values["findings"] = [
        {name: value for name, value in asdict(finding).items() if value is not None}
        for finding in report.findings
    ]
    values["sessions"] = {str(uuid): asdict(tally) for uuid, tally in report.sessions.items()}
    values |= {"totals": asdict(report.totals), "wrong": report.wrong, "verdict": verdict(report)}
    json.dump(values, output, default=str)
    output.write("\n")


def verdict(report: Report) -> str:
    """The verdict in one sentence."""
    if report.wrong <= 0:
        turns = counted(report.totals.in_log + report.totals.repaired, "turn")
        done = _repaired(report)
        return f"complete: {turns} in the files and in the log{done}"
    kinds = [
        f"{count} {kind}" for kind, count in sorted(report.counts.items()) if kind not in HARMLESS
    ]
    return f"incomplete: {', '.join(kinds)}{_repaired(report)}"


def one_line(text: str) -> str:
    """Text from files, on one line and harmless to a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _repaired(report: Report) -> str:
    written = report.totals.repaired + report.of_sessions
    were = "was missing and is" if written == 1 else "were missing and are"
    return f"; {counted(written, 'event')} {were} written now" if written else ""


def _told(finding: Finding) -> str:
    places = {
        "": finding.path and one_line(finding.path),
        "line ": finding.line,
        "byte ": finding.offset,
        "session ": finding.session,
        "event ": finding.event_id,
    }
    where = ", ".join(f"{name}{place}" for name, place in places.items() if place is not None)
    return f"{finding.kind}: {where}: {one_line(finding.why)}"


def _places(report: Report) -> Iterator[str]:
    told: Counter[FindingKind] = Counter()
    for finding in report.findings:
        told[finding.kind] += 1
        if told[finding.kind] <= PLACES_SHOWN:
            yield _told(finding)
    for kind, count in report.counts.items():
        if count > PLACES_SHOWN:
            yield f"{kind}: {count - PLACES_SHOWN} more"


def _summary(report: Report) -> str:
    parts = {
        f"files: {report.files} ({report.bytes / 1e6:.1f} MB, {report.seconds:.1f} s)": True,
        f"of them only in the archive: {report.from_archive}": report.from_archive,
        f"lines: {report.lines}": True,
        f"records that are not turns: {report.not_turns}": True,
        f"lines with rejected records: {report.rejected_lines}": report.rejected_lines,
        f"bytes not read yet: {report.unread_bytes}": report.unread_bytes,
        f"of them in unfinished last lines: {report.unfinished_bytes}": report.unfinished_bytes,
        f"archived and checked: {report.archived_files} files"
        f" ({report.archived_bytes / 1e6:.1f} MB)": report.archived_files,
        f"bytes not archived yet: {report.unarchived_bytes}": report.unarchived_bytes,
    }
    return ", ".join(part for part, is_there in parts.items() if is_there)
