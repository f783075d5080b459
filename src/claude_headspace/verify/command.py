"""`claude-headspace verify`: every transcript read again and compared with the log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TextIO
from uuid import UUID

from claude_headspace.config import Config
from claude_headspace.embedded.location import database_url
from claude_headspace.source.discovery import is_transcript, look, sweep
from claude_headspace.store.connection import Database, Patience
from claude_headspace.store.positions import Positions, StoredSource
from claude_headspace.verify.check import FileCheck, Write
from claude_headspace.verify.findings import Finding, Report
from claude_headspace.verify.logged import LogSide
from claude_headspace.verify.output import print_json, print_text
from claude_headspace.verify.progress import Progress
from claude_headspace.verify.reader import LineReader, longest_line
from claude_headspace.verify.repair import Repair
from claude_headspace.verify.sessions import SessionLookup

APPLICATION_NAME = "claude-headspace verify"
# Comparing a large log takes its time on the server.
ANSWER_SECONDS = 3600.0
# A running watcher is given this long, over a whole check, to read what was just written.
WATCHER_SECONDS = 3.0
_ASK_AGAIN_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """What to check, whether to write what is missing, and how to say it.

    `everything`: the text lists sessions too that are whole.
    """

    session: UUID | None = None
    repair: bool = False
    json: bool = False
    everything: bool = False


def run_verify(
    config: Config,
    options: VerifyOptions,
    *,
    output: TextIO | None = None,
    terminal: TextIO | None = None,
) -> int:
    """Check, tell, and return the exit status: 0 when nothing is missing and nothing differs.

    Raises DatabaseError when the database cannot be asked.
    """
    output, terminal = output or sys.stdout, terminal or sys.stderr
    database = Database(
        lambda: database_url(config),
        application_name=APPLICATION_NAME,
        patience=Patience(answer_seconds=ANSWER_SECONDS),
    )
    try:
        verifier = Verifier(config, options, database, terminal)
        report = verifier.run()
        sessions = verifier.log.sessions()
        if options.json:
            print_json(report, sessions, output)
        else:
            print_text(report, sessions, output, everything=options.everything)
    finally:
        database.close()
    return 1 if report.wrong > 0 else 0


class Verifier:
    """One check of all sources of a host."""

    def __init__(
        self, config: Config, options: VerifyOptions, database: Database, terminal: TextIO
    ) -> None:
        self._config = config
        self._options = options
        self._terminal = terminal
        host = config.state.host
        self._roots = [str(path) for path in config.claude.projects_path]
        self._positions = Positions(database, host)
        self._sessions = SessionLookup(database, host, config.file_watcher.sessions)
        self.log = LogSide(database, host, options.session)
        self._report = Report(host, repair=options.repair)
        self._repair = Repair(config, self._sessions) if options.repair else None
        self._watcher_runs = self.log.watcher_runs()
        self._patience = WATCHER_SECONDS

    def run(self) -> Report:
        """The whole check."""
        started = time.monotonic()
        try:
            self._check_files()
            self._finish()
            if self._repair:
                self._finish_repair(self._repair)
        finally:
            if self._repair:
                self._repair.close()
        self._report.seconds = time.monotonic() - started
        return self._report

    def _check_files(self) -> None:
        total = sum(seen.size for found in sweep(self._roots) for seen in found)
        progress = Progress(self._terminal, total)
        try:
            for path in self._paths():
                self._check_file(path, progress.advance)
        finally:
            progress.close()

    def _paths(self) -> Iterator[str]:
        """Every transcript, and every source known under another name or in another place."""
        for found in sweep(self._roots):
            yield from (seen.path for seen in found)
        for page in self.log.other_sources():
            yield from (path for path in page if not self._is_swept(path) and look(path))

    def _is_swept(self, path: str) -> bool:
        below = any(path.startswith(root.rstrip(os.sep) + os.sep) for root in self._roots)
        return below and is_transcript(path)

    def _check_file(self, path: str, advance: Callable[[int], None]) -> None:
        source = self._settled_source(path)
        if not self._is_wanted(path, source):
            return
        limit = longest_line(self._config.file_watcher.max_line_bytes)
        settled = source.position.offset if source else 0
        try:
            reader = LineReader(path, limit, settled, progress=advance)
        except OSError as error:
            self._report.tell(Finding("file", f"cannot be read: {error.strerror}", path))
            return
        try:
            self._compare(path, source, reader)
        except OSError as error:
            self._report.tell(Finding("file", f"cannot be read: {error.strerror}", path))
        finally:
            reader.close()

    def _compare(self, path: str, source: StoredSource | None, reader: LineReader) -> None:
        check = FileCheck(
            path,
            source,
            log=self.log,
            sessions=self._sessions,
            report=self._report,
            only=self._options.session,
            write=self._write_to(path),
        )
        problems = check.run(reader)
        if problems and source is not None and self._is_unchanged(source):
            for problem in problems:
                self._report.tell(Finding("position", problem, path))
        if self._repair and (problems or check.unkept):
            self._repair.doubt(path)

    def _write_to(self, path: str) -> Write | None:
        repair = self._repair
        if repair is None:
            return None
        return lambda source, places: repair.write(source, path, places)

    def _is_wanted(self, path: str, source: StoredSource | None) -> bool:
        only = self._options.session
        return only is None or source is None or only in source.sessions or str(only) in path

    def _settled_source(self, path: str) -> StoredSource | None:
        """The source's row, once a running watcher had the time to read what is there."""
        while True:
            source = self._positions.find(path)
            seen = look(path)
            read = seen is None or (source is not None and source.position.offset >= seen.size)
            if read or not self._watcher_runs or self._patience <= 0:
                return source
            time.sleep(_ASK_AGAIN_SECONDS)
            self._patience -= _ASK_AGAIN_SECONDS

    def _is_unchanged(self, source: StoredSource) -> bool:
        """Whether the watcher has not begun the file anew meanwhile."""
        now = self._positions.find(source.path)
        return now is not None and now.position.offset >= source.position.offset

    def _finish(self) -> None:
        self.log.finish()
        for event_id, session, offset, path in self.log.moved():
            why = "the event says it is from here; its line stands elsewhere"
            finding = Finding("moved", why, path, None, offset, session, None, event_id)
            self._report.tell(finding)
        for session in self.log.unannounced():
            finding = Finding("unannounced", "its session_registered is missing", session=session)
            self._report.tell(finding)
            if self._repair:
                self._report.announced += self._repair.announce(session)
        for _, tally in self.log.sessions():
            self._report.totals.add(tally)

    def _finish_repair(self, repair: Repair) -> None:
        if not repair.doubtful:
            return
        if self.log.watcher_runs():
            self._report.notes.append(
                "the stored positions are left alone while a watcher runs: stop it and repair again"
            )
            return
        self._positions.rewind(repair.doubtful)
        self._report.rewound = list(repair.doubtful)
        self._report.notes.append(
            "the watcher will read these sources again from their first byte: start it, then verify"
        )
