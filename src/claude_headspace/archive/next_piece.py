"""Archives the next piece of one file, from where its archive ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

from claude_headspace.archive.overwrite import LONGEST_BYTES, overwritten
from claude_headspace.archive.pieces import PIECE_BYTES, Archived, Generation, How, Pieces
from claude_headspace.archive.session_folders import is_wanted, owners
from claude_headspace.discovery.listing import reason_of
from claude_headspace.errors import CommitRefused, DatabaseRefused
from claude_headspace.events.redaction import Redactor
from claude_headspace.transcripts.checkpoint import Checkpoint
from claude_headspace.transcripts.source_file import Doing, SourceFile

logger = logging.getLogger(__name__)

# The generations kept of a sidecar, which may be rewritten often.
KEPT_VERSIONS = 10


@dataclass(eq=False, kw_only=True)
class NextPiece:
    """`failed`: files that cannot be archived, and why. For the other parameters see Archiver.

    `goes_on`: whether another piece of the same file may follow at once.
    """

    pieces: Pieces
    redactor: Redactor | None
    wanted: Callable[[UUID], bool]
    goes_on: Callable[[], bool]
    renumbered: Callable[[], None]
    doing: Doing
    beat: Callable[[], None]
    failed: dict[str, str] = field(default_factory=dict)

    def at(self, source: Archived, path: str) -> bool:
        """Archive some pieces of the file at this path; returns whether there is more."""
        if not self.is_wanted(source):
            return False
        try:
            file = SourceFile(path, self.doing, self.beat)
        except (FileNotFoundError, NotADirectoryError):
            if source.latest is None or not source.latest.gone:
                self.pieces.is_gone(source)
            return False
        except OSError as error:
            return self._fail(path, reason_of(error))
        try:
            more = self._some(source, file)
        except (OSError, CommitRefused, DatabaseRefused) as error:
            return self._fail(path, reason_of(error) if isinstance(error, OSError) else str(error))
        finally:
            file.close()
        self.failed.pop(path, None)
        return more

    def _some(self, source: Archived, file: SourceFile) -> bool:
        """Each piece is read and compressed while Postgres stores the one before."""
        try:
            while (after := self.of(source, file, how="later")) is not None:
                if not self.goes_on():
                    return True
                source = after
            return False
        finally:
            self.pieces.database.finish_writes()

    def _fail(self, path: str, reason: str) -> bool:
        if self.failed.get(path) != reason:
            logger.warning("%s cannot be archived: %s", path, reason)
        self.failed[path] = reason
        return False

    def is_wanted(self, source: Archived) -> bool:
        """Whether a file belongs to a session that is to be archived."""
        is_sidecar = source.captured is None
        whose = source.sessions if is_sidecar else owners(source.path, source.sessions)
        return is_wanted(whose, self.wanted)

    def of(self, source: Archived, file: SourceFile, how: How) -> Archived | None:
        """Archive the next piece of an open file; returns the source after it if there is more.

        `durably`: the file will not grow any more.
        """
        captured = source.captured
        if captured and file.identity != (captured.device, captured.inode):
            return None  # Capture comes first, and reports the file then.
        to = self._generation(source, file)
        if to is None:
            return None
        before = to.checkpoint
        data, checkpoint = file.read_bytes(before, PIECE_BYTES)
        redacted = False
        if self.redactor is not None:
            data = self._whole_lines(file, source, before, data, last=how == "durably")
            checkpoint = file.after(before, data)
            data, redacted = overwritten(self.redactor, data)
        file.refresh()
        if file.compare(before) != "same":
            return None
        if checkpoint == before and to is source.latest and not to.gone:
            return None
        self.pieces.append(to, data, checkpoint, redacted=redacted, how=how)
        if not data or checkpoint.offset >= file.stat.st_size:
            return None
        return replace(source, latest=Generation(to.source_id, to.number, checkpoint))

    def _generation(self, source: Archived, file: SourceFile) -> Generation | None:
        """The generation of the file's next bytes; None if capture must decide it first."""
        latest = source.latest
        if latest is None or (source.captured is not None and latest.number < source.number):
            if source.captured and file.compare(source.captured) != "same":
                return None
            return self.pieces.begin(source.id, source.number)
        if file.compare(latest.checkpoint) == "same":
            return latest
        if source.captured is None:
            self.pieces.drop_before(source.id, latest.number + 2 - KEPT_VERSIONS)
            return self.pieces.begin(source.id, latest.number + 1)
        if file.compare(source.captured) != "same":
            return None
        # Archived bytes that were not captured have changed: an incomplete line was rewritten.
        number = self.pieces.rewritten(source)
        self.renumbered()
        return self.pieces.begin(source.id, number)

    def _whole_lines(
        self, file: SourceFile, source: Archived, before: Checkpoint, data: bytes, *, last: bool
    ) -> bytes:
        """The complete lines of what was read, since secrets are searched in whole lines."""
        end = data.rfind(b"\n") + 1
        if not end and len(data) == PIECE_BYTES:
            data, _ = file.read_bytes(before, LONGEST_BYTES)
            end = data.find(b"\n") + 1 or (LONGEST_BYTES if len(data) == LONGEST_BYTES else 0)
        whole = source.captured.offset if source.captured else file.stat.st_size
        if last or whole == before.offset + len(data):
            return data
        return data[:end]
