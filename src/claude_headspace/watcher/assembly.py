"""Assembling the watcher from the configuration."""

from __future__ import annotations

import sys
from collections.abc import Callable

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
from claude_headspace.inbox.done_files import DoneFiles
from claude_headspace.inbox.messages import inbox_directory
from claude_headspace.inbox.queue import InboxQueue
from claude_headspace.machine import make_machine_id
from claude_headspace.quarantine import Quarantine
from claude_headspace.sessions.log import make_log
from claude_headspace.sessions.timeouts import SessionTimeouts
from claude_headspace.store.patience import Patience
from claude_headspace.supervision.beats import beat_sender
from claude_headspace.transcripts.secrets import Redaction
from claude_headspace.watcher.backlog import BacklogProgress
from claude_headspace.watcher.error_boundary import Boundary
from claude_headspace.watcher.heartbeat import Heartbeat
from claude_headspace.watcher.lease import APPLICATION_NAME, Lease
from claude_headspace.watcher.liveness import Liveness
from claude_headspace.watcher.loop import Loop
from claude_headspace.watcher.meter import Meter
from claude_headspace.watcher.pause import Pause
from claude_headspace.watcher.presence import Presence
from claude_headspace.watcher.reading import Reading
from claude_headspace.watcher.rewinding import Rewinding
from claude_headspace.watcher.snapshot import Snapshot
from claude_headspace.watcher.stop_request import Stop
from claude_headspace.watcher.unfinished import Unfinished
from claude_headspace.watcher.unread import Unread
from claude_headspace.watcher.write_summary import WriteSummary


class Parts:
    """All parts of the watcher, wired together."""

    def __init__(self, config: Config, is_orphaned: Callable[[], bool]) -> None:
        self._config = config
        self._is_orphaned = is_orphaned
        self._machine = make_machine_id(config.state.directory)
        self._roots = [str(path) for path in config.claude.projects_path]
        self._waker = Waker()
        self.stop = Stop(config.event_system.shutdown_timeout_seconds, self._waker)
        self.heartbeat = Heartbeat(
            Liveness(beat_sender()), status_path(config.state.directory), self._status
        )
        self.heartbeat.start()
        self._pause = Pause(self._waker, self.stop, self.heartbeat)
        self._meter = Meter()
        self.log = make_log(
            config,
            APPLICATION_NAME,
            patience=Patience(beat=self.heartbeat.beat, end=self.stop.end),
            prepare=Lease(config.state.directory, self._machine, config.state.host).take,
            pause=self._pause,
            measure=self._meter.wrote,
        )
        self._redaction = Redaction.of(config.privacy)
        self._in_flight = InFlight(config.state.directory)
        self.summary = WriteSummary(
            self.log.writer.counters, config.logging.summary_interval_seconds
        )
        self._find_files()
        self._read_files()
        self._snapshot = self._make_snapshot()
        self.loop = self._make_loop()

    def _find_files(self) -> None:
        """Create the parts that find files and queue them."""
        settings = self._config.file_watcher
        self._work_queue = WorkQueue()
        self._quarantine: Quarantine[str] = Quarantine()
        self._unfinished = Unfinished(settings.final_line_wait_seconds)
        self._unread = Unread(self._roots, self._quarantine, self._work_queue, self._unfinished)
        self._progress = BacklogProgress(self._work_queue, self._meter)
        self._consumer = self._make_consumer()
        self.notifier = self._make_notifier()
        self._is_called = lambda: self._pause.is_called(self.notifier.fileno())
        self._scanner = Scanner(
            roots=self._roots,
            inbox=str(self._consumer.watched),
            notifier=self.notifier,
            work_queue=self._work_queue,
            interval_seconds=settings.rescan_interval_seconds,
            troubled=self._quarantine.__contains__,
            tell_ready=self._progress.begin,
        )

    def _read_files(self) -> None:
        """Create the parts that bring their lines into the log."""
        settings = self._config.file_watcher
        self._sources = Sources(self.log.checkpoints, self._pause.beat, self.heartbeat.doing)
        self._capture = Capture(
            log=self.log,
            reader=LineReader(
                max_line_bytes=settings.max_line_bytes,
                in_flight=self._in_flight,
                redaction=self._redaction,
                beat=self._pause.beat,
            ),
            beat=self._pause.beat,
            in_flight=self._in_flight,
            count_rejected=self._meter.rejected,
        )
        self._archiver = self._make_archiver()
        self._timeouts = SessionTimeouts(self.log, settings.inactivity_timeout_seconds)
        self._boundary = Boundary(
            self._quarantine, learn_anew=self._learn_anew, count_death=self._in_flight.count_death
        )

    def _make_consumer(self) -> InboxConsumer:
        directory, settings = inbox_directory(self._config.state.directory), self._config.inbox
        consumer = InboxConsumer(
            directory=directory,
            log=self.log,
            queue=InboxQueue(directory, self._unread.of_session),
            done=DoneFiles(directory, settings.keep_seconds, settings.keep_bytes),
            redaction=self._redaction,
            count_rejected=self._meter.rejected,
        )
        consumer.prepare()
        return consumer

    def _make_notifier(self) -> Notifications:
        enabled, platform = self._config.file_watcher.notifications, str(sys.platform)
        if platform == "linux":
            from claude_headspace.discovery.watches import DirectoryNotifier

            return DirectoryNotifier(enabled=enabled)
        from claude_headspace.discovery.observer import TreeNotifier

        trees = [*self._roots, str(self._consumer.watched)]
        return TreeNotifier(trees, self._waker, enabled=enabled)

    def _make_archiver(self) -> Archiver:
        return Archiver(
            database=self.log.database,
            machine=self._machine,
            enabled=self._config.archive.enabled,
            redactor=self._redaction.redactor,
            wanted=self.log.sessions.registrations.archived,
            is_capturing=lambda: self._meter.is_capturing,
            is_called=self._is_called,
            renumbered=self._sources.forget,
            announce=self.heartbeat.doing,
            beat=self._pause.beat,
        )

    def _make_snapshot(self) -> Snapshot:
        return Snapshot(
            log=self.log,
            meter=self._meter,
            progress=self._progress,
            work_queue=self._work_queue,
            quarantine=self._quarantine,
            notifier=self.notifier,
            scanner=self._scanner,
            consumer=self._consumer,
            timeouts=self._timeouts,
            archiver=self._archiver,
            boundary=self._boundary,
        )

    def _make_reread(self) -> Reread:
        pieces = Pieces(self.log.database)
        return Reread(
            log=self.log,
            sources=self._sources,
            redaction=self._redaction,
            max_line_bytes=self._config.file_watcher.max_line_bytes,
            beat=self._pause.beat,
            finished=self._work_queue.add_fresh,
            is_capturing=lambda: self._meter.is_capturing,
            archived=lambda *source: archived_file(pieces, *source),
        )

    def _make_reading(self) -> Reading:
        return Reading(
            sources=self._sources,
            capture=self._capture,
            archiver=self._archiver,
            work_queue=self._work_queue,
            recent=self._scanner.recent,
            unfinished=self._unfinished,
            quarantine=self._quarantine,
            boundary=self._boundary,
            heartbeat=self.heartbeat,
            meter=self._meter,
            is_called=self._is_called,
        )

    def _make_loop(self) -> Loop:
        return Loop(
            log=self.log,
            capture=self._capture,
            reading=self._make_reading(),
            reread=self._make_reread(),
            rewinding=Rewinding(
                database=self.log.database,
                timeouts=self._timeouts,
                sources=self._sources,
                work_queue=self._work_queue,
                boundary=self._boundary,
            ),
            archiver=self._archiver,
            timeouts=self._timeouts,
            consumer=self._consumer,
            notifier=self.notifier,
            scanner=self._scanner,
            quarantine=self._quarantine,
            unfinished=self._unfinished,
            unread=self._unread,
            boundary=self._boundary,
            work_queue=self._work_queue,
            stop=self.stop,
            heartbeat=self.heartbeat,
            pause=self._pause,
            presence=Presence(self.log.database, self._machine, self._work_queue),
            meter=self._meter,
            learn_anew=self._learn_anew,
        )

    def _learn_anew(self) -> None:
        """Drop what failed work left in memory, and read it from the database again."""
        self._sources.forget()
        self._capture.forget()
        self._timeouts.reload()

    def _status(self, state: WatcherState, reason: str | None) -> WatcherStatus:
        self.summary.tell_if_due()
        if self._is_orphaned():
            self.stop.request()
        return self._snapshot(state, reason)
