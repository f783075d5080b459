"""The watcher's parts, assembled from the configuration, and its status."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict

from claude_headspace.archive.archiver import Archiver
from claude_headspace.archive.file import archived_file
from claude_headspace.archive.pieces import Pieces
from claude_headspace.capture.in_flight import InFlight
from claude_headspace.capture.pipeline import Capture
from claude_headspace.capture.reader import LineReader
from claude_headspace.capture.reread import Reread
from claude_headspace.capture.sources import Sources
from claude_headspace.config import Config
from claude_headspace.discovery.notifier import Notifications, Waker
from claude_headspace.discovery.scanner import Scanner
from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.health.status_file import WatcherState, WatcherStatus, status_path
from claude_headspace.inbox.consumer import InboxConsumer
from claude_headspace.inbox.messages import inbox_directory
from claude_headspace.inbox.queue import InboxQueue
from claude_headspace.inbox.retention import DoneFiles
from claude_headspace.machine import make_machine_id
from claude_headspace.quarantine import Quarantine, summary
from claude_headspace.sessions.log import make_log
from claude_headspace.sessions.timeouts import SessionTimeouts
from claude_headspace.store.patience import Patience
from claude_headspace.supervision.beats import beat_sender
from claude_headspace.transcripts.secrets import Redaction
from claude_headspace.watcher.error_boundary import Boundary
from claude_headspace.watcher.heartbeat import Heartbeat
from claude_headspace.watcher.lease import APPLICATION_NAME, Lease, Presence
from claude_headspace.watcher.liveness import Liveness
from claude_headspace.watcher.meter import Meter
from claude_headspace.watcher.pause import Pause, Stop
from claude_headspace.watcher.progress import BacklogProgress, WriteSummary
from claude_headspace.watcher.unread import Unfinished, Unread


class Parts:
    """All parts of the watcher, wired together; the loop and its jobs use them by their names."""

    def __init__(self, config: Config, is_orphaned: Callable[[], bool]) -> None:
        self._config = config
        self._is_orphaned = is_orphaned
        self._started_at = time.time()
        self._machine = make_machine_id(config.state.directory)
        self._roots = [str(path) for path in config.claude.projects_path]
        self._waker = Waker()
        self.stop = Stop(config.event_system.shutdown_timeout_seconds, self._waker)
        self.heartbeat = Heartbeat(
            Liveness(beat_sender()), status_path(config.state.directory), self._status
        )
        self.heartbeat.start()
        self.pause = Pause(self._waker, self.stop, self.heartbeat)
        self.meter = Meter()
        self.log = make_log(
            config,
            APPLICATION_NAME,
            patience=Patience(beat=self.heartbeat.beat, end=self.stop.end),
            prepare=Lease(config.state.directory, self._machine, config.state.host).take,
            pause=self.pause,
            measure=self.meter.wrote,
        )
        self._redaction = Redaction.of(config.privacy)
        self._in_flight = InFlight(config.state.directory)
        self.summary = WriteSummary(
            self.log.writer.counters, config.logging.summary_interval_seconds
        )
        self._find_files()
        self._read_files()

    def _find_files(self) -> None:
        """Create the parts that find files and queue them."""
        settings = self._config.file_watcher
        self.work_queue = WorkQueue()
        self.presence = Presence(self.log.database, self._machine, self.work_queue)
        self.quarantine: Quarantine[str] = Quarantine()
        self.unfinished = Unfinished(settings.final_line_wait_seconds)
        self.unread = Unread(self._roots, self.quarantine, self.work_queue, self.unfinished)
        self._progress = BacklogProgress(self.work_queue, self.meter)
        self.consumer = self._make_consumer()
        self.notifier = self._make_notifier()
        self.scanner = Scanner(
            roots=self._roots,
            inbox=str(self.consumer.watched),
            notifier=self.notifier,
            work_queue=self.work_queue,
            interval_seconds=settings.rescan_interval_seconds,
            troubled=self.quarantine.__contains__,
            tell_ready=self._progress.begin,
        )

    def _read_files(self) -> None:
        """Create the parts that bring their lines into the log."""
        settings = self._config.file_watcher
        self.sources = Sources(self.log.checkpoints, self.pause.beat, self.heartbeat.doing)
        self.capture = Capture(
            log=self.log,
            reader=LineReader(
                max_line_bytes=settings.max_line_bytes,
                in_flight=self._in_flight,
                redaction=self._redaction,
                captured=self.log.sessions.captured,
                beat=self.pause.beat,
            ),
            beat=self.pause.beat,
            in_flight=self._in_flight,
            count_rejected=self.meter.rejected,
        )
        self.archiver = self._make_archiver()
        self.timeouts = SessionTimeouts(self.log, settings.inactivity_timeout_seconds)
        self.boundary = Boundary(
            self.quarantine, learn_anew=self.learn_anew, count_death=self._in_flight.count_death
        )
        pieces = Pieces(self.log.database)
        self.reread = Reread(
            log=self.log,
            sources=self.sources,
            reader=self.capture.reader,
            beat=self.pause.beat,
            finished=self.work_queue.add_fresh,
            is_capturing=lambda: self.meter.is_capturing,
            archived=lambda *source: archived_file(pieces, *source),
        )

    def _make_consumer(self) -> InboxConsumer:
        directory, settings = inbox_directory(self._config.state.directory), self._config.inbox
        consumer = InboxConsumer(
            directory=directory,
            log=self.log,
            queue=InboxQueue(directory, self.unread.of_session),
            done=DoneFiles(directory, settings.keep_seconds, settings.keep_bytes),
            redaction=self._redaction,
            count_rejected=self.meter.rejected,
        )
        consumer.prepare()
        return consumer

    def _make_notifier(self) -> Notifications:
        enabled, platform = self._config.file_watcher.notifications, str(sys.platform)
        if platform == "linux":
            from claude_headspace.discovery.watches import DirectoryNotifier

            return DirectoryNotifier(enabled=enabled)
        from claude_headspace.discovery.observer import TreeNotifier

        trees = [*self._roots, str(self.consumer.watched)]
        return TreeNotifier(trees, self._waker, enabled=enabled)

    def _make_archiver(self) -> Archiver:
        return Archiver(
            database=self.log.database,
            machine=self._machine,
            enabled=self._config.archive.enabled,
            redactor=self._redaction.redactor,
            wanted=self.log.sessions.registrations.archived,
            is_capturing=lambda: self.meter.is_capturing,
            is_called=self.is_called,
            renumbered=self.sources.reload,
            doing=self.heartbeat.doing,
            beat=self.pause.beat,
        )

    def is_called(self) -> bool:
        """Whether a file has changed or something else needs the loop."""
        return self.pause.is_called(self.notifier.fileno())

    def learn_anew(self) -> None:
        """Drop what failed work left in memory, and read it from the database again."""
        self.sources.reload()
        self.capture.clear()
        self.timeouts.reload()

    def _status(self, state: WatcherState, reason: str | None) -> WatcherStatus:
        """The current status, for the status file."""
        self.summary.tell_if_due()
        if self._is_orphaned():
            self.stop.request()
        self._progress.advance()
        meter, work_queue = self.meter, self.work_queue
        writes = asdict(self.log.writer.counters)
        return WatcherStatus(
            **writes | {"rejected": sum(meter.measures.rejected.values())},
            pid=os.getpid(),
            started_at=self._started_at,
            beat_at=time.time(),
            state=state,
            reason=reason,
            backlog_bytes=work_queue.backlog_bytes,
            backlog_files=work_queue.backlog_files,
            committed_bytes=meter.committed_bytes,
            committed_lines=meter.committed_lines,
            advanced_at=meter.advanced_at,
            oldest_unread_at=work_queue.waiting_since,
            notifications=self.notifier.in_use,
            poison_lines=meter.poison_lines,
            trouble=self._trouble(),
            files=work_queue.files,
            sessions=len(self.log.sessions),
            capture_total_bytes=self._progress.total_bytes,
            capture_rate_bytes_per_second=self._progress.rate,
            measures=meter.measures,
        )

    def _trouble(self) -> str | None:
        """What cannot be read now, in one sentence."""
        sentences = [
            summary("folders cannot be read", self.scanner.unreadable),
            summary("files are in quarantine and tried again", self.quarantine.reasons),
            self.consumer.queue.trouble,
            self.timeouts.trouble,
            summary("files cannot be archived", self.archiver.trouble),
            summary("work has failed and is tried again", self.boundary.put_off),
        ]
        return "; ".join(filter(None, sentences)) or None
