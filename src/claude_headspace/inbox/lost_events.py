"""Consumed files whose events a failover has lost: they are consumed again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from uuid import UUID

from claude_headspace.errors import InboxError
from claude_headspace.inbox.messages import Message, read_message
from claude_headspace.inbox.queue import BATCH_FILES, ends, position_of
from claude_headspace.inbox.retention import DoneFiles
from claude_headspace.store.checkpoints import StoredSource
from claude_headspace.store.connection import Database

logger = logging.getLogger(__name__)


def restore_lost(
    done: DoneFiles, database: Database, source: Callable[[], StoredSource], arrived: Path
) -> None:
    """Move files that were consumed after the last surviving event back to the waiting ones.

    `source` returns the row of the inbox, which is created if missing.
    Files of the last surviving event's batch that end sessions are moved, too: the end of a
    session may be lost although its event is there.
    """
    lost: list[Path] = []
    kept = (path for minute in done.newest_first() for path in minute)
    while part := list(islice(kept, BATCH_FILES)):
        found = _known(part, database, source())
        last = next((n for n, path in enumerate(part) if path in found), None)
        lost += part[:last]
        if last is not None:
            batch = [*part[last:], *islice(kept, BATCH_FILES)][:BATCH_FILES]
            read = ((path, _message(path)) for path in batch)
            _put_back((path for path, message in read if message and ends(message)), arrived)
            break
    _put_back(lost, arrived)
    if lost:
        logger.warning("inbox: the log has lost %d events: they are written again", len(lost))


def _put_back(paths: Iterable[Path], arrived: Path) -> None:
    for path in paths:
        with suppress(OSError):
            path.replace(arrived / path.name)


def _known(paths: Collection[Path], database: Database, source: StoredSource) -> set[Path]:
    """The files whose event or dead letter is in the log."""
    read = ((path, _message(path)) for path in paths)
    keys = {str(UUID(message.id)): path for path, message in read if message}
    positions = {position_of(path.name): path for path in paths}
    written = database.execute(
        "SELECT DISTINCT event_key::text FROM events WHERE event_key = ANY (%s::uuid[])",
        (list(keys),),
    )
    rejected = database.execute(
        "SELECT DISTINCT source_offset FROM dead_letters"
        " WHERE source_id = %s AND source_offset = ANY (%s::bigint[])",
        (source.id, list(positions)),
    )
    return {keys[row[0]] for row in written} | {positions[row[0]] for row in rejected}


def _message(path: Path) -> Message | None:
    try:
        return read_message(path)
    except InboxError:
        return None
