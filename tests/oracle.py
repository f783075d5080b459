"""A second opinion on what the turns in transcripts are: slow, plain, and sharing no code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from spoken import is_injected, said, text_of, without_paste_tags

DECODER = json.JSONDecoder(strict=False)
DEEPEST = 100

Record = dict[str, Any]


class Expected(NamedTuple):
    """One turn that the log must hold."""

    session: str
    uuid: str
    actor: str
    text: str
    timestamp: str


def turns_below(*roots: Path) -> dict[tuple[str, str], Expected]:
    """The distinct turns of every transcript below the roots."""
    found: dict[tuple[str, str], Expected] = {}
    for root in roots:
        for path in sorted(root.rglob("*.jsonl")):
            if path.name != "journal.jsonl" and not path.name.startswith("._"):
                for turn in turns_of_file(path):
                    found.setdefault((turn.session, turn.uuid), turn)
    return found


def turns_of_file(path: Path) -> list[Expected]:
    """Every turn of a file in order, repetitions included."""
    return turns_of_lines(path.read_bytes().split(b"\n"))


def turns_of_line(line: bytes) -> list[Expected]:
    """The turns of one line by itself."""
    return turns_of_lines([line])


def turns_of_lines(lines: Iterable[bytes]) -> list[Expected]:
    """Every turn of a file's lines in order; a queued prompt is where it left the queue."""
    every = [record for line in lines for record in records(line)]
    turns = [_turn(record) for record in every]
    queued = queued_turns(every, turns)
    return [turn for at, alone in enumerate(turns) if (turn := alone or queued.get(at))]


def queue_identity(timestamp: str, text: str) -> str:
    """What is used as the uuid of a prompt that is in queue operations only."""
    return f"queued {timestamp} {text}"


def records(line: bytes) -> Iterator[Record]:
    """Every whole record, whatever comes before, between and behind."""
    text = line.replace(b"\0", b" ").decode("utf-8", "replace")
    at, damaged = 0, False
    while (at := text.find("{", at)) >= 0:
        decoded = _decoded(text, at)
        if decoded is None or (damaged and not _is_a_line(decoded[0])):
            damaged = True
            at += 1
            continue
        yield decoded[0]
        damaged = False
        at = decoded[1]


def _is_a_line(value: Record) -> bool:
    identity = set() if value.get("type") == "queue-operation" else {"uuid"}
    return {"type", "sessionId"} | identity <= set(value)


def _decoded(text: str, at: int) -> tuple[Record, int] | None:
    try:
        return DECODER.raw_decode(text, at)
    except RecursionError:
        return _decoded_without_depths(text, at)
    except ValueError:
        return None


def _decoded_without_depths(text: str, at: int) -> tuple[Record, int] | None:
    """Decode what is at most so many brackets deep, and leave out the rest."""
    kept, depth = [], 0
    for token in re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]|[^"\[{\]}]+', re.DOTALL).finditer(
        text, at
    ):
        depth += token[0] in "[{"
        if depth <= DEEPEST:
            kept.append(token[0])
        depth -= token[0] in "]}"
        if depth == 0:
            try:
                return DECODER.decode("".join(kept)), token.end()
            except ValueError:
                return None
    return None


def _turn(record: Record) -> Expected | None:
    session, line_uuid = record.get("sessionId"), record.get("uuid")
    timestamp = record.get("timestamp")
    text = said(record)
    if not (text and session and line_uuid and timestamp):
        return None
    actor = "agent" if record["type"] == "assistant" else "user"
    return Expected(session, line_uuid, actor, text, timestamp)


class Taken(NamedTuple):
    """An operation that took a prompt from the queue, and the enqueue that had put it there."""

    at: int
    operation: Record
    put_at: int
    enqueue: Record

    @property
    def text(self) -> str:
        typed = self.enqueue.get("content") or self.operation.get("content")
        return without_paste_tags(text_of(typed))

    @property
    def may_be_alone(self) -> bool:
        """Whether the prompt may have gone to Claude without any other line that says it."""
        return self.operation["operation"] == "remove" and not self.operation.get("reason")


def queued_turns(every: list[Record], turns: list[Expected | None]) -> dict[int, Expected]:
    """The prompts that went to Claude and are in no other line, by where they left the queue.

    Every line speaks for one prompt only, and first for those that are known to have a line.
    """
    spoken_for: set[int] = set()
    alone = {}
    for taken in sorted(_taken_from_queues(every), key=lambda taken: taken.may_be_alone):
        line = next(
            (
                at
                for at in _window(every, turns, taken)
                if at not in spoken_for and _says(turns[at], taken)
            ),
            None,
        )
        if line is not None:
            spoken_for.add(line)
        elif taken.may_be_alone and (turn := _turn_of_queue(taken)):
            alone[taken.at] = turn
    return alone


def _taken_from_queues(every: list[Record]) -> Iterator[Taken]:
    queues: dict[Any, list[tuple[int, Record]]] = {}
    for at, record in enumerate(every):
        if record.get("type") != "queue-operation":
            continue
        queue = queues.setdefault(record.get("sessionId"), [])
        if record.get("operation") == "enqueue":
            queue.append((at, record))
        elif record.get("operation") == "popAll":
            queue.clear()
        elif record.get("operation") in ("remove", "dequeue") and queue:
            put = next(
                (put for put in queue if put[1].get("content") == record.get("content")),
                _first_out(record, queue),
            )
            queue.remove(put)
            yield Taken(at, record, *put)


def _first_out(operation: Record, queue: list[tuple[int, Record]]) -> tuple[int, Record]:
    """While Claude works, prompts go before commands, and what a machine queued stays."""
    texts = [text_of(enqueue.get("content")) for _, enqueue in queue]
    if operation["operation"] == "dequeue":
        return queue[0]
    ranks = [2 if _is_machines(text) else text.startswith("/") for text in texts]
    return queue[ranks.index(min(ranks))]


def _is_machines(text: str) -> bool:
    return is_injected(text) or text.startswith('{"task_id"')


def _window(every: list[Record], turns: list[Expected | None], taken: Taken) -> Iterator[int]:
    """Where a line may be that says the prompt: up to the next answer.

    The line of a slash command of the terminal comes when the command is over. It may be
    behind answers, but before any other prompt.
    """
    first = taken.at if taken.operation["operation"] == "dequeue" else taken.put_at
    slash = taken.text.startswith("/")
    for at in range(first + 1, len(every)):
        if every[at].get("sessionId") != taken.enqueue.get("sessionId"):
            continue
        turn = turns[at]
        other = turn is not None and turn.actor == "user" and not _says(turn, taken)
        if at > taken.at and (other if slash else every[at].get("type") == "assistant"):
            return
        yield at


def _says(turn: Expected | None, taken: Taken) -> bool:
    return (
        turn is not None and turn.actor == "user" and turn.text in (taken.text, f"! {taken.text}")
    )


def _turn_of_queue(taken: Taken) -> Expected | None:
    session, timestamp = taken.enqueue.get("sessionId"), taken.enqueue.get("timestamp")
    if _is_machines(taken.text) or not (taken.text and session and timestamp):
        return None
    return Expected(session, queue_identity(timestamp, taken.text), "user", taken.text, timestamp)
