"""`claude-headspace rejected retry`: tries dead letters again, after a fix."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

from claude_headspace.archive.file import ArchivedFile
from claude_headspace.archive.pieces import Pieces
from claude_headspace.capture.late_writer import LateWriter
from claude_headspace.config import Config
from claude_headspace.errors import InboxDamaged
from claude_headspace.events.dead_letter_reasons import POISON, REFUSED, TOO_LONG
from claude_headspace.events.event import Origin
from claude_headspace.inbox.message_events import event_of, session_of
from claude_headspace.inbox.messages import inbox_directory, parsed_message
from claude_headspace.store.checkpoints import stored_path
from claude_headspace.store.results import WriteResult
from claude_headspace.transcripts.parsed import Rejected, Turn
from claude_headspace.transcripts.source_file import SourceFile
from claude_headspace.transcripts.transcript import Transcript

PAGE_ROWS = 20
_ROWS = """
SELECT r.id, r.source_id, r.source_offset, r.reason, r.content, s.path, s.generation
FROM dead_letters r JOIN checkpoints s ON s.id = r.source_id
WHERE s.machine = %s AND r.id > %s AND (%s::bigint[] IS NULL OR r.id = ANY (%s::bigint[]))
    AND (r.resolved_at IS NULL OR %s::bigint[] IS NOT NULL)
ORDER BY r.id LIMIT %s
"""
_RESOLVE = "UPDATE dead_letters SET resolved_at = clock_timestamp() WHERE id = %s"

RetryFate = Literal[
    "written", "in the log already", "no longer rejected", "still rejected", "unknown"
]


class _Letter(NamedTuple):
    """A dead letter of a source of this machine."""

    id: int
    source_id: int
    offset: int
    reason: str
    content: bytes
    path: str
    generation: int


@dataclass(frozen=True, slots=True)
class Retried:
    """The result for one dead letter; `event_ids`: its events in the log."""

    id: int
    path: str
    offset: int
    fate: RetryFate
    detail: str
    event_ids: tuple[int, ...] = ()

    @property
    def resolved(self) -> bool:
        """Whether nothing is left to fix."""
        return self.fate not in ("still rejected", "unknown")

    def __str__(self) -> str:
        events = f" (event {', '.join(map(str, self.event_ids))})" if self.event_ids else ""
        place = f" {self.path} byte {self.offset}:" if self.path else ""
        told = f"{self.id}:{place} {self.fate}{events}: {self.detail}"
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in told)


def run_retry(
    config: Config,
    ids: Sequence[int] | None,
    *,
    as_json: bool = False,
    output: TextIO | None = None,
) -> int:
    """Try these dead letters again (None: all unresolved ones) and report each.

    The exit status is 0 if none of them is still rejected. Raises DatabaseError.
    """
    left = 0
    with closing(Retry(config)) as retry:
        for result in retry.run(ids):
            left += not result.resolved
            told = json.dumps(asdict(result)) if as_json else str(result)
            print(told, file=output or sys.stdout)
    return 1 if left else 0


class Retry(LateWriter):
    """Classifies and writes dead letters, and resolves those that are no longer rejected."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._machine = config.state.machine
        self._limit = config.file_watcher.max_line_bytes
        self._inbox = stored_path(str(inbox_directory(config.state.directory)))
        self._pieces = Pieces(self._database)

    def run(self, ids: Sequence[int] | None) -> Iterator[Retried]:
        """Try them one by one, in the order in which they were rejected."""
        listed = None if ids is None else list(ids)
        last = 0
        found: set[int] = set()
        asked = (listed, listed, listed, PAGE_ROWS)
        while rows := self._database.execute(_ROWS, (self._machine, last, *asked)):
            for row in rows:
                letter = _Letter._make(row)._replace(content=bytes(row[4]))
                last = letter.id
                found.add(letter.id)
                is_message = letter.path == self._inbox
                result = self._retry_message(letter) if is_message else self._retry_line(letter)
                if result.resolved:
                    self._database.execute_durably(_RESOLVE, (letter.id,))
                yield result
        for unknown in sorted(set(listed or ()) - found):
            yield Retried(unknown, "", 0, "unknown", "no dead letter of this machine has this id")

    def _retry_line(self, letter: _Letter) -> Retried:
        try:
            line = self._line(letter)
        except OSError as error:
            return _still(letter, f"its file cannot be read: {error.strerror}")
        if line is None:
            return _still(
                letter, f"its line is not in the file, or longer than {self._limit} bytes"
            )
        generation, start, data = line
        found = list(Transcript().parse(data, start))
        of_line = letter.reason in (TOO_LONG, POISON)
        broken = [
            o for o in found if isinstance(o, Rejected) and (of_line or o.offset == letter.offset)
        ]
        turns = [o for o in found if isinstance(o, Turn) and self.sessions.captured(o.session)]
        if letter.reason == REFUSED:
            turns = [turn for turn in turns if turn.offset == letter.offset] or turns
        results = self.write_turns(letter.source_id, letter.path, turns)
        if broken:
            return _still(letter, f"{broken[0].reason}: {broken[0].detail}")
        self.write_work(found, letter.source_id, generation, start, len(data))
        return _told(letter, results)

    def _line(self, letter: _Letter) -> tuple[int, int, bytes] | None:
        """The whole line, its generation and start: from its file or the archive, else as stored.

        A dead letter has only the offset of its record, and of a very long line only the beginning.
        """
        for generation, file in self._files(letter):
            with closing(file):
                around = line_around(file, letter.offset, self._limit)
            if around is not None and self._is_same(letter, around[1]):
                return generation, *around
        if letter.reason == TOO_LONG:
            return None
        parsed = Transcript().parse(letter.content, 0)
        first = next((o.offset for o in parsed if isinstance(o, Rejected)), 0)
        return letter.generation, letter.offset - min(first, letter.offset), letter.content

    def _files(self, letter: _Letter) -> Iterator[tuple[int, SourceFile]]:
        """Where the line may be: in the file, or in earlier generations, newest first."""
        with suppress(FileNotFoundError):
            yield letter.generation, SourceFile(letter.path)
        for each in reversed(self._pieces.generations(letter.source_id)):
            if not each.redacted:
                yield each.number, ArchivedFile(self._pieces, each, letter.path)

    def _is_same(self, letter: _Letter, line: bytes) -> bool:
        line, kept = self._redaction.content(line), letter.content
        # The cut may be inside a secret or a character that was replaced.
        return line.startswith(kept[: len(kept) // 2] if letter.reason == TOO_LONG else kept)

    def _retry_message(self, letter: _Letter) -> Retried:
        try:
            message = parsed_message(letter.content, Path(letter.path))
        except InboxDamaged as error:
            return _still(letter, str(error))
        uuid = session_of(message)
        session = self.sessions.find(uuid) if uuid else None
        event = event_of(message, Origin(letter.source_id, letter.offset), session)
        return _told(letter, self.write_events([self._redaction.event(event)]))


def line_around(file: SourceFile, offset: int, max_line_bytes: int) -> tuple[int, bytes] | None:
    """The line that contains the byte at `offset`, with its start.

    None if there is no such line, or it is longer than the limit.
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


def _told(letter: _Letter, results: Sequence[WriteResult]) -> Retried:
    refused = [result for result in results if result.outcome == "rejected"]
    if refused:
        return _still(letter, refused[0].error or REFUSED)
    ids = tuple(result.event_id for result in results if result.event_id is not None)
    fate: RetryFate = "in the log already" if results else "no longer rejected"
    if any(result.outcome == "written" for result in results):
        fate = "written"
    why = f"was rejected as {letter.reason}"
    return Retried(letter.id, letter.path, letter.offset, fate, why, ids)


def _still(letter: _Letter, why: str) -> Retried:
    return Retried(letter.id, letter.path, letter.offset, "still rejected", why)
