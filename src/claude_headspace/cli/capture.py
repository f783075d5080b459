"""Which sessions are captured, and the watcher in the foreground."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from claude_headspace.cli.access import open_log
from claude_headspace.cli.command import add, path

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Connection

    from claude_headspace.cli.command import Commands


TAKE_UP_SECONDS = 10.0


def configure(commands: Commands) -> None:
    """Declare the commands."""
    parser = add(
        commands, "register", register, "capture a session, from its first line",
        "The session need not exist yet. The watcher begins at once, or when it next runs.",
        "claude-headspace register 6f1d0a7e-0d3a-4c6b-9a0c-0123456789ab --project .",
    )  # fmt: skip
    _add_session(parser.add_argument)
    parser.add_argument("--project", type=path, metavar="PATH", help="its project")
    parser.add_argument("--directory", type=path, metavar="PATH", help="its working directory")
    parser.add_argument("--iterm-pane-id", metavar="ID", help="its iTerm pane")
    parser = add(
        commands, "unregister", unregister, "stop capturing a session until it is registered again",
        "What has been captured stays. The session ends with the reason `unregistered`.",
        "claude-headspace unregister 6f1d0a7e",
    )  # fmt: skip
    _add_session(parser.add_argument)
    add(
        commands, "watcher", watcher, "run the watcher in the foreground",
        "supervisord runs the same program in the background. Ctrl-C stops it cleanly.",
        "claude-headspace watcher",
    )  # fmt: skip


def _add_session(add_argument: Callable[..., object]) -> None:
    add_argument(
        "session",
        metavar="SESSION",
        help="its UUID; the first characters of a known one are enough",
    )


def register(arguments: Namespace) -> int:
    """Ask for a session."""
    from claude_headspace.config import load_config
    from claude_headspace.store.requests import ask_for
    from claude_headspace.store.selection import find_session

    config = load_config()
    with open_log(config) as connection:
        session = find_session(connection, arguments.session).uuid
        changed = ask_for(
            connection,
            session,
            wanted=True,
            project_path=arguments.project,
            working_directory=arguments.directory,
            iterm_pane_id=arguments.iterm_pane_id,
            machine=config.state.machine,
        )
        _wait_for_watchers(connection, session)
    print(f"{session} is registered." if changed else f"{session} was already registered.")
    return 0


def unregister(arguments: Namespace) -> int:
    """Ask that a session not be captured."""
    from claude_headspace.config import load_config
    from claude_headspace.store.requests import ask_for
    from claude_headspace.store.selection import find_session

    config = load_config()
    with open_log(config) as connection:
        session = find_session(connection, arguments.session).uuid
        changed = ask_for(connection, session, wanted=False, machine=config.state.machine)
        _wait_for_watchers(connection, session)
    print(f"{session} is unregistered." if changed else f"{session} was already unregistered.")
    return 0


def _wait_for_watchers(connection: Connection, session: UUID) -> None:
    """Until every watcher that runs has taken it up: from then on it holds everywhere."""
    from claude_headspace.store.requests import watchers_behind

    deadline = time.monotonic() + TAKE_UP_SECONDS
    while behind := watchers_behind(connection, session):
        if time.monotonic() >= deadline:
            print(
                f"Running watchers that have not confirmed within {TAKE_UP_SECONDS:g} s: {behind}."
                " They follow as soon as they can.",
                file=sys.stderr,
            )
            return
        time.sleep(0.02)


def watcher(_: Namespace) -> int:
    """Become the watcher."""
    from claude_headspace.watcher.process import main

    return main()
