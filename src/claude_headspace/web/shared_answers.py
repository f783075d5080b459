"""One answer for all open pages that refresh the same view at about the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from flask import request

from claude_headspace.web.frame import is_busy

# Rendering a view for open pages takes at most a tenth of a core, however many are open; a fiftieth
# while the watcher reads a backlog.
REUSED_FOR = 9.0
REUSED_IN_BACKLOG = 49.0
LIVE_HEADER = "X-Live"

Asked = ParamSpec("Asked")


class SharedAnswers:
    """Texts that are made at most once at a time, and used again for a while after.

    An answer is used for `times` as long as it took to make. It can be older than an event that
    the asking page knows of: the page then asks again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._views: dict[str, _View] = {}

    def answer(self, view: str, make: Callable[[], str], times: float = REUSED_FOR) -> str:
        """The text of this view; made if there is none, or if it is too old."""
        with self._lock:
            if view not in self._views:
                self._drop_old()
            shared = self._views.setdefault(view, _View())
        with shared.lock:
            began = self._clock()
            if began >= shared.until:
                shared.text = make()
                ended = self._clock()
                shared.until = ended + times * (ended - began)
            return shared.text

    def _drop_old(self) -> None:
        now = self._clock()
        self._views = {
            view: each
            for view, each in self._views.items()
            if each.until > now or each.lock.locked()
        }


class _View:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.until = float("-inf")
        self.text = ""


_answers = SharedAnswers()


def shared(show: Callable[Asked, str]) -> Callable[Asked, str]:
    """Let open pages that refresh a view share its answer; who opens the view gets a new one."""

    @wraps(show)
    def answer(*values: Asked.args, **named: Asked.kwargs) -> str:
        def make() -> str:
            return show(*values, **named)

        if LIVE_HEADER not in request.headers:
            return make()
        times = REUSED_IN_BACKLOG if is_busy() else REUSED_FOR
        return _answers.answer(f"{request.full_path} {request.headers.get('Cookie')}", make, times)

    return answer
