"""The frame of every view: navigation, health in words, keys; and error pages."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any

from flask import Blueprint, Flask, current_app, g, render_template
from markupsafe import Markup

from claude_headspace.config import Config
from claude_headspace.errors import DatabaseError
from claude_headspace.health.status_file import reads_a_backlog
from claude_headspace.health.units import format_bytes
from claude_headspace.health.verdict import Verdict
from claude_headspace.read.connection import Reader, ReadPool
from claude_headspace.read.passages import Passage
from claude_headspace.read.sessions import in_states
from claude_headspace.web import markdown, words
from claude_headspace.web.links import address, asset, with_query
from claude_headspace.web.problems import Problem
from claude_headspace.web.strip import Strip, strip_of

EXTENSION = "claude_headspace.pages"
_SEEN = "claude_headspace.verdict"
VERDICT_SECONDS = 1.0
# The script of a page requests a newer strip within seconds.
PAGE_SECONDS = 5.0

LAST_LINE = "SELECT coalesce(max(last_seen_at)::text, '') FROM agents WHERE ended_at IS NULL"
_AS_OF = f"SELECT coalesce((SELECT max(id) FROM events), 0), ({LAST_LINE})"  # noqa: S608

pages = Blueprint("pages", __name__, template_folder="templates", static_folder="static")


@dataclass(frozen=True, slots=True)
class Frame:
    """What the views use: the log, the current verdict, the settings."""

    config: Config
    pool: ReadPool
    verdict: Callable[[], Verdict]


def add_pages(app: Flask, frame: Frame) -> None:
    """Add the views to the application."""
    from claude_headspace.web import activity, events, now, search, session, sessions, status

    app.extensions[EXTENSION] = frame
    app.jinja_env.filters.update(_FILTERS)
    app.jinja_env.globals.update(
        asset=asset,
        url_for=address,
        is_busy=is_busy,
        with_query=with_query,
        watched=lambda: [str(path) for path in frame.config.claude.projects_path],
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_blueprint(pages)
    for module in (now, sessions, session, events, activity, search, status):
        app.register_blueprint(module.view)


def frame() -> Frame:
    """The frame of the application that answers this request."""
    found: Frame = current_app.extensions[EXTENSION]
    return found


@dataclass(frozen=True, slots=True)
class AsOf:
    """The state that a view shows: the newest event, and the newest line of an open session."""

    event_id: int
    line: str


def as_of(reader: Reader) -> AsOf:
    """Read this before the data of a view: everything after it is new."""
    return reader.fetch(AsOf, _AS_OF)[0]


def page(template: str, view: str, **values: Any) -> str:
    """A view in its frame."""
    if "needing" not in values:
        # Pages that need no log are there without it.
        with suppress(DatabaseError), frame().pool.reading() as reader:
            values["needing"] = len(in_states(reader, ["needs"]))
    # It names paths.
    strip = None if g.is_stranger else health_strip(PAGE_SECONDS)
    return render_template(template, **{"view": view, "strip": strip, **values})


def health_strip(seconds: float = VERDICT_SECONDS) -> Strip:
    """The verdict in words, cached for `seconds`; all open pages share it."""
    seen = current_app.extensions.get(_SEEN)
    if seen is None or time.monotonic() - seen[0] > seconds:
        seen = current_app.extensions[_SEEN] = time.monotonic(), frame().verdict()
    return strip_of(seen[1], time.time())


def is_busy() -> bool:
    """Whether the watcher reads a backlog, so that open pages ask less often."""
    return reads_a_backlog(frame().config.state.directory)


def problem_page(problem: Problem) -> str:
    """The page for a problem."""
    kind, title = _TITLES.get(problem.kind, ("", problem.message))
    return page("problem.html", "", needing=0, kind=kind, title=title, problem=problem)


_TITLES = {
    "no_token": ("", "Open this page with your own link"),
    "used_link": ("", "This link was used before"),
    "too_long": ("warn", "This query took more than 5 s"),
    "database_unavailable": ("broken", "This page can’t be read now"),
    "bad_request": ("warn", "Invalid request"),
    "not_found": ("", "Not found"),
}


@cache
def icon(name: str) -> Markup:
    """One of the icons that every page defines."""
    kind = "i fold" if name == "fold" else "i"
    return Markup('<svg class="{}" aria-hidden="true"><use href="#{}"/></svg>').format(kind, name)


def marked(passage: Passage) -> Markup:
    """A passage with its matches marked, without the signs of Markdown."""
    pieces = (
        f"<mark>{escape(text)}</mark>" if found else escape(text.replace("**", "").replace("`", ""))
        for text, found in passage
    )
    return Markup("".join(pieces))  # noqa: S704  escaped piece by piece


_FILTERS: dict[str, Callable[..., Any]] = {
    **{each.__name__: each for each in (
        words.clock, words.minute, words.day, words.day_name, words.moment, words.waited,
        words.iso_length, words.number, words.short, words.counted, words.project_name,
        words.spelled, markdown.rendered, markdown.inline, icon, marked,
    )},
    "lasting": words.length,
    "bytes": format_bytes,
    "iso": lambda moment: moment.isoformat(timespec="milliseconds"),
}  # fmt: skip
