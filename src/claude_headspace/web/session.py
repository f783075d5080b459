"""The view Session: one conversation, with its tool calls and its files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from html import escape
from itertools import groupby
from typing import Any

from flask import Blueprint, Response, render_template, request
from markupsafe import Markup

from claude_headspace.errors import SelectionError
from claude_headspace.events.redaction import make_redactor
from claude_headspace.read.call_line import call_line, diff, line_of
from claude_headspace.read.completeness import files_of
from claude_headspace.read.conversation import read_page
from claude_headspace.read.exchange import Exchange, Step
from claude_headspace.read.lines import Transcripts, failure_words
from claude_headspace.read.outline import Outline, Prompt, read_outline
from claude_headspace.read.sessions import Session, one_session, session_named
from claude_headspace.read.tools import Call, cache_reads, one_call
from claude_headspace.web.export import as_markdown
from claude_headspace.web.frame import as_of, frame, icon, page
from claude_headspace.web.shared_answers import shared
from claude_headspace.web.words import length, waited

view = Blueprint("session", __name__)
SHOWN_CALLS = 6
FOLDED_RUN = 8
SHOWN_OUTPUT = 200_000
TOLD_FAILURES = 60
SHOWS = ("all", "conversation", "prompts", "failures")
OUTCOME_WORDS = {"denied": "You declined", "interrupted": "interrupted"}


@view.get("/sessions/<uuid>")
@shared
def show(uuid: str) -> str:
    """The page of the conversation that contains `?prompt=`; else its last or first page."""
    now = datetime.now(UTC)
    shows = request.args.get("show", "all")
    with frame().pool.reading() as reader:
        moment = as_of(reader)
        session = session_named(reader, uuid)
        outline = read_outline(reader, session.id)
        pages = outline.pages
        asked = request.args.get("call")
        call = one_call(reader, session.uuid, asked) if asked else None
        number = _page_number(outline, session, call)
        files = Transcripts(reader)
        found = read_page(reader, session.id, outline, number, files if shows == "all" else None)
        failures = _failures(files, found)
        models = cache_reads(reader, session.uuid)
        kept = files_of(reader, session.uuid)
        originals = {uuid: one_session(reader, uuid) for uuid, _ in outline.copies}
    shows = shows if shows in SHOWS else "all"
    return page(
        "session.html", "sessions", as_of=moment, session=session, outline=outline,
        found=found, models=models, entries=entries_of(outline.prompts, shows),
        kept=kept, originals=originals, shows=shows, now=now,
        before=pages[number - 1] if number else (), number=number,
        after=pages[number + 1] if number + 1 < len(pages) else (), runs=runs, line=line_of,
        outcome=partial(outcome_of, failures, now, session.ended_at is not None),
        last_page=number + 1 >= len(pages),
    )  # fmt: skip


def entries_of(prompts: Iterable[Prompt], shows: str) -> Markup:
    """A link to each prompt, with the pause before it and the number of failed calls.

    A template would take several times as long.
    """
    more = "" if shows == "all" else f"&amp;show={escape(shows)}"
    failed = f'<span class="x">{icon("fail")}<span class="vh">failed calls: </span>'
    entries = "".join(_entry(prompt, more, failed) for prompt in prompts)
    return Markup(entries)  # noqa: S704  escaped part by part


def _entry(prompt: Prompt, more: str, failed: str) -> str:
    number = prompt.number
    gap = f'<li class="gap">{length(prompt.pause)}</li>' if prompt.pause else ""
    if prompt.failed:
        told = f"{failed}{prompt.failed}</span>"
    else:
        told = '<span class="n">went back</span>' if prompt.abandoned else "<span></span>"
    return (
        f'{gap}<li><a href="?prompt={number}{more}#p{number}"><span class="n">{number}</span>'
        f"<span>{escape(prompt.words or '…')}</span>{told}</a></li>"
    )


@view.get("/sessions/<uuid>.md")
def export(uuid: str) -> Response:
    """The whole session as Markdown."""
    with frame().pool.reading() as reader:
        session = session_named(reader, uuid)
        outline = read_outline(reader, session.id)
        pages = range(max(1, len(outline.pages)))
        found = [each for n in pages for each in read_page(reader, session.id, outline, n)]
    redactor = make_redactor(frame().config.privacy.patterns)
    response = Response(redactor.redact(as_markdown(session, found))[0])
    response.content_type = "text/markdown; charset=utf-8"
    response.headers["Content-Disposition"] = f'attachment; filename="{session.uuid}.md"'
    return response


def _page_number(outline: Outline, session: Session, call: Call | None) -> int:
    pages = outline.pages
    at = call.at.timestamp() if call else request.args.get("at", type=int)
    if at:
        return max(0, sum(prompts[0].at.timestamp() <= at for prompts in pages) - 1)
    asked, event = request.args.get("prompt", type=int), request.args.get("event", type=int)
    if event is not None:
        return max(0, sum(prompts[0].id <= event for prompts in pages) - 1)
    if asked is None:
        return max(0, len(pages) - 1) if session.ended_at is None else 0
    return next((n for n, prompts in enumerate(pages) if asked <= prompts[-1].number), 0)


@dataclass(frozen=True, slots=True)
class CallRun:
    """Consecutive calls; `told` summarises a fold."""

    steps: tuple[Step, ...]
    told: str = ""


def runs(steps: Sequence[Step], only_failed: bool = False) -> list[CallRun]:
    """The calls to show; a long run is folded, except for failed calls."""
    if only_failed:
        failed = tuple(step for step in steps if step.call.failed)
        return [CallRun(failed)] if failed else []
    if len(steps) <= FOLDED_RUN:
        return [CallRun(tuple(steps))]

    def folds(numbered: tuple[int, Step]) -> bool:
        number, step = numbered
        return number >= SHOWN_CALLS and step.call.outcome == "ok" and not step.inner

    found: list[CallRun] = []
    for is_fold, part in groupby(enumerate(steps), folds):
        run = tuple(step for _, step in part)
        told = _fold_words(run) if is_fold and run[1:] else ""
        if told or not found or found[-1].told:
            found.append(CallRun(run, told))
        else:  # a single call is not worth a fold
            found[-1] = CallRun(found[-1].steps + run)
    return found


def _fold_words(steps: Sequence[Step]) -> str:
    names = Counter(call_line(step.call.tool, None).name for step in steps)
    listed = ", ".join(f"{number} {name}" for name, number in names.items())
    return f"{listed}, all succeeded"


def _failures(files: Transcripts, found: Sequence[Exchange]) -> dict[str, str]:
    """Why calls failed, by their ids, as far as their results are available."""
    steps = [item for each in found for item in each.items if isinstance(item, tuple)]
    calls = [step.call for run in steps for step in run if step.call.failed]
    answers = {call.id: files.answer(call) for call in calls[:TOLD_FAILURES]}
    return {name: failure_words(text) for name, text in answers.items() if text is not None}


def outcome_of(
    failures: Mapping[str, str], now: datetime, ended: bool, call: Call
) -> tuple[str, str]:
    """(kind, words) of how a call ended: kinds ok, bad, you, out."""
    if call.outcome is None:
        running = "no result" if ended else f"running {waited((now - call.at).total_seconds())}"
        return "out", running
    if call.outcome == "ok":
        return "ok", "worked"
    if call.outcome == "error":
        words = failures.get(call.id, "failed")
        return ("out" if words.startswith("not run") else "bad"), words
    return "you", OUTCOME_WORDS.get(call.outcome, call.outcome)


@view.get("/sessions/<uuid>/calls/<path:call_id>")
def show_call(uuid: str, call_id: str) -> str:
    """The whole input and output of a call; for the script, only the body of its fold."""
    with frame().pool.reading() as reader:
        session = session_named(reader, uuid)
        call = one_call(reader, session.uuid, call_id)
        if call is None:
            raise SelectionError(f"session {uuid} has no call {call_id}")
        files = Transcripts(reader)
        asked, answer = files.given(call), files.answer(call)
    given: Mapping[str, Any] = asked if isinstance(asked, dict) else call.given
    values = {
        "call": call, "session": session, "line": call_line(call.tool, given, session.directory),
        "shown": _shown_input(call.tool, given), "answer": answer, "limit": SHOWN_OUTPUT,
        "changes": diff(given.get("old_string"), given.get("new_string"))
        if call.tool == "Edit" else [],
    }  # fmt: skip
    if request.headers.get("X-Part"):
        return render_template("call_body.html", **values)
    return page("call.html", "sessions", **values)


def _shown_input(tool: str, given: Mapping[str, Any]) -> str:
    """The input for people: a command as plain text, everything else as JSON."""
    if tool == "Bash" and isinstance(given.get("command"), str):
        return str(given["command"])
    if tool == "Write" and isinstance(given.get("content"), str):
        return str(given["content"])
    return json.dumps(given, indent=2, ensure_ascii=False)
