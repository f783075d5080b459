"""`claude-headspace verify`: reads every transcript again and compares it with the log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import TextIO
from uuid import UUID

import click

from claude_headspace.archive.file import ArchivedFile, open_kept
from claude_headspace.archive.pieces import Pieces
from claude_headspace.archive.proof import proven_files
from claude_headspace.config import Config
from claude_headspace.discovery.listing import Listing, is_transcript, look, unreadable
from claude_headspace.embedded.location import database_url
from claude_headspace.sessions.lifecycle import Sessions
from claude_headspace.store.checkpoints import Checkpoints, StoredSource
from claude_headspace.store.connection import Database
from claude_headspace.store.patience import Patience
from claude_headspace.store.sessions import SessionRows
from claude_headspace.store.version import require_schema
from claude_headspace.verify.check import FileCheck
from claude_headspace.verify.conclusions import conclude
from claude_headspace.verify.expected import Expected
from claude_headspace.verify.findings import Finding, Report
from claude_headspace.verify.logged import LogSide
from claude_headspace.verify.repair import Repair, agreed

APPLICATION_NAME = "claude-headspace verify"
# Comparing a large log takes long on the server.
ANSWER_SECONDS = 3600.0


def run_verify(
    config: Config,
    session: UUID | None = None,
    *,
    repair: bool = False,
    yes: bool = False,
    terminal: TextIO | None = None,
    answers: TextIO | None = None,
) -> Report:
    """Compare all transcripts, or those of one session, with the log.

    `repair` writes missing events, with `yes` without asking; questions go to `terminal`, answers
    come from `answers`. Raises DatabaseError.
    """
    terminal, answers = terminal or sys.stderr, answers or sys.stdin
    database = Database(
        lambda: database_url(config),
        application_name=APPLICATION_NAME,
        patience=Patience(answer_seconds=ANSWER_SECONDS),
        prepare=require_schema,
    )
    with closing(database):
        verifier = Verifier(config, session, database, terminal)
        report = verifier.run()
        if repair:
            verifier.repair(lambda plan: yes or agreed(plan, terminal, answers))
    return report


class Verifier:
    """A check of all sources of a machine, or of one session."""

    def __init__(
        self, config: Config, only: UUID | None, database: Database, terminal: TextIO
    ) -> None:
        self._config = config
        self._only = only
        self._terminal = terminal
        self._database = database
        self._roots = [str(path) for path in config.claude.projects_path]
        machine = config.state.machine
        self._checkpoints = Checkpoints(database, machine)
        self._sessions = Sessions(SessionRows(database, machine), config.file_watcher.sessions)
        self._sessions.reload()
        self._log = LogSide(database, machine, only)
        self._report = Report(config.state.host)
        self._pieces = Pieces(database)
        self._repair = Repair(config, self._log, self._pieces)
        self._watcher_runs = self._log.watcher_runs()
        self._unreadable: dict[str, str] = {}

    def run(self) -> Report:
        """Run the whole check."""
        started = time.monotonic()
        report = self._report
        self._unreadable = unreadable(self._roots)
        self._check_files()
        wanted = self._sessions.registrations.archived
        for each in proven_files(self._database, self._log.machine, self._only, wanted):
            report.archived_files += each.bytes > 0
            report.archived_bytes += each.bytes
            report.unarchived_bytes += each.unarchived
            if each.problem is not None:
                report.tell(Finding("archive", each.problem, each.path))
        for path, why in self._unreadable.items():
            report.tell(Finding("unreadable", f"cannot be read: {why}", path))
        # A session that may continue, or that no watcher could end, is not expected to have ended.
        ends = self._watcher_runs and not report.unread_bytes
        timeout = self._config.file_watcher.inactivity_timeout_seconds
        conclude(self._log, report, timeout if ends else None)
        report.seconds = time.monotonic() - started
        return report

    def repair(self, agreed: Callable[[Sequence[str]], bool]) -> None:
        """Write missing events and reset wrong checkpoints, if the user agrees."""
        plan = self._repair.plan(self._report)
        if not plan:
            return
        notes = self._report.notes
        if not agreed(plan):
            notes.append("nothing was written: answer yes, or use --yes")
            return
        self._repair.write(self._report)
        if not self._repair.doubtful:
            return
        if self._log.watcher_runs():
            notes.append(
                "checkpoints cannot be changed while a watcher runs: stop it and repair again"
            )
            return
        self._checkpoints.rewind(self._repair.doubtful)
        self._report.rewound = self._repair.doubtful
        notes.append(
            "the watcher will read these files from the beginning: run it, then verify again"
        )

    def _check_files(self) -> None:
        total = sum(seen.size for found in Listing(self._roots) for seen in found)
        hidden = not self._terminal.isatty()
        with click.progressbar(length=total, file=self._terminal, hidden=hidden) as bar:
            for path in self._paths():
                self._check_file(path, bar.update)

    def _paths(self) -> Iterator[str]:
        """Every transcript, and every known source with another name or place."""
        for found in Listing(self._roots):
            yield from (seen.path for seen in found)
        for path in self._log.paths():
            is_file = False
            with suppress(OSError):
                is_file = look(path) is not None
            if not (self._is_swept(path) if is_file else os.path.lexists(path)):
                yield path

    def _is_swept(self, path: str) -> bool:
        below = any(path.startswith(root.rstrip(os.sep) + os.sep) for root in self._roots)
        return below and is_transcript(path)

    def _check_file(self, path: str, advance: Callable[[int], None]) -> None:
        source = self._checkpoints.find(path)
        only = self._only
        if only and source and only not in source.sessions and str(only) not in path.lower():
            return
        try:
            self._compare(path, source, advance)
        except FileNotFoundError:
            return
        except OSError as error:
            self._unreadable.setdefault(path, error.strerror or str(error))

    def _compare(
        self, path: str, source: StoredSource | None, advance: Callable[[int], None]
    ) -> None:
        check = FileCheck(
            path,
            source,
            log=self._log,
            captured=self._sessions.captured,
            report=self._report,
            only=self._only,
            watched=self._watcher_runs,
        )
        with closing(open_kept(self._pieces, source.id if source else None, path)) as file:
            expected = Expected(
                file,
                self._config.file_watcher.max_line_bytes,
                source.checkpoint.offset if source else 0,
                poison=self._log.poison(source.id) if source else (),
                progress=advance,
            )
            problems = check.run(expected)
        if source is not None:
            self._report_problems(source, check, problems, archived=isinstance(file, ArchivedFile))

    def _report_problems(
        self, source: StoredSource, check: FileCheck, problems: Sequence[str], *, archived: bool
    ) -> None:
        """Report what is wrong with a file as a whole, and plan its repair."""
        if check.missing:
            self._repair.files[source.id] = source.path
        if archived:
            self._report.from_archive += 1
            for problem in problems:
                why = f"only in the archive: {problem}"
                self._report.tell(Finding("unproven", why, source.path))
            return
        if problems or check.wrong:
            self._repair.doubtful.append(source.path)
        now = self._checkpoints.find(source.path) if problems else None
        # Otherwise the watcher has started the file again meanwhile.
        if now is not None and now.checkpoint.offset >= source.checkpoint.offset:
            for problem in problems:
                self._report.tell(Finding("checkpoint", problem, source.path))
