"""Conversations made up: what was said is known first, and the lines are written for it."""

from __future__ import annotations

import random
from typing import NamedTuple

import lines
from lines import Record
from turn_cases import Turn

TEXTS = [
    "go on", "go on", "stop", " padded \n", "two\nlines", "ä€\U0001f600", "a\u2028b\x85c",
    "why <task-notification>?", "see <system-reminder>", "<b>bold</b>", '{"task": 1}',
    'say "no" \\ and \t tab', "! ls", "Stop hooks", "null", "0", "{", "}{", "x" * 3000, "remove",
]  # fmt: skip
NOTIFICATIONS = [
    "<task-notification>\n<task-id>b1</task-id>\n</task-notification>",
    '<task-notification id="2">done</task-notification>',
    '{"task_id": "b3", "status": "completed"}',
]
CLIENTS = ("operations", "both", "attachments")
"""Those that write queue operations alone, those whose removes give no reason, and today's."""


class Waiting(NamedTuple):
    """What is in the client's queue."""

    text: str
    typed_at: float
    by_person: bool


class Conversation:
    """One session, written by a client of a kind that may change whenever nobody waits."""

    def __init__(self, seed: int, client: str | None = None) -> None:
        self.random = random.Random(seed)
        self.session = lines.new_session()
        self.fixed, self.client = client, client or CLIENTS[0]
        self.lines: list[bytes] = []
        self.turns: list[Turn] = []
        self.queue: list[Waiting] = []
        self.now = 0.0
        for _ in range(self.random.randint(1, 6)):
            self._prompt_and_answer()

    def _prompt_and_answer(self) -> None:
        self.client = self.fixed or self.random.choice(CLIENTS)
        self._prompt(self.random.choice(TEXTS), "typed")
        for _ in range(self.random.randint(0, 8)):
            self.random.choice([self._type, self._type, self._notify, self._take_back,
                                self._absorb, self._absorb, self._work, self._noise])()  # fmt: skip
        self._answer()
        while self.queue:
            self._dequeue()
            self._answer()

    def _write(self, record: Record) -> None:
        self.lines.append(lines.raw(record))
        self.now = round(self.now + self.random.choice([0.001, 1, 20]), 3)

    def _said(self, actor: str, text: str, at: float) -> None:
        self.turns.append((self.session, actor, text, lines.instant(at)))

    def _prompt(self, text: str, source: str) -> None:
        proof: Record = {"origin": {"kind": "human"}, "promptSource": source}
        more = proof if self.client == "attachments" else {}
        self._said("user", text.strip(), self.now)
        self._write(lines.user(self.session, text, at=self.now, **more))

    def _answer(self) -> None:
        self._said("agent", "Done.", self.now)
        self._write(lines.assistant(self.session, "Done.", at=self.now))

    def _work(self) -> None:
        use, result = [lines.tool_use()], [lines.tool_result(self.random.choice(TEXTS))]
        self._write(lines.assistant(self.session, use, at=self.now))
        self._write(lines.user(self.session, result, at=self.now))

    def _noise(self) -> None:
        self._write(lines.progress(self.session, at=self.now))
        prompt = self.random.choice(TEXTS)
        self._write(lines.user(self.session, prompt, at=self.now, isSidechain=True))
        self._write(lines.user(self.session, prompt, at=self.now, isMeta=True))

    def _type(self) -> None:
        self._enqueue(self.random.choice(TEXTS), by_person=True)

    def _notify(self) -> None:
        self._enqueue(self.random.choice(NOTIFICATIONS), by_person=False)

    def _enqueue(self, text: str, by_person: bool) -> None:
        self.queue.append(Waiting(text, self.now, by_person))
        self._operation("enqueue", content=text)

    def _operation(self, operation: str, **more: str) -> None:
        self._write(lines.queue(self.session, operation, at=self.now, **more))

    def _take_back(self) -> None:
        if self.queue:
            self._operation("popAll", content="\n".join(waiting.text for waiting in self.queue))
            self.queue.clear()

    def _absorb(self) -> None:
        """Some of those that wait go into the answer that Claude is giving."""
        if self.client == "operations":
            return self._absorb_all(machines=self.random.random() < 0.5)
        for _ in range(self.random.randint(0, len(self.queue))):
            first = self.random.random() < 0.7
            number = 0 if first else self.random.randrange(len(self.queue))
            self._absorb_one(self._out_of_turn(number))
        return self._work()

    def _absorb_all(self, *, machines: bool) -> None:
        """What persons have typed goes together, in some versions with all else that waits."""
        going = [waiting for waiting in self.queue if machines or waiting.by_person]
        self.queue = [waiting for waiting in self.queue if waiting not in going]
        for waiting in going:
            self._absorb_one(waiting)
        self._work()

    def _out_of_turn(self, number: int) -> Waiting:
        """Take one from the queue; of those that read alike the first."""
        texts = [waiting.text for waiting in self.queue]
        return self.queue.pop(texts.index(texts[number]))

    def _absorb_one(self, waiting: Waiting) -> None:
        if waiting.by_person:
            self._said("user", waiting.text.strip(), waiting.typed_at)
        if self.client == "operations":
            return self._operation("remove")
        reason = {"reason": "absorbed_mid_turn"} if self.client == "attachments" else {}
        attached_first = self.random.random() < 0.5
        if attached_first:
            self._attach(waiting)
        self._operation("remove", content=waiting.text, **reason)
        if not attached_first:
            self._attach(waiting)
        return None

    def _attach(self, waiting: Waiting) -> None:
        more: Record = {"commandMode": "prompt" if waiting.by_person else "task-notification"}
        if self.client == "attachments":
            more["origin"] = {"kind": "human" if waiting.by_person else "task-notification"}
        at = waiting.typed_at
        self._write(lines.attachment(self.session, waiting.text, at=at, **more))

    def _dequeue(self) -> None:
        waiting = self.queue.pop(0)
        self._operation("dequeue")
        if waiting.by_person:
            self._prompt(waiting.text, "queued")
        else:
            origin = {"kind": "task-notification"} if self.client == "attachments" else None
            shown = NOTIFICATIONS[0]
            self._write(lines.user(self.session, shown, at=self.now, origin=origin))


def in_one_file(first: Conversation, second: Conversation, seed: int) -> list[bytes]:
    """The lines of both, each in its own order."""
    order = [0] * len(first.lines) + [1] * len(second.lines)
    random.Random(seed).shuffle(order)
    rest = [iter(first.lines), iter(second.lines)]
    return [next(rest[number]) for number in order]
