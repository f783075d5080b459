"""`claude-headspace verify`: every transcript read again and compared with the log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TextIO

from claude_headspace.archive.check import proven_files
from claude_headspace.archive.file import ArchivedFile, open_kept
from claude_headspace.archive.pieces import Pieces
from claude_headspace.config import Config
from claude_headspace.discovery.listing import Sighting, is_transcript, look, sweep, unreadable
from claude_headspace.embedded.location import database_url
from claude_headspace.sessions.known import Sessions
from claude_headspace.store.checkpoints import Checkpoints, StoredSource
from claude_headspace.store.connection import Database
from claude_headspace.store.patience import Patience
from claude_headspace.store.sessions import SessionRows
from claude_headspace.store.version import require_schema
from claude_headspace.verify.check import FileCheck
from claude_headspace.verify.expected import Expected
from claude_headspace.verify.logged import LogSide
from claude_headspace.verify.options import VerifyOptions, agreed
from claude_headspace.verify.output import print_json, print_text
from claude_headspace.verify.progress_bar import Progress
from claude_headspace.verify.repair import Repair
from claude_headspace.verify.report import Finding, Report
from claude_headspace.verify.sessions import missing_events, wrong_sessions
from claude_headspace.verify.unexplained import tell_unexplained

APPLICATION_NAME = "claude-headspace verify"
# Comparing a large log takes its time on the server.
ANSWER_SECONDS = 3600.0


def run_verify(
    config: Config,
    options: VerifyOptions,
    *,
    output: TextIO | None = None,
    terminal: TextIO | None = None,
    answers: TextIO | None = None,
) -> int:
    """Check, tell, and return the exit status: 0 when nothing is missing and nothing differs.

    Questions are asked on `terminal` and answered on `answers`.
    Raises DatabaseError when the database cannot be asked.
    """
    output, terminal = output or sys.stdout, terminal or sys.stderr
    database = Database(
        lambda: database_url(config),
        application_name=APPLICATION_NAME,
        patience=Patience(answer_seconds=ANSWER_SECONDS),
        prepare=require_schema,
    )
    try:
        verifier = Verifier(config, options, database, terminal)
        report = verifier.run()
        if options.repair:
            verifier.repair(lambda plan: agreed(plan, options, terminal, answers or sys.stdin))
        if options.json:
            print_json(report, output)
        else:
            print_text(report, output, everything=options.everything)
    finally:
        database.close()
    return 1 if report.wrong > 0 else 0


class Verifier:
    """One check of all sources of a machine."""

    def __init__(
        self, config: Config, options: VerifyOptions, database: Database, terminal: TextIO
    ) -> None:
        self._config = config
        self._only = options.session
        self._terminal = terminal
        machine = config.state.machine
        self._roots = [str(path) for path in config.claude.projects_path]
        self._checkpoints = Checkpoints(database, machine)
        self._sessions = Sessions(SessionRows(database, machine), config.file_watcher.sessions)
        self._sessions.reload()
        self.log = LogSide(database, machine, options.session)
        self._report = Report(config.state.host)
        self._pieces = Pieces(database)
        self._database = database
        self._repair = Repair(config, self.log, self._pieces)
        self._watcher_runs = self.log.watcher_runs()
        self._unreadable: dict[str, str] = {}

    def run(self) -> Report:
        """The whole check."""
        started = time.monotonic()
        self._unreadable = unreadable(self._roots)
        self._check_files()
        self._check_archive()
        for path, why in self._unreadable.items():
            self._report.tell(Finding("unreadable", f"cannot be read: {why}", path))
        tell_unexplained(self.log, self._report)
        # Whoever may still speak, or has nobody who would end it, is not expected to have ended.
        ends = self._watcher_runs and not self._report.unread_bytes
        timeout = self._config.file_watcher.inactivity_timeout_seconds
        for finding in wrong_sessions(self.log, timeout if ends else None):
            self._report.tell(finding)
        self._report.seconds = time.monotonic() - started
        return self._report

    def repair(self, agreed: Callable[[Sequence[str]], bool]) -> None:
        """Write what is missing, and have read again what has to be, if that is agreed to."""
        self._repair.of_sessions = list(missing_events(self.log))
        plan = self._repair.plan(self._report)
        if not plan:
            return
        if not agreed(plan):
            self._report.notes.append("nothing was written: answer yes, or use --yes")
            return
        self._repair.write(self._report)
        self._rewind(self._repair.doubtful)

    def _rewind(self, paths: Sequence[str]) -> None:
        if not paths:
            return
        notes = self._report.notes
        if self.log.watcher_runs():
            notes.append(
                "checkpoints cannot be changed while a watcher runs: stop it and repair again"
            )
            return
        self._checkpoints.rewind(paths)
        self._report.rewound = list(paths)
        notes.append("the watcher will read these files from their start: run it, then verify")

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
        for path in self.log.paths():
            is_file = _look(path) is not None
            if not (self._is_swept(path) if is_file else os.path.lexists(path)):
                yield path

    def _is_swept(self, path: str) -> bool:
        below = any(path.startswith(root.rstrip(os.sep) + os.sep) for root in self._roots)
        return below and is_transcript(path)

    def _check_file(self, path: str, advance: Callable[[int], None]) -> None:
        source = self._checkpoints.find(path)
        only = self._only
        if only and source and only not in source.sessions and str(only) not in path:
            return
        try:
            self._compare(path, source, advance)
        except FileNotFoundError:
            return
        except OSError as error:
            self._unreadable.setdefault(path, error.strerror or str(error))

    def _check_archive(self) -> None:
        report = self._report
        for each in proven_files(self._database, self.log.machine, self._only):
            report.archived_files += each.bytes > 0
            report.archived_bytes += each.bytes
            report.unarchived_bytes += each.unarchived
            if each.problem is not None:
                report.tell(Finding("archive", each.problem, each.path))

    def _compare(
        self, path: str, source: StoredSource | None, advance: Callable[[int], None]
    ) -> None:
        check = FileCheck(
            path,
            source,
            log=self.log,
            captured=self._sessions.captured,
            report=self._report,
            only=self._only,
            watched=self._watcher_runs,
        )
        file = open_kept(self._pieces, source.id if source else None, path)
        expected = Expected(
            file,
            self._config.file_watcher.max_line_bytes,
            source.checkpoint.offset if source else 0,
            set_aside=self.log.set_aside(source.id) if source else (),
            progress=advance,
        )
        try:
            problems = check.run(expected)
        finally:
            expected.close()
        if source is None:
            return
        if isinstance(file, ArchivedFile):
            self._report.from_archive += 1
            for problem in problems:
                self._report.tell(Finding("unproven", f"only in the archive: {problem}", path))
            problems, check.wrong = [], False
        if problems and self._is_unchanged(source):
            for problem in problems:
                self._report.tell(Finding("checkpoint", problem, path))
        if check.missing:
            self._repair.files[source.id] = path
        if problems or check.wrong:
            self._repair.doubtful.append(path)

    def _is_unchanged(self, source: StoredSource) -> bool:
        """Whether the watcher has not begun the file anew meanwhile."""
        now = self._checkpoints.find(source.path)
        return now is not None and now.checkpoint.offset >= source.checkpoint.offset


def _look(path: str) -> Sighting | None:
    with suppress(OSError):
        return look(path)
    return None
