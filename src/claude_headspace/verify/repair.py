"""Repairs findings: writes missing events, and lets the watcher read files again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TextIO

from claude_headspace.archive.file import open_kept
from claude_headspace.archive.pieces import Pieces
from claude_headspace.capture.late_writer import LateWriter
from claude_headspace.config import Config
from claude_headspace.verify.conclusions import lost_events
from claude_headspace.verify.expected import Expected
from claude_headspace.verify.findings import Report
from claude_headspace.verify.logged import LogSide


@dataclass(slots=True)
class Repair:
    """`files` have missing turns; `doubtful` files must be read again from the beginning."""

    config: Config
    log: LogSide
    pieces: Pieces
    files: dict[int, str] = field(default_factory=dict)
    doubtful: list[str] = field(default_factory=list)

    def plan(self, report: Report) -> list[str]:
        """What will be done, in sentences; empty if there is nothing to do."""
        found = []
        if turns := report.totals.missing:
            sessions = sum(tally.missing > 0 for tally in report.sessions.values())
            found.append(f"add turns that are not in the log: {turns}, of sessions: {sessions}")
        for event_type, count in Counter(each[0] for each in lost_events(self.log)).items():
            found.append(f"add {event_type} events: {count}")
        if self.doubtful:
            found.append(f"have files read again from their first byte: {len(self.doubtful)}")
        return found

    def write(self, report: Report) -> None:
        """Write missing events, and count them."""
        writer = LateWriter(self.config)
        try:
            for source_id, path in self.files.items():
                try:
                    self._write_file(writer, source_id, path, report)
                except OSError as error:
                    report.notes.append(f"{path} cannot be read: {error.strerror}")
            report.of_sessions = sum(writer.write_missing(*each) for each in lost_events(self.log))
            # If turns are missing, tool and model calls of their lines may be missing, too.
            repaired = [each for each, tally in report.sessions.items() if tally.repaired]
            if repaired:
                writer.rebuild.run(repaired)
        finally:
            writer.close()

    def _write_file(self, writer: LateWriter, source_id: int, path: str, report: Report) -> None:
        limit, poison = self.config.file_watcher.max_line_bytes, self.log.poison(source_id)
        with closing(open_kept(self.pieces, source_id, path)) as file:
            for segment in Expected(file, limit, poison=poison).segments():
                read = [each.parsed for each in segment.turns]
                missing = self.log.missing(source_id, {turn.key for turn in read})
                turns = [turn for turn in read if (turn.key, turn.session) in missing]
                results = writer.write_turns(source_id, path, turns) if turns else []
                for turn, result in zip(turns, results, strict=True):
                    report.sessions[turn.session].repaired += result.outcome == "written"


def agreed(plan: Sequence[str], terminal: TextIO, answers: TextIO) -> bool:
    """Whether the user agrees to what would be written."""
    terminal.write("To repair the log:\n" + "".join(f"- {each}\n" for each in plan))
    terminal.write("Events that were deleted from the log on purpose will come back.\n")
    if not answers.isatty():
        return False
    terminal.write("Do this? [y/N] ")
    terminal.flush()
    return answers.readline().strip().lower() in ("y", "yes")
