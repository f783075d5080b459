"""The view Now: which sessions work, which wait for you, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Blueprint

from claude_headspace.read.call_line import plan_title, questions
from claude_headspace.read.completeness import branches_of
from claude_headspace.read.connection import Reader
from claude_headspace.read.pulse import Pulse, last_words, pulses_of
from claude_headspace.read.sessions import Session, SessionQuestion, alive_sessions, list_sessions
from claude_headspace.web.frame import as_of, frame, page
from claude_headspace.web.shared_answers import shared
from claude_headspace.web.words import spelled

view = Blueprint("now", __name__)
ENDED_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Card:
    """A session in this view: how long it has waited, and its last words."""

    session: Session
    waited: float
    words: str = ""
    pulse: Pulse | None = None

    @property
    def questions(self) -> list[dict[str, object]]:
        """The questions that it asks, with their options."""
        call = self.session.state.call
        return questions(call.asks) if call and self.session.state.asks == "question" else []

    @property
    def plan(self) -> str:
        """The title of the plan that waits for approval."""
        call = self.session.state.call
        return plan_title(call.asks) if call and self.session.state.asks == "plan" else ""


@view.get("/")
@shared
def show() -> str:
    """All live sessions, the longest waits first."""
    now = datetime.now(UTC)
    with frame().pool.reading() as reader:
        moment = as_of(reader)
        alive = alive_sessions(reader)
        groups = {
            kind: _cards(reader, alive, kind, now) for kind in ("needs", "stalled", "turn", "work")
        }
        midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        ended = list_sessions(
            reader, SessionQuestion(state=("ended",), since=midnight, limit=ENDED_SHOWN)
        ).rows
        branches = branches_of(reader, [each.uuid for each in alive])
        last = list_sessions(reader, SessionQuestion(limit=1)).rows if not alive else ()
    counts = {kind: len(cards) for kind, cards in groups.items()}
    return page(
        "now.html", "now", as_of=moment, needing=counts["needs"], groups=groups, ended=ended,
        last=last, branches=branches,
        title=_headline(counts["needs"]), rest=_rest(counts), now=now,
    )  # fmt: skip


def _cards(reader: Reader, alive: Sequence[Session], kind: str, now: datetime) -> list[Card]:
    """The sessions of one state: the longest wait first; the newest first if it is your turn."""
    chosen = [session for session in alive if session.state.kind == kind]
    chosen.sort(key=lambda each: each.state.since or now, reverse=kind in ("turn", "work"))
    words = last_words(reader, [each.id for each in chosen]) if kind == "turn" else {}
    pulses = pulses_of(reader, [each.id for each in chosen], now)
    return [
        Card(
            each,
            (now - (each.state.since or now)).total_seconds(),
            words.get(each.id, ""),
            pulses.get(each.id),
        )
        for each in chosen
    ]


def _headline(needing: int) -> str:
    if needing == 0:
        return "Nobody needs you"
    noun, verb = ("session", "needs") if needing == 1 else ("sessions", "need")
    return f"{spelled(needing).capitalize()} {noun} {verb} you"


def _rest(counts: Mapping[str, int]) -> str:
    """The other states, in one sentence each."""
    told = (
        ("stalled", "is stalled", "are stalled"),
        ("turn", "waits for your next prompt", "wait for your next prompt"),
        ("work", "is working", "are working"),
    )
    return " ".join(
        f"{spelled(counts[kind]).capitalize()} {one if counts[kind] == 1 else many}."
        for kind, one, many in told
        if counts[kind]
    )
