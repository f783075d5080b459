"""The outline as HTML; a template would take several times as long for hundreds of entries."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from markupsafe import Markup

from claude_headspace.read.outline import Prompt
from claude_headspace.web.frame import icon
from claude_headspace.web.words import length


def entries_of(prompts: Iterable[Prompt], shows: str) -> Markup:
    """A link to each prompt, with the pause before it and the number of failed calls."""
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
