"""A whole session as Markdown, to store or share; known kinds of secrets are masked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from claude_headspace.read.call_line import line_of
from claude_headspace.read.exchange import Exchange, Item, Step, Stray, TurnRow
from claude_headspace.read.sessions import Session
from claude_headspace.web.words import length, moment

_OUTCOMES = {None: "no result", "ok": "", "error": "failed", "denied": "declined"}


def as_markdown(session: Session, exchanges: Sequence[Exchange]) -> str:
    """Prompts as headings, answers unchanged, one line per call."""
    told = [f"# {session.title or session.uuid}", ""]
    began = f", {moment(session.started_at)}" if session.started_at else ""
    told.append(f"{session.project} on {session.host}{began}. Session {session.uuid}.")
    for exchange in exchanges:
        if exchange.prompt and exchange.said:
            head, _, rest = exchange.said.text.partition("\n")
            told += ["", f"## {exchange.prompt.number}. {head}", *([rest] if rest.strip() else [])]
        told += _items(exchange.items, session)
    return "\n".join(told) + "\n"


def _items(items: Sequence[Item], session: Session, indent: str = "") -> Iterator[str]:
    for item in items:
        if isinstance(item, TurnRow):
            said = "> " if item.actor == "user" else ""
            yield ""
            yield from (f"{indent}{said}{line}" for line in item.text.splitlines())
        elif isinstance(item, Stray):
            yield from _items(item.items, session, f"{indent}  ")
        elif isinstance(item, tuple):
            yield ""
            for step in item:
                yield f"{indent}- {_line(step, session)}"
                yield from _items(step.inner, session, f"{indent}  ")


def _line(step: Step, session: Session) -> str:
    call = step.call
    told = line_of(call.tool, call.asked, session.directory)
    outcome = _OUTCOMES.get(call.outcome, call.outcome or "")
    ended = ", ".join(filter(None, (outcome, length(call.seconds))))
    return f"{told.name} `{told.text.replace('`', '’')}` {told.aside}".rstrip() + f" ({ended})"
