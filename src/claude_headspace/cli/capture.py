"""Choosing which sessions are captured, and the watcher in the foreground."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from claude_headspace.cli.access import configured, open_log
from claude_headspace.cli.command import command, named_session, option
from claude_headspace.cli.naming import absolute, session_id

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Connection

TAKE_UP_SECONDS = 10.0


@command("register", "claude-headspace register 6f1d0a7e-0d3a-4c6b-9a0c-0123456789ab --project .")
@named_session
@option("--project", "PATH", "its project", "project_path", type=absolute)
@option("--directory", "PATH", "its working directory", "working_directory", type=absolute)
@option("--iterm-pane-id", "ID", "its iTerm pane")
def register(session: str, **about: str | None) -> int:
    """Capture a session, from its first line.

    The session need not exist yet. Capture starts at once, or when the watcher next runs.
    """
    return _ask(session, "registered", wanted=True, **about)


@command("unregister", "claude-headspace unregister 6f1d0a7e")
@named_session
def unregister(session: str) -> int:
    """Stop capturing a session until it is registered again.

    What has been captured stays. The session ends with the reason `unregistered`.
    """
    return _ask(session, "unregistered", wanted=False)


def _ask(name: str, done: str, **wanted: Any) -> int:
    from claude_headspace.store.requests import ask_for

    config = configured()
    session = session_id(config, name)
    with open_log(config, writing=True) as connection:
        changed = ask_for(connection, session, machine=config.state.machine, **wanted)
        _wait_for_watchers(connection, session)
    print(f"{session} is {done}." if changed else f"{session} was already {done}.")
    return 0


def _wait_for_watchers(connection: Connection, session: UUID) -> None:
    """Wait until every running watcher has applied it: then it holds on every machine."""
    from claude_headspace.store.requests import watchers_behind

    deadline = time.monotonic() + TAKE_UP_SECONDS
    while behind := watchers_behind(connection, session):
        if time.monotonic() >= deadline:
            print(
                f"Running watchers that have not confirmed within {TAKE_UP_SECONDS:g} s: {behind}."
                " They will apply it as soon as they can.",
                file=sys.stderr,
            )
            return
        time.sleep(0.02)


@command("watcher", "claude-headspace watcher")
def watcher() -> int:
    """Run the watcher in the foreground.

    supervisord runs the same program in the background. Ctrl-C stops it cleanly.
    """
    from claude_headspace.watcher.process import main

    return main()
