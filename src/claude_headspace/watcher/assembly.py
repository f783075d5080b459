"""The watcher put together from the configuration."""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from collections.abc import Callable

from claude_headspace.archive.archiver import Archiver
from claude_headspace.archive.file import archived_file
from claude_headspace.archive.pieces import Pieces
from claude_headspace.capture.in_flight import InFlight
from claude_headspace.capture.pipeline import Capture
from claude_headspace.capture.reader import Reader
from claude_headspace.capture.redaction import Redaction
from claude_headspace.capture.reread import Reread
from claude_headspace.capture.sources import Sources
from claude_headspace.config import Config
from claude_headspace.discovery.notifier import Notifications, Waker
from claude_headspace.discovery.scanner import Scanner
from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.embedded.location import database_url
from claude_headspace.errors import StopRequested
from claude_headspace.events.event import Event
from claude_headspace.events.redaction import make_redactor, redact_bytes, redact_event
from claude_headspace.health.status import State, WatcherStatus, status_path
from claude_headspace.hooks.danger import settings_paths, warnings
from claude_headspace.inbox.consumer import InboxConsumer
from claude_headspace.inbox.done import Kept
from claude_headspace.inbox.queue import InboxQueue
from claude_headspace.machine import make_machine_id
from claude_headspace.quarantine import Quarantine
from claude_headspace.sessions.known import Sessions
from claude_headspace.sessions.timeouts import SessionTimeouts
from claude_headspace.store.checkpoints import Checkpoints
from claude_headspace.store.connection import Database
from claude_headspace.store.patience import Patience
from claude_headspace.store.sessions import SessionRows
from claude_headspace.store.writer import EventWriter
from claude_headspace.supervision.beats import BeatSender, beats_path
from claude_headspace.watcher.boundary import Boundary
from claude_headspace.watcher.heartbeat import Heartbeat
from claude_headspace.watcher.lease import APPLICATION_NAME, Lease
from claude_headspace.watcher.liveness import Liveness
from claude_headspace.watcher.loop import Loop
from claude_headspace.watcher.meter import Meter
from claude_headspace.watcher.pause import Pause
from claude_headspace.watcher.snapshot import snapshot
from claude_headspace.watcher.stop import Stop
from claude_headspace.watcher.summary import Summary

INBOX_NAME = "inbox"

logger = logging.getLogger("claude_headspace.watcher")


class Watcher:
    """Everything that captures, wired together from the configuration."""

    def __init__(self, config: Config, is_orphaned: Callable[[], bool]) -> None:
        self._config = config
        self._is_orphaned = is_orphaned
        self._started_at = time.time()
        self._machine = make_machine_id(config.state.directory)
        self._waker = Waker()
        self._stop = Stop(config.event_system.shutdown_timeout_seconds, self._waker)
        self._heartbeat = Heartbeat(
            Liveness(_sender()),
            status_path(config.state.directory),
            self._snapshot,
            at_rest=lambda: self._writer.counters.at_rest(),
        )
        self._heartbeat.start()
        self._work_queue = WorkQueue()
        self._database = Database(
            lambda: database_url(config),
            application_name=APPLICATION_NAME,
            patience=Patience(beat=self._heartbeat.beat, end=self._stop.end),
            prepare=Lease(config.state.directory, self._machine, config.state.host).take,
            by_itself=False,
        )
        self._pause = Pause(self._waker, self._stop, self._heartbeat)
        self._checkpoints = Checkpoints(self._database, self._machine)
        self._sessions = Sessions(
            SessionRows(self._database, self._machine), config.file_watcher.sessions
        )
        self._meter = Meter()
        self._writer = EventWriter(
            self._database,
            retry_attempts=config.event_system.write_retry_attempts,
            retry_delay_ms=config.event_system.write_retry_delay_ms,
            pause=self._pause,
            restore=self._sessions.restored,
            measure=self._meter.wrote,
        )
        self._redactor = make_redactor(config.privacy.patterns) if config.privacy.redact else None
        self._consumer = self._make_consumer()
        self._roots = [str(path) for path in config.claude.projects_path]
        self._notifier = self._make_notifier()
        self._in_flight = InFlight(config.state.directory)
        self._quarantine: Quarantine[str] = Quarantine()
        self._scanner = self._make_scanner()
        self._loop = self._make_loop()
        self._summary = Summary(self._writer.counters, config.logging.summary_interval_seconds)

    def _make_consumer(self) -> InboxConsumer:
        directory = self._config.state.directory / INBOX_NAME
        settings = self._config.inbox
        consumer = InboxConsumer(
            directory=directory,
            database=self._database,
            writer=self._writer,
            checkpoints=self._checkpoints,
            sessions=self._sessions,
            queue=InboxQueue(directory, lambda session: self._loop.has_unread(session)),
            kept=Kept(directory, settings.keep_seconds, settings.keep_bytes),
            redact=self._redacted,
            redact_bytes=lambda content: redact_bytes(self._redactor, content),
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

        return TreeNotifier(
            [*self._roots, str(self._consumer.watched)], self._waker, enabled=enabled
        )

    def _make_scanner(self) -> Scanner:
        return Scanner(
            roots=self._roots,
            inbox=str(self._consumer.watched),
            notifier=self._notifier,
            work_queue=self._work_queue,
            interval_seconds=self._config.file_watcher.rescan_interval_seconds,
            troubled=self._quarantine.__contains__,
            tell_ready=lambda: self._loop.tell_ready(),
        )

    def _make_loop(self) -> Loop:
        sources = Sources(self._checkpoints, self._beat_or_stop, self._heartbeat.doing)
        capture = self._make_capture()
        return Loop(
            settings=self._config.file_watcher,
            database=self._database,
            checkpoints=self._checkpoints,
            sources=sources,
            capture=capture,
            reread=self._make_reread(sources),
            archiver=self._make_archiver(sources),
            timeouts=self._make_timeouts(),
            consumer=self._consumer,
            notifier=self._notifier,
            scanner=self._scanner,
            aside=self._quarantine,
            roots=self._roots,
            boundary=Boundary(
                self._quarantine,
                learn_anew=lambda: self._loop.learn_anew(),
                count_death=self._in_flight.count_death,
            ),
            work_queue=self._work_queue,
            waker=self._waker,
            stop=self._stop,
            heartbeat=self._heartbeat,
            pause=self._pause,
        )

    def _make_capture(self) -> Capture:
        return Capture(
            database=self._database,
            writer=self._writer,
            checkpoints=self._checkpoints,
            sessions=self._sessions,
            reader=self._make_reader(),
            beat=self._beat_or_stop,
            in_flight=self._in_flight,
            count_rejected=self._meter.rejected,
        )

    def _make_reader(self) -> Reader:
        return Reader(
            max_line_bytes=self._config.file_watcher.max_line_bytes,
            in_flight=self._in_flight,
            redaction=Redaction(self._redactor),
            beat=self._beat_or_stop,
        )

    def _make_reread(self, sources: Sources) -> Reread:
        return Reread(
            database=self._database,
            writer=self._writer,
            checkpoints=self._checkpoints,
            sources=sources,
            sessions=self._sessions,
            redaction=Redaction(self._redactor),
            max_line_bytes=self._config.file_watcher.max_line_bytes,
            beat=self._beat_or_stop,
            finished=self._work_queue.add_fresh,
            is_capturing=lambda: self._loop.is_capturing,
            archived=lambda *source: archived_file(Pieces(self._database), *source),
        )

    def _make_archiver(self, sources: Sources) -> Archiver:
        return Archiver(
            database=self._database,
            machine=self._machine,
            enabled=self._config.archive.enabled,
            redactor=self._redactor,
            wanted=self._sessions.registrations.archived,
            is_capturing=lambda: self._loop.is_capturing,
            renumbered=sources.forget,
            announce=self._heartbeat.doing,
            beat=self._beat_or_stop,
        )

    def _make_timeouts(self) -> SessionTimeouts:
        return SessionTimeouts(
            database=self._database,
            writer=self._writer,
            checkpoints=self._checkpoints,
            sessions=self._sessions,
            inactivity_timeout_seconds=self._config.file_watcher.inactivity_timeout_seconds,
        )

    def _redacted(self, event: Event) -> Event:
        return event if self._redactor is None else redact_event(self._redactor, event)

    def run(self) -> None:
        """Capture until a signal asks for the end; returns with everything in flight stored."""
        self._stop.listen()
        projects = ", ".join(str(path) for path in self._config.claude.projects_path)
        logger.info("start: pid %d, capturing %s", os.getpid(), projects)
        for danger in warnings(settings_paths(self._config.claude.projects_path)):
            logger.warning("%s", danger)
        self._heartbeat.become("starting")
        # What was imported stays; looking through it again and again finds nothing.
        gc.collect()
        gc.freeze()
        try:
            self._loop.run()
        finally:
            self._heartbeat.become("stopping", self._stop.signal)
            self._notifier.stop()
            self._database.close()
            self._heartbeat.finish()
        self._summary.tell()
        logger.info("stop: %s", self._stop.signal)

    def _beat_or_stop(self) -> None:
        """For long work of which nothing is kept until it is done."""
        self._heartbeat.beat()
        if self._stop.requested:
            raise StopRequested

    def _snapshot(self, state: State, reason: str | None) -> WatcherStatus:
        self._summary.tell_if_due()
        if self._is_orphaned():
            self._stop.request()
        return snapshot(
            state,
            reason,
            started_at=self._started_at,
            loop=self._loop,
            work_queue=self._work_queue,
            counters=self._writer.counters,
            measures=self._meter.measures,
            notifications=self._notifier.complete,
            sessions=len(self._sessions),
        )


def _sender() -> BeatSender | None:
    """To the guard of the supervisord that started this process."""
    path = beats_path()
    return None if path is None else BeatSender(path)
