"""Health in full, the strip alone, and the list of keys."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from flask import Blueprint, render_template

from claude_headspace.errors import DatabaseError
from claude_headspace.read.listed import Host, HostQuestion, list_hosts
from claude_headspace.web.frame import LAST_LINE, frame, health_strip, page
from claude_headspace.web.strip import strip_of

view = Blueprint("status", __name__)
# The shortest time between two queries for all open pages.
PULSE_SECONDS = 0.4
_pulse: list[Any] = [0.0, ""]

KEYS: tuple[tuple[str, str], ...] = (
    ("/", "search"), ("?", "all keys"), ("g n", "Now"), ("g s", "Sessions"), ("g e", "Events"),
    ("g a", "Activity"), ("j k", "next, previous row or turn"), ("Enter", "open"),
    ("Esc", "close, back, leave the field"), ("[ ]", "previous, next prompt"),
    ("e E", "next, previous failure"), ("n N", "next, previous that needs you"),
    ("s S", "next, previous pause"), ("o", "fold, unfold"),
    ("Shift o", "fold, unfold all of this turn"), ("c", "same session"),
    ("f", "follow live, pause"), (".", "show what is new"), ("r", "copy resume command"),
    ("y", "copy link to this row"), ("x", "remove the last filter"),
)  # fmt: skip


@view.get("/status")
def show() -> str:
    """All checks of health, and all machines."""
    verdict = frame().verdict()
    hosts: Sequence[Host] = ()
    with suppress(DatabaseError), frame().pool.reading() as reader:
        hosts = list_hosts(reader, HostQuestion()).rows
    strip = strip_of(verdict, time.time())
    return page("status.html", "", verdict=verdict, strip=strip, hosts=hosts)


@view.get("/status/strip")
def strip() -> str:
    """The strip alone, for the script."""
    return render_template("strip.html", strip=health_strip())


@view.get("/status/pulse")
def pulse() -> str:
    """A text that changes whenever a session writes a line: a new tool call is not an event."""
    now = time.monotonic()
    if now - _pulse[0] > PULSE_SECONDS:
        with frame().pool.reading() as reader:
            _pulse[:] = now, reader.value(LAST_LINE)
    return str(_pulse[1])


@view.get("/keys")
def keys() -> str:
    """All keys."""
    return page("keys.html", "", all_keys=KEYS)
