"""The next files of the inbox, and their messages."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from claude_headspace.errors import InboxDamaged, InboxError
from claude_headspace.events.event_types import HOOK_RECEIVED, SESSION_ENDED
from claude_headspace.inbox.message_events import session_of
from claude_headspace.inbox.messages import Message, list_messages, read_message
from claude_headspace.quarantine import Quarantine, summary

logger = logging.getLogger(__name__)

# A batch ends at whichever comes first.
BATCH_FILES = 128
BATCH_BYTES = 1024 * 1024
# How many files are read before other work is done.
_LOOKS = 1024
SESSION_END = "SessionEnd"
# Seconds until a session's end that waits for its lines is checked again.
HOLD_SECONDS = 0.05
_HOLD_PER_LOOK = 4.0
_PLACE_DIGITS = 20


@dataclass(slots=True)
class InboxFile:
    """One file of the inbox with its message, or the reason why it has none."""

    path: Path
    offset: int
    message: Message | None = None
    damage: str | None = None


class InboxQueue:
    """The files, oldest first.

    A session's end, and later messages of the session, wait while `unread` says that files of the
    session have lines that are not in the log yet. A file in quarantine is skipped until its retry
    is due.
    """

    def __init__(self, directory: Path, unread: Callable[[UUID], bool]) -> None:
        self._directory = directory
        self._unread = unread
        self._paths: deque[Path] = deque()
        self._quarantine: Quarantine[Path] = Quarantine()
        self._held: set[UUID] = set()
        self._began = 0.0
        self._hold_until: float | None = None
        # Why the inbox cannot be read now; None if it can.
        self._complaint: str | None = None
        self.look_again = True

    @property
    def trouble(self) -> str | None:
        """What cannot be consumed now, in one sentence."""
        if self._complaint is not None:
            return f"the inbox cannot be read: {self._complaint}"
        return summary("files of the inbox are in quarantine", self._quarantine.reasons)

    @property
    def due(self) -> float | None:
        """When, on the monotonic clock, to check waiting files again."""
        moments = (self._hold_until, self._quarantine.next_due)
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def unfinished(self) -> bool:
        """Whether files of the last listing have not been read yet."""
        return bool(self._paths)

    def clear(self) -> None:
        """Drop what is known, and read the directory again."""
        self._paths.clear()
        self.look_again = True

    def next_batch(self) -> list[InboxFile]:
        """The next files, to be written together; empty if there are none now."""
        if not self._paths and (self.look_again or self._is_due()):
            self._list()
        batch: list[InboxFile] = []
        size = 0
        for _ in range(min(_LOOKS, len(self._paths))):
            if len(batch) == BATCH_FILES or size >= BATCH_BYTES:
                break
            path = self._paths.popleft()
            file = None if self._quarantine.holds(path) else self._read(path)
            if file is not None and not self._waits_for_lines(file):
                batch.append(file)
                size += _size(path)
        if not self._paths and self._held and self._hold_until is None:
            # Look again soon for waiting files, but other work gets most of the time.
            now = time.monotonic()
            self._hold_until = now + max(HOLD_SECONDS, _HOLD_PER_LOOK * (now - self._began))
        self.look_again = self.look_again or bool(batch)
        return batch

    def quarantine(self, path: Path, reason: str) -> None:
        """Put a file into quarantine: it stays where it is and is tried again later."""
        if self._quarantine.put(path, reason):
            logger.warning("inbox: %s is in quarantine: %s", path.name, reason)

    def finish(self, path: Path) -> None:
        """A file is done."""
        self._quarantine.release(path)

    def _is_due(self) -> bool:
        return (due := self.due) is not None and due <= time.monotonic()

    def _list(self) -> None:
        self.look_again = False
        self._hold_until = None
        self._held.clear()
        self._began = time.monotonic()
        try:
            self._paths = deque(list_messages(self._directory))
        except InboxError as error:
            if str(error) != self._complaint:
                logger.warning("the inbox cannot be read now: %s", error)
            self._complaint = str(error)
            return
        self._complaint = None
        self._quarantine.keep_only(self._paths)

    def _read(self, path: Path) -> InboxFile | None:
        """The message of a file; None if the file is gone or cannot be read now."""
        offset = position_of(path.name)
        try:
            return InboxFile(path, offset, message=read_message(path))
        except InboxDamaged as error:
            return InboxFile(path, offset, damage=str(error))
        except InboxError as error:
            if path.exists():
                self.quarantine(path, str(error))
            return None

    def _waits_for_lines(self, file: InboxFile) -> bool:
        session = None if file.message is None else session_of(file.message)
        if session is None or file.message is None:
            return False
        if session not in self._held and ends(file.message) and self._unread(session):
            self._held.add(session)
        return session in self._held


def hook_type(message: Message) -> str | None:
    """The hook type of a message, if it is a hook."""
    named = message.payload.get("hook_type")
    return named if message.type == HOOK_RECEIVED and isinstance(named, str) else None


def ends(message: Message) -> bool:
    """Whether a message ends a session."""
    return message.type == SESSION_ENDED or hook_type(message) == SESSION_END


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def position_of(name: str) -> int:
    """The position of a file in the inbox: the time in its name, or a number of its own."""
    prefix = name.partition("-")[0]
    if prefix.isascii() and prefix.isdecimal() and len(prefix) <= _PLACE_DIGITS:
        return int(prefix) % 2**63
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:7], "big")
