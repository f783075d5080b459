"""`claude-headspace rejected retry`: what was not taken is tried again, after a fix."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TextIO

from claude_headspace.archive.file import ArchivedFile
from claude_headspace.archive.pieces import Pieces
from claude_headspace.config import Config
from claude_headspace.embedded.location import database_url
from claude_headspace.errors import InboxDamaged
from claude_headspace.events.event import Event, Origin
from claude_headspace.events.redaction import make_redactor, redact_event
from claude_headspace.inbox.events import event_of, session_of
from claude_headspace.inbox.messages import Message, inbox_directory, read_message
from claude_headspace.store.checkpoints import stored_path
from claude_headspace.store.connection import Database
from claude_headspace.store.results import WriteResult
from claude_headspace.store.version import require_schema
from claude_headspace.transcripts.outcomes import Rejected, Turn
from claude_headspace.transcripts.tailer import SourceFile
from claude_headspace.transcripts.transcript import Transcript
from claude_headspace.verify.kept import Fate, KeptLine, Retried
from claude_headspace.verify.repair import LateWriter

APPLICATION_NAME = "claude-headspace retry"
PAGE_ROWS = 20

_ROWS = """
SELECT r.id, r.source_id, r.source_offset, r.reason, r.content, s.path, s.generation
FROM dead_letters r JOIN checkpoints s ON s.id = r.source_id
WHERE s.machine = %s AND r.id > %s AND (%s::bigint[] IS NULL OR r.id = ANY (%s::bigint[]))
    AND (r.resolved_at IS NULL OR %s::bigint[] IS NOT NULL)
ORDER BY r.id LIMIT %s
"""


def run_retry(
    config: Config,
    ids: Sequence[int] | None,
    *,
    as_json: bool = False,
    output: TextIO | None = None,
) -> int:
    """Try these dead letters again (None: all that are unresolved) and tell of each.

    The exit status is 0 when none of them is rejected any more. Raises DatabaseError.
    """
    output = output or sys.stdout
    database = Database(
        lambda: database_url(config), application_name=APPLICATION_NAME, prepare=require_schema
    )
    retry = Retry(config, database)
    left = 0
    try:
        for result in retry.run(ids):
            left += not result.resolved
            output.write(_as_json(result) if as_json else _as_text(result))
    finally:
        retry.close()
    return 1 if left else 0


class Retry:
    """Classifies and writes what was kept, and marks as resolved what is no longer rejected."""

    def __init__(self, config: Config, database: Database) -> None:
        self._database = database
        self._machine = config.state.machine
        self._limit = config.file_watcher.max_line_bytes
        self._inbox = stored_path(str(inbox_directory(config.state.directory)))
        self._writer = LateWriter(config)
        self._pieces = Pieces(database)
        self._sessions = self._writer.sessions
        self._redactor = make_redactor(config.privacy.patterns) if config.privacy.redact else None

    def close(self) -> None:
        """Drop the connections."""
        self._writer.close()
        self._database.close()

    def run(self, ids: Sequence[int] | None) -> Iterator[Retried]:
        """One after the other, in the order they were rejected."""
        listed = None if ids is None else list(ids)
        last = 0
        found: set[int] = set()
        while rows := self._database.execute(
            _ROWS, (self._machine, last, listed, listed, listed, PAGE_ROWS)
        ):
            for row in rows:
                kept = KeptLine(row[0], row[1], row[2], row[3], bytes(row[4]), row[5], row[6])
                last = kept.id
                found.add(kept.id)
                yield self._resolve(kept, self._retry(kept))
        for unknown in sorted(set(listed or ()) - found):
            yield Retried(unknown, "", 0, "unknown", "no dead letter of this machine has this id")

    def _resolve(self, kept: KeptLine, result: Retried) -> Retried:
        if result.resolved:
            self._database.execute_durably(
                "UPDATE dead_letters SET resolved_at = clock_timestamp() WHERE id = %s", (kept.id,)
            )
        return result

    def _retry(self, kept: KeptLine) -> Retried:
        return self._retry_message(kept) if kept.path == self._inbox else self._retry_line(kept)

    def _retry_line(self, kept: KeptLine) -> Retried:
        try:
            line = self._line(kept)
        except OSError as error:
            return _still(kept, f"its file cannot be read: {error.strerror}")
        if line is None:
            return _still(kept, f"its line is not in the file, or longer than {self._limit} bytes")
        generation, start, data = line
        found = list(Transcript().outcomes(data, start))
        broken = [o for o in found if isinstance(o, Rejected) and _is_about(kept, o.offset)]
        turns = [o for o in found if isinstance(o, Turn) and self._sessions.captured(o.session)]
        if kept.reason == "refused":
            turns = [turn for turn in turns if turn.offset == kept.offset] or turns
        results = self._writer.write_turns(kept.source_id, kept.path, turns)
        if broken:
            return _still(kept, f"{broken[0].reason}: {broken[0].detail}")
        self._writer.write_work(found, kept.source_id, generation, start, len(data))
        return _told(kept, results)

    def _line(self, kept: KeptLine) -> tuple[int, int, bytes] | None:
        """The whole line, its generation and start: from its file or the archive, else as kept.

        Only a record's offset is kept, and of too long lines only the beginning.
        """
        for generation, file in self._files(kept):
            with closing(file):
                around = line_around(file, kept.offset, self._limit)
            if around is not None and self._is_same(kept, around[1]):
                return generation, *around
        if kept.reason == "too_long":
            return None
        return kept.generation, kept.offset - _first_rejected(kept), kept.content

    def _files(self, kept: KeptLine) -> Iterator[tuple[int, SourceFile]]:
        """Where the line may stand: in the file, or in what it held before, the newest first."""
        with suppress(FileNotFoundError):
            yield kept.generation, SourceFile(kept.path)
        for each in reversed(self._pieces.generations(kept.source_id)):
            if not each.redacted:
                yield each.number, ArchivedFile(self._pieces, each, kept.path)

    def _is_same(self, kept: KeptLine, line: bytes) -> bool:
        if self._redactor is not None:
            line = self._redactor.redact(line.decode("utf-8", "replace"))[0].encode()
        if kept.reason == "too_long":
            # The cut may go through a secret or a character that was replaced.
            return line.startswith(kept.content[: len(kept.content) // 2])
        return line.startswith(kept.content)

    def _retry_message(self, kept: KeptLine) -> Retried:
        try:
            message = _message(kept.content)
        except InboxDamaged as error:
            return _still(kept, str(error))
        event = self._event(message, Origin(kept.source_id, kept.offset))
        return _told(kept, self._writer.write_events([event]))

    def _event(self, message: Message, origin: Origin) -> Event:
        session = self._sessions.find(uuid) if (uuid := session_of(message)) else None
        event = event_of(message, origin, session)
        return event if self._redactor is None else redact_event(self._redactor, event)


def line_around(file: SourceFile, offset: int, max_line_bytes: int) -> tuple[int, bytes] | None:
    """The line that holds the byte at `offset`, with its start.

    None where there is no such line, or it is longer than the limit.
    """
    low = max(0, offset - max_line_bytes)
    before = file.begin(low, offset - low)
    if len(before) < offset - low:
        return None
    start = low + before.rfind(b"\n") + 1
    if start == low > 0 and not before.startswith(b"\n"):
        return None
    data = file.begin(start, max_line_bytes + 1)
    line, newline, _ = data.partition(b"\n")
    whole = len(line) <= max_line_bytes and (newline or len(data) <= max_line_bytes)
    return (start, line) if whole and start + len(line) >= offset and line else None


def _is_about(kept: KeptLine, offset: int) -> bool:
    return offset == kept.offset or kept.reason in ("too_long", "poison")


def _first_rejected(kept: KeptLine) -> int:
    """How far into the kept line the rejected record starts, as far as can be told from it."""
    broken = (o.offset for o in Transcript().outcomes(kept.content, 0) if isinstance(o, Rejected))
    return min(next(broken, 0), kept.offset)


def _told(kept: KeptLine, results: Sequence[WriteResult]) -> Retried:
    refused = [result for result in results if result.outcome == "rejected"]
    if refused:
        return _still(kept, refused[0].error or "refused")
    ids = tuple(result.event_id for result in results if result.event_id is not None)
    fate: Fate = "no longer rejected"
    if any(result.outcome == "written" for result in results):
        fate = "written"
    elif results:
        fate = "in the log already"
    return Retried(kept.id, kept.path, kept.offset, fate, f"was rejected as {kept.reason}", ids)


def _still(kept: KeptLine, why: str) -> Retried:
    return Retried(kept.id, kept.path, kept.offset, "still rejected", why)


def _message(content: bytes) -> Message:
    with tempfile.TemporaryDirectory(prefix="claude-headspace-") as directory:
        path = Path(directory) / "event.json"
        path.write_bytes(content)
        return read_message(path)


def _as_text(result: Retried) -> str:
    events = f" (event {', '.join(map(str, result.event_ids))})" if result.event_ids else ""
    place = f" {result.path} byte {result.offset}:" if result.path else ""
    told = f"{result.id}:{place} {result.fate}{events}: {result.detail}"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in told) + "\n"


def _as_json(result: Retried) -> str:
    values: dict[str, Any] = {name: getattr(result, name) for name in Retried.__slots__}
    return json.dumps(values) + "\n"
