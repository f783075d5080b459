"""Prompts typed while the agent works, for which some clients write no line of their own.

A prompt is queued (`enqueue`) and leaves the queue in one of these ways: `dequeue` (a user line
follows), `popAll` (taken back), `remove` with a reason (an attachment repeats it), or `remove`
without one. The last means that it went to the agent. In some versions an attachment, before or
after, repeats it, and a command is written again when it runs. So such a prompt waits until the
agent's next reply, a command until the next prompt, and then becomes a turn unless its own line
has come. Operations are matched first in, first out, or by content if they have any. Two prompts
may have the same timestamp; a prompt of blocks has no content.

The result depends only on the lines, whenever they are read. The state is a value, stored with the
offset up to which lines were read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from claude_headspace.events.event import derived_key
from claude_headspace.transcripts.typed import (
    EDITOR_WRAPPERS,
    is_programs,
    typed_command,
    unwrapped,
)

# Only the newest prompts are kept in a file without answers.
MAX_WAITING = 500
MAX_CHARACTERS = 16_000_000


@dataclass(frozen=True, slots=True)
class QueuedPrompt:
    """A queued prompt. `ordinal` distinguishes prompts with the same time and content.

    `digest` is of the content and `said_digest` of its text, so that the text, `said`, can be
    redacted where it is stored. `told`: an attachment has already repeated it.
    """

    when: str
    digest: str
    said_digest: str
    said: str
    ordinal: int = 0
    told: bool = False

    @classmethod
    def queued(cls, when: str, content: str | None) -> QueuedPrompt:
        """A prompt as it enters the queue; without text if it is a program's, or of blocks."""
        text = (content or "").strip()
        typed = "" if is_programs(text) else unwrapped(text, EDITOR_WRAPPERS)
        said = typed_command(typed) or typed
        return cls(when, digest_of(content or ""), digest_of(said), said)

    @property
    def patience(self) -> int:
        """The order in which the agent takes prompts while it works: a program's last."""
        return self.is_command if self.said or self.digest == _NO_CONTENT else 2

    @property
    def is_command(self) -> bool:
        """Whether it is a command, which the client may run and write itself."""
        return self.said.startswith("/")


def digest_of(text: str) -> str:
    """A digest of a text, for comparisons."""
    return derived_key("prompt", text).hex


@dataclass(frozen=True, slots=True)
class PromptQueue:
    """The queue of one session.

    `held`: removed, but not a turn yet. `early`: made a turn because no line had come for a while;
    its line may still come. `expected`: digests of dequeued prompts.
    """

    waiting: tuple[QueuedPrompt, ...] = ()
    held: tuple[QueuedPrompt, ...] = ()
    early: tuple[QueuedPrompt, ...] = ()
    expected: tuple[str, ...] = ()

    def operate(
        self, operation: str | None, when: str | None, text: str | None, *, reason: bool
    ) -> PromptQueue:
        """The queue after a queue operation of a line."""
        if operation == "enqueue":
            prompt = QueuedPrompt.queued(when or "", text)
            name = (prompt.when, prompt.digest)
            same = sum((each.when, each.digest) == name for each in self.waiting)
            return replace(self, waiting=_newest((*self.waiting, replace(prompt, ordinal=same))))
        if operation == "popAll":
            return replace(self, waiting=())
        if operation not in ("dequeue", "remove"):
            return self
        at = self._place(text) if text is not None else self._first(operation)
        if at is None:
            return self
        gone = self.waiting[at]
        left = replace(self, waiting=self.waiting[:at] + self.waiting[at + 1 :])
        if operation == "dequeue":
            return replace(left, expected=(*left.expected, gone.said_digest)[-MAX_WAITING:])
        if reason or gone.told or not gone.said:
            return left
        return replace(left, held=_newest((*left.held, gone)))

    def _first(self, operation: str) -> int | None:
        """The index of the prompt of an operation without content.

        Only prompts of a person go to the agent while it works, and in some versions no commands.
        """
        every = range(len(self.waiting))
        if operation == "dequeue":
            return next(iter(every), None)
        return min(every, key=lambda at: self.waiting[at].patience, default=None)

    def _place(self, content: str) -> int | None:
        """The index of the prompt with this content, else of one of blocks."""
        for digest in (digest_of(content), _NO_CONTENT):
            for at, prompt in enumerate(self.waiting):
                if prompt.digest == digest:
                    return at
        return None

    def attachment(self, text: str) -> tuple[PromptQueue, QueuedPrompt | None]:
        """The queue after an attachment with this text, and a prompt that was a turn too early."""
        if (known := self._told_by_line(text)) is not None:
            return known
        digest = digest_of(text)
        for at, prompt in enumerate(self.waiting):
            if not prompt.told and prompt.said_digest == digest:
                told = replace(prompt, told=True)
                waiting = (*self.waiting[:at], told, *self.waiting[at + 1 :])
                return replace(self, waiting=waiting), None
        return self, None

    def typed(self, text: str) -> tuple[PromptQueue, QueuedPrompt | None]:
        """The queue after a line with this text, and a prompt that was a turn too early."""
        digest = digest_of(text)
        if digest in self.expected:
            at = self.expected.index(digest)
            expected = self.expected[:at] + self.expected[at + 1 :]
            return replace(self, expected=expected), None
        if (known := self._told_by_line(text)) is not None:
            return known
        stale = _first(self.waiting, text)
        return replace(self, waiting=_without(self.waiting, stale)), None

    def _told_by_line(self, text: str) -> tuple[PromptQueue, QueuedPrompt | None] | None:
        if (held := _first(self.held, text)) is not None:
            return replace(self, held=_without(self.held, held)), None
        if (early := _first(self.early, text)) is not None:
            return replace(self, early=_without(self.early, early)), early
        return None

    def holds(self, text: str) -> bool:
        """Whether a line with this text is a prompt of this queue."""
        return _first(self.held, text) is not None or digest_of(text) in self.expected

    @property
    def pending(self) -> bool:
        """Whether the next reply or prompt changes the queue."""
        return bool(self.held or self.early or self.expected)

    def replied(self) -> tuple[PromptQueue, Sequence[QueuedPrompt]]:
        """The queue after the agent's reply, and the prompts that it answers."""
        answered = tuple(prompt for prompt in self.held if not prompt.is_command)
        held = tuple(prompt for prompt in self.held if prompt.is_command)
        early = tuple(prompt for prompt in self.early if prompt.is_command)
        return PromptQueue(self.waiting, held, early), answered

    def prompted(self) -> tuple[PromptQueue, Sequence[QueuedPrompt]]:
        """The queue before a prompt that is not in it, and the prompts that precede that."""
        return replace(self, held=(), early=()), self.held

    def released(self) -> tuple[PromptQueue, Sequence[QueuedPrompt]]:
        """The queue after its held prompts become turns without their lines, and these prompts."""
        return replace(self, held=(), early=_newest((*self.early, *self.held))), self.held

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remember."""
        return self == PromptQueue()

    def as_json(self, redact: Callable[[str], str]) -> list[Any]:
        """The state as the database stores it."""
        groups = [
            [[p.when, p.digest, p.said_digest, redact(p.said), p.ordinal, p.told] for p in group]
            for group in (self.waiting, self.held, self.early)
        ]
        return [*groups, list(self.expected)]

    @classmethod
    def from_json(cls, stored: Sequence[Any]) -> PromptQueue:
        """The state from the result of `as_json`."""
        groups = [tuple(QueuedPrompt(*each) for each in group) for group in stored[:3]]
        return cls(groups[0], groups[1], groups[2], tuple(stored[3]))


def _first(prompts: Iterable[QueuedPrompt], text: str) -> QueuedPrompt | None:
    digest = digest_of(text)
    return next((prompt for prompt in prompts if prompt.said_digest == digest), None)


def _newest(prompts: tuple[QueuedPrompt, ...]) -> tuple[QueuedPrompt, ...]:
    kept = prompts[-MAX_WAITING:]
    while sum(len(prompt.said) for prompt in kept) > MAX_CHARACTERS:
        kept = kept[1:]
    return kept


def _without(
    prompts: tuple[QueuedPrompt, ...], gone: QueuedPrompt | None
) -> tuple[QueuedPrompt, ...]:
    return tuple(prompt for prompt in prompts if prompt is not gone)


_NO_CONTENT = digest_of("")
