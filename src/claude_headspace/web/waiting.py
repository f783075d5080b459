"""Runs `alerts.command` when a session starts to wait for the user, once per wait."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from claude_headspace.health.status_file import write_private
from claude_headspace.read.connection import ReadPool
from claude_headspace.read.sessions import Session, find_sessions, in_states
from claude_headspace.supervision.alerts import Alerts
from claude_headspace.web.words import project_name

LOOK_SECONDS = 1.0
MOST_REMEMBERED = 500
STATE_NAME = "waiting-alerts.json"

logger = logging.getLogger("claude_headspace.web")


class Waiting:
    """Remembers, in a file too, which waits were reported; waits before its first look are not."""

    def __init__(self, path: Path, alerts: Alerts) -> None:
        self._path = path
        self._alerts = alerts
        self._told = self._recall()

    def see(self, sessions: Sequence[Session]) -> None:
        """Look at the sessions that need the user now."""
        self._alerts.advance()
        first, known = self._told is None, self._told or []
        begun = [each for each in sessions if not _names(each) & set(known)]
        names = sorted(name for each in sessions for name in _names(each) if name not in known)
        if not first and not names:
            return
        self._told = [*known, *names][-MOST_REMEMBERED:]
        # Written before the alert: after a crash, an alert is rather lost than sent twice.
        if self._write() and not first:
            for each in begun:
                self._alerts.raise_alert("waiting", _reason(each), each.uuid)

    def _write(self) -> bool:
        try:
            write_private(self._path, json.dumps(self._told))
        except OSError as error:
            told = "%s cannot be written, so no alert is sent for waiting sessions: %s"
            logger.warning(told, self._path, error)
            return False
        return True

    def _recall(self) -> list[str] | None:
        try:
            return [str(name) for name in json.loads(self._path.read_text("utf-8"))]
        except (OSError, ValueError, TypeError):
            return None


def _names(session: Session) -> set[str]:
    """The names of one wait: its call may become known after its hook, and hooks may repeat."""
    call, since = session.state.call, session.state.since
    return {f"{session.uuid} {at.isoformat()}" for at in (since, call and call.since) if at}


def _reason(session: Session) -> str:
    state = session.state
    asks = state.call.telling if state.call and state.asks else state.reason
    where = project_name(session.project, session.directory)
    return f"{session.title or session.uuid} ({where}, {session.host}): {asks}"


def watch_waits(pool: ReadPool, alerts: Alerts, state_directory: Path) -> None:
    """Look once a second in a separate thread until the process ends."""
    waiting = Waiting(state_directory / STATE_NAME, alerts)

    def look() -> None:
        while True:
            try:
                with pool.reading() as reader:
                    found = find_sessions(reader, in_states(reader, ["needs"]))
                waiting.see([each for each in found.values() if each.state.kind == "needs"])
            except Exception:  # nobody would start this thread again
                logger.debug("it is unknown which sessions wait", exc_info=True)
            time.sleep(LOOK_SECONDS)

    threading.Thread(target=look, name="waiting", daemon=True).start()
