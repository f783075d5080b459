"""Prompts typed while Claude works: what is told of them, once, whenever the lines are read."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

import lines
from claude_headspace.transcripts import prompts
from claude_headspace.transcripts.parsed import Parsed, Turn, Withdrawn
from claude_headspace.transcripts.prompts import PromptQueue
from claude_headspace.transcripts.transcript import Transcript
from said import CLIENTS, Conversation

SESSION = "11111111-2222-4333-8444-555555555555"
REPLY = lines.assistant(SESSION, "Well.")
RESULT = lines.user(SESSION, [lines.tool_result()])


def operation(name: str, content: str | None = None, at: float = 0, **more: str) -> lines.Record:
    given = {} if content is None else {"content": content}
    return lines.queue(SESSION, name, at=at, **given, **more)


def told(*records: lines.Record) -> list[str]:
    """What a person said by these lines."""
    transcript = Transcript()
    found = [o for record in records for o in transcript.parse(lines.raw(record), 0)]
    return [o.text for o in found if isinstance(o, Turn) and o.actor == "user"]


class TestPairing:
    def test_the_first_in_is_the_first_out(self) -> None:
        queued = [operation("enqueue", text, at=at) for at, text in enumerate("abc")]
        assert told(*queued, operation("remove"), operation("remove"), REPLY) == ["a", "b"]

    def test_where_the_operation_has_content_it_goes_by_that(self) -> None:
        queued = [operation("enqueue", text) for text in "abc"]
        assert told(*queued, operation("remove", "b"), REPLY) == ["b"]

    def test_one_that_was_given_as_blocks_has_no_words_and_keeps_its_place(self) -> None:
        queued = [operation("enqueue"), operation("enqueue", "mine")]
        assert told(*queued, operation("remove"), REPLY) == []
        assert told(*queued, operation("remove"), operation("remove"), REPLY) == ["mine"]
        assert told(*queued, operation("remove", "of the blocks"), operation("remove"), REPLY) == [
            "mine"
        ]

    @pytest.mark.parametrize("name", ["remove", "dequeue", "popAll", "of next year"])
    def test_what_no_enqueue_stands_before_takes_nothing(self, name: str) -> None:
        more = (operation("enqueue", "mine"), operation("remove"), REPLY)
        assert told(operation(name), operation(name, "x"), *more) == ["mine"]

    def test_taken_back_by_one_operation_for_each(self) -> None:
        queued = [operation("enqueue", text) for text in "ab"]
        back = [operation("popAll", text) for text in "ab"]
        again = [operation("enqueue", "a\nb"), operation("remove")]
        assert told(*queued, *back, *again, REPLY) == ["a\nb"]

    def test_removed_with_a_reason_it_stands_in_another_line(self) -> None:
        removed = operation("remove", "a", reason="absorbed_mid_turn")
        assert told(operation("enqueue", "a"), removed, REPLY) == []

    def test_the_sessions_of_a_file_have_a_queue_each(self) -> None:
        other = lines.queue(lines.new_session(), "enqueue", content="theirs")
        mine = operation("enqueue", "mine")
        assert told(other, mine, operation("remove"), REPLY) == ["mine"]


class TestCountedOnce:
    @pytest.mark.parametrize("content", [None, "a"])
    @pytest.mark.parametrize("order", ["before", "after", "behind the result"])
    def test_an_attachment_beside_the_removal_tells_it(
        self, order: str, content: str | None
    ) -> None:
        removed, attached = operation("remove", content), lines.attachment(SESSION, "a")
        ordered = {
            "before": [attached, removed],
            "after": [removed, attached],
            "behind the result": [removed, RESULT, attached],
        }
        assert told(operation("enqueue", "a"), *ordered[order], REPLY) == ["a"]

    def test_a_line_of_its_own_tells_a_prompt_that_was_dequeued(self) -> None:
        again = lines.user(SESSION, "a")
        assert told(operation("enqueue", "a"), operation("dequeue"), again, REPLY) == ["a"]

    def test_two_that_read_alike_at_one_moment_are_two(self) -> None:
        transcript = Transcript()
        queued = [operation("enqueue", "go on")] * 2 + [operation("remove")] * 2 + [REPLY]
        found = [o for each in queued for o in transcript.parse(lines.raw(each), 0)]
        keys = [o.key for o in found if isinstance(o, Turn) and o.actor == "user"]
        assert len(keys) == len(set(keys)) == 2

    def test_of_two_that_read_alike_an_attachment_tells_one(self) -> None:
        queued = [operation("enqueue", "go on")] * 2
        removed = [operation("remove")] * 2
        attached = lines.attachment(SESSION, "go on")
        assert told(*queued, *removed, attached, REPLY) == ["go on", "go on"]


def counted(records: Iterator[Parsed]) -> dict[UUID, str]:
    """The turns that the log holds once all this is in it."""
    found: dict[UUID, str] = {}
    for parsed in records:
        if isinstance(parsed, Turn):
            assert parsed.key not in found, parsed
            found[parsed.key] = parsed.text
        elif isinstance(parsed, Withdrawn):
            del found[parsed.key]
    return found


def read(
    file: list[bytes],
    *,
    restarted: bool = False,
    pauses: random.Random | None = None,
    redact: Callable[[str], str] = str,
) -> Iterator[Parsed]:
    """Read a file: with a new process for every line, or with pauses at random."""
    transcript = Transcript("", redact)
    for line in file:
        if restarted:
            transcript = Transcript(transcript.state, redact)
        yield from transcript.parse(line, 0)
        if pauses and pauses.random() < 0.3:
            yield from transcript.waiting_prompts(0)
    yield from transcript.waiting_prompts(0)


@pytest.mark.parametrize("client", [*CLIENTS, None])
class TestIdentity:
    """The same turns under the same keys, however the reading of a file is broken up."""

    def test_read_in_one_piece_or_line_by_line(self, client: str | None) -> None:
        for seed in range(20):
            file = Conversation(seed, client).lines
            assert counted(read(file, restarted=True)) == counted(read(file)), seed

    def test_released_when_the_file_was_still(self, client: str | None) -> None:
        for seed in range(20):
            file = Conversation(seed, client).lines
            early = counted(read(file, restarted=True, pauses=random.Random(seed)))
            assert early == counted(read(file)), seed


def test_released_it_is_withdrawn_when_its_line_comes() -> None:
    transcript = Transcript()
    for each in (operation("enqueue", "a"), operation("remove")):
        list(transcript.parse(lines.raw(each), 0))
    (early,) = transcript.waiting_prompts(7)
    again = Transcript(transcript.state)
    found = list(again.parse(lines.raw(lines.attachment(SESSION, "a")), 0))
    assert isinstance(early, Turn)
    assert Withdrawn(UUID(SESSION), early.key) in found
    assert [o.text for o in found if isinstance(o, Turn)] == ["a"]
    assert again.state == ""


def test_a_command_waits_for_its_line_until_the_next_prompt() -> None:
    queued = [operation("enqueue", "/agents"), operation("remove"), REPLY]
    own = lines.local_command(SESSION, "<command-name>/agents</command-name>")
    prompt = lines.user(SESSION, "thanks")
    assert told(*queued, own, prompt) == ["/agents", "thanks"]
    assert told(*queued, prompt) == ["/agents", "thanks"]


class TestState:
    def queue(self) -> PromptQueue:
        queue = PromptQueue()
        for text in ("held secret", "early secret", "waits secret", "/run secret", ""):
            queue = queue.operate("enqueue", "2025-06-01T12:00:00Z", text or None, reason=False)
        queue = queue.operate("remove", None, "early secret", reason=False).released()[0]
        queue = queue.operate("remove", None, "held secret", reason=False)
        return queue.operate("dequeue", None, "/run secret", reason=False)

    def test_it_comes_out_of_json_as_it_went_in(self) -> None:
        queue = self.queue()
        assert all((queue.waiting, queue.held, queue.early, queue.expected))
        assert PromptQueue.from_json(json.loads(json.dumps(queue.as_json(str)))) == queue

    def test_redacted_it_holds_no_words_and_is_paired_as_before(self) -> None:
        text = json.dumps(self.queue().as_json(lambda said: said.replace("secret", "***")))
        assert "secret" not in text
        again = PromptQueue.from_json(json.loads(text))
        assert again.holds("held secret")
        assert [p.said for p in again.replied()[1]] == ["held ***"]
        assert not again.attachment("held secret")[0].held

    def test_redaction_changes_no_key_and_loses_no_turn(self) -> None:
        for seed in range(20):
            file = Conversation(seed, "both").lines
            redacted = read(file, restarted=True, redact=lambda text: text[:1] and "***")
            assert counted(redacted).keys() == counted(read(file)).keys(), seed

    def test_nothing_open_is_nothing_stored(self) -> None:
        transcript = Transcript()
        for each in (operation("enqueue", "a"), operation("remove"), REPLY):
            list(transcript.parse(lines.raw(each), 0))
        assert transcript.state == ""

    def test_without_a_known_state_operations_are_passed_over(self) -> None:
        transcript = Transcript(None)
        queued = (operation("enqueue", "a"), operation("remove"), REPLY)
        found = [o for each in queued for o in transcript.parse(lines.raw(each), 0)]
        assert [o.text for o in found if isinstance(o, Turn)] == ["Well."]


class TestBounds:
    def test_of_very_many_that_wait_the_newest_are_kept(self) -> None:
        queue = PromptQueue()
        for number in range(prompts.MAX_WAITING + 5):
            queue = queue.operate("enqueue", str(number), f"n{number}", reason=False)
        assert len(queue.waiting) == prompts.MAX_WAITING
        assert queue.waiting[0].said == "n5"

    def test_so_are_the_newest_of_very_long_ones(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(prompts, "MAX_CHARACTERS", 100)
        queue = PromptQueue()
        for text in ("a" * 60, "b" * 60, "c" * 30):
            queue = queue.operate("enqueue", "1", text, reason=False)
        assert [prompt.said[0] for prompt in queue.waiting] == ["b", "c"]

    def test_so_are_the_newest_of_those_that_nobody_answers(self) -> None:
        queue = PromptQueue()
        for number in range(4 * prompts.MAX_WAITING):
            queue = queue.operate("enqueue", str(number), f"n{number}", reason=False)
            queue = queue.operate("remove" if number % 2 else "dequeue", "", None, reason=False)
            if number % 100 == 0:
                queue = queue.released()[0]
        for kept in (queue.held, queue.early, queue.expected):
            assert len(kept) <= prompts.MAX_WAITING
