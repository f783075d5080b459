"""The log for a program that writes to it over one connection, for one machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from claude_headspace.config import Config
from claude_headspace.embedded.location import database_url
from claude_headspace.machine import make_machine_id
from claude_headspace.sessions.lifecycle import Sessions
from claude_headspace.store.checkpoints import Checkpoints
from claude_headspace.store.connection import Database
from claude_headspace.store.patience import Patience
from claude_headspace.store.sessions import SessionRows
from claude_headspace.store.version import require_schema
from claude_headspace.store.writer import EventWriter, Measure


@dataclass(frozen=True, slots=True)
class Log:
    """The parts that write to the log: events, checkpoints and sessions."""

    database: Database
    writer: EventWriter
    checkpoints: Checkpoints
    sessions: Sessions


def make_log(
    config: Config,
    application_name: str,
    *,
    patience: Patience | None = None,
    prepare: Callable[[Database], None] | None = None,
    pause: Callable[[float], None] = time.sleep,
    measure: Measure | None = None,
) -> Log:
    """The log of this configuration. Requests on a lost connection fail: see Database.

    `prepare` must check the schema; without it, this is all that is done on a new connection.
    """
    database = Database(
        lambda: database_url(config),
        application_name=application_name,
        patience=patience,
        prepare=prepare or require_schema,
        by_itself=False,
    )
    machine = make_machine_id(config.state.directory)
    sessions = Sessions(SessionRows(database, machine), config.file_watcher.sessions)
    writer = EventWriter(
        database,
        retry_attempts=config.event_system.write_retry_attempts,
        retry_delay_ms=config.event_system.write_retry_delay_ms,
        pause=pause,
        restore=sessions.restored,
        measure=measure,
    )
    return Log(database, writer, Checkpoints(database, machine), sessions)
