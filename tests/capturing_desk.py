"""What captures one file a step at a time, on a real database, without the loop around it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import lines
from claude_headspace.capture.in_flight import InFlight
from claude_headspace.capture.pipeline import Capture, CaptureStep
from claude_headspace.capture.reader import LineReader
from claude_headspace.capture.sources import Sources
from claude_headspace.events.redaction import make_redactor
from claude_headspace.machine import id_of_name
from claude_headspace.sessions.lifecycle import Sessions
from claude_headspace.sessions.log import Log as WrittenLog
from claude_headspace.store.checkpoints import Checkpoints
from claude_headspace.store.connection import Database
from claude_headspace.store.sessions import SessionRows
from claude_headspace.store.writer import EventWriter
from claude_headspace.transcripts.secrets import Redaction
from harness import HOST, Log, Projects


def nothing() -> None:
    """No sign of life is needed here."""


@dataclass
class Desk:
    """What captures one file, without the loop around it."""

    state: Path
    projects: Projects
    log: Log
    host: str = HOST
    mode: Literal["all", "registered"] = "all"
    rejected: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.database = Database(lambda: self.log.url, application_name="desk", by_itself=False)
        self.database.connect()
        self.checkpoints = Checkpoints(self.database, id_of_name(self.host))
        self.sessions = Sessions(SessionRows(self.database, id_of_name(self.host)), self.mode)
        self.sessions.reload()
        self.sources = Sources(self.checkpoints, nothing)
        self.in_flight = InFlight(self.state)
        redaction = Redaction(make_redactor([]))
        self.reader = LineReader(
            max_line_bytes=1 << 20, in_flight=self.in_flight, redaction=redaction,
            captured=self.sessions.captured, beat=nothing,
        )  # fmt: skip
        self.capture = Capture(
            log=WrittenLog(
                self.database, EventWriter(self.database), self.checkpoints, self.sessions
            ),
            reader=self.reader,
            beat=nothing,
            in_flight=self.in_flight,
            count_rejected=self._count,
        )

    def _count(self, found: Mapping[str, int]) -> None:
        self.rejected.update(found)

    def clear(self) -> None:
        """As on a new connection."""
        self.database.connect()
        self.sources.reload()
        self.capture.clear()
        self.sessions.reload()

    def take(self, path: Path) -> CaptureStep:
        (source,) = self.sources.open(str(path))
        return self.capture.step(source)

    def write(self, session: str, *records: dict[str, Any]) -> Path:
        path = self.projects.path(session)
        self.projects.append(path, lines.joined(*records))
        return path

    def checkpoint(self, path: Path) -> tuple[int, dict[str, Any]]:
        rows = self.log.rows(
            "SELECT committed_offset::int, counts FROM checkpoints WHERE path = %s"
            " AND machine = %s", (str(path), id_of_name(self.host)),
        )  # fmt: skip
        offset, counts = rows[0]
        return offset, counts

    def kinds(self) -> list[tuple[str, int | None]]:
        """(type, offset) of each event in the order of the log."""
        return self.log.rows("SELECT event_type, source_offset::int FROM events ORDER BY id")
