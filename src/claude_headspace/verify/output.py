"""A report for people, and one for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TextIO
from uuid import UUID

from claude_headspace.verify.findings import HARMLESS, Finding, Kind, Report
from claude_headspace.verify.logged import Tally

# Of each kind; --json has more.
PLACES_SHOWN = 20

Sessions = Iterable[tuple[UUID, Tally]]

_TITLES = {
    "in_both": "in both",
    "duplicates": "again",
    "missing": "missing",
    "unread": "unread",
    "rejected": "rejected",
    "not_registered": "left alone",
    "differs": "differs",
    "kept": "kept",
    "kept_elsewhere": "rewritten",
    "repaired": "repaired",
}
_LEGEND = (
    "in both: in a file and in the log; again: the same turn once more in the files; missing: read"
    " and not in\nthe log; unread: not read yet; left alone: of a session that is not captured;"
    " kept: in the log, its file is\ngone; rewritten: in the log, its file holds something else now"
)
_REMARKABLE = ("missing", "unread", "rejected", "differs", "repaired")


def print_text(
    report: Report, sessions: Sessions, output: TextIO, *, everything: bool = False
) -> None:
    """What was checked, sessions that are not whole (or all), places, and the verdict."""
    write = output.write
    write(f"{'session':36}" + "".join(f"{title:>11}" for title in _TITLES.values()) + "\n")
    for session, tally in sessions:
        if everything or any(getattr(tally, name) for name in _REMARKABLE):
            write(_row(str(session), tally))
    write(_row("all sessions", report.totals))
    write(f"{_LEGEND}\n\n")
    for line in _places(report):
        write(f"{line}\n")
    write(f"{_summary(report)}\n")
    for path in report.rewound:
        write(f"to be read again: {_shown(path)}\n")
    for note in report.notes:
        write(f"{note}\n")
    write(f"{verdict(report)}\n")


def print_json(report: Report, sessions: Sessions, output: TextIO) -> None:
    """One JSON object with every session in it."""
    head = asdict(report)
    head["findings"] = [finding.as_json() for finding in report.findings]
    head["counts"] = dict(report.counts)
    head["wrong"] = report.wrong
    head["verdict"] = verdict(report)
    output.write(json.dumps(head)[:-1] + ', "sessions": {')
    separator = ""
    for session, tally in sessions:
        output.write(f"{separator}{json.dumps(str(session))}: {json.dumps(asdict(tally))}")
        separator = ", "
    output.write("}}\n")


def verdict(report: Report) -> str:
    """One sentence."""
    if report.wrong <= 0:
        turns = f"{report.totals.in_both + report.totals.repaired} turns"
        done = _repaired(report)
        return f"nothing is missing and nothing differs: {turns} in the files and in the log{done}"
    kinds = [
        f"{count} {kind}" for kind, count in sorted(report.counts.items()) if kind not in HARMLESS
    ]
    return f"not whole: {', '.join(kinds)}{_repaired(report)}"


def _repaired(report: Report) -> str:
    written = report.totals.repaired + report.announced
    return f"; {written} events were missing and are written now" if written else ""


def _row(name: str, tally: Tally) -> str:
    return f"{name:36}" + "".join(f"{getattr(tally, each):>11}" for each in _TITLES) + "\n"


def _told(finding: Finding) -> str:
    where = [_shown(finding.path)] if finding.path else []
    if finding.line is not None:
        where.append(f"line {finding.line}")
    if finding.offset is not None:
        where.append(f"byte {finding.offset}")
    if finding.session is not None:
        where.append(f"session {finding.session}")
    if finding.event_id is not None:
        where.append(f"event {finding.event_id}")
    return f"{finding.kind}: {', '.join(where)}: {_shown(finding.why)}"


def _shown(text: str) -> str:
    """Text out of files, on one line and harmless to a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _places(report: Report) -> Iterator[str]:
    told: Counter[Kind] = Counter()
    for finding in report.findings:
        told[finding.kind] += 1
        if told[finding.kind] <= PLACES_SHOWN:
            yield _told(finding)
    for kind, count in report.counts.items():
        if count > PLACES_SHOWN:
            yield f"{kind}: {count - PLACES_SHOWN} more"


def _summary(report: Report) -> str:
    parts = [
        f"{report.files} files ({report.bytes / 1e6:.1f} MB) in {report.seconds:.1f} s",
        f"{report.lines} lines",
        f"{report.not_turns} records that are no turns",
    ]
    if report.rejected_lines:
        parts.append(f"{report.rejected_lines} rejected lines, kept with their reasons")
    if report.unread_bytes:
        parts.append(f"{report.unread_bytes} bytes not read yet")
    if report.unfinished_bytes:
        parts.append(f"{report.unfinished_bytes} of them unfinished last lines")
    return ", ".join(parts)
