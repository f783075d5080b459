"""Finding sessions and projects by the names that people type, and completing those names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from claude_headspace.cli.access import configured, open_reader
from claude_headspace.cli.terminal import printable
from claude_headspace.errors import HeadspaceError, SelectionError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from claude_headspace.config import Config
    from claude_headspace.read.connection import Reader
    from claude_headspace.read.selection import SessionNamed
    from claude_headspace.read.sessions import Session

SHORT_ID = 8
SHOWN_CHOICES = 8
LOOKED_AT = 50
_BEGUN = (
    "SELECT id FROM agents WHERE session_uuid::text LIKE %s ORDER BY last_seen_at DESC LIMIT %s"
)


class SeveralSessions(SelectionError):
    """Several sessions match the words; `problems` lists them."""

    def __init__(self, name: str, found: list[Session]) -> None:
        shown = [f"{each.uuid[:SHORT_ID]}  {each.title}" for each in found[:SHOWN_CHOICES]]
        self.problems = (*shown, "and others") if len(found) > SHOWN_CHOICES else tuple(shown)
        super().__init__(f"more than one session matches {name!r}: give the id of one")


def session_by_name(reader: Reader, name: str) -> SessionNamed:
    """The session with this id or start of an id, or these words in its title, else in its path."""
    from claude_headspace.read import selection
    from claude_headspace.read.sessions import SessionQuestion, list_sessions

    try:
        return selection.find_session(reader, name)
    except SelectionError as error:
        rows = list_sessions(reader, SessionQuestion(q=name, limit=LOOKED_AT)).rows
        words = name.lower().split()
        titled = [each for each in rows if all(word in each.title.lower() for word in words)]
        found = titled or list(rows)
        if not found:
            told = f"{error}; `claude-headspace sessions` lists ids and titles"
            raise SelectionError(told) from None
        if len(found) > 1:
            raise SeveralSessions(name, found) from None
        return selection.SessionNamed(found[0].uuid, found[0].id)


def session_id(config: Config, name: str) -> UUID:
    """The id of the session of this name; a complete id need not be in the log."""
    with open_reader(config) as reader:
        return UUID(session_by_name(reader, name).uuid)


def known_session(reader: Reader, name: str) -> Session:
    """The session of this name, with all that is known of it."""
    from claude_headspace.read.sessions import one_session

    found = one_session(reader, session_by_name(reader, name).uuid)
    if found is None:
        raise SelectionError(f"the log has no session {name}: see `claude-headspace sessions`")
    return found


def project_ids(reader: Reader, name: str | None, host: str | None = None) -> tuple[int, ...]:
    """Ids of the project with this path (relative, absolute, or its end), on one host or all."""
    from claude_headspace.read.selection import find_projects

    if name is None:
        return () if host is None else find_projects(reader, None, host)
    with suppress(SelectionError):
        return find_projects(reader, absolute(name), host)
    return find_projects(reader, name, host)


def absolute(path: str) -> str:
    """An absolute path; symbolic links are not followed."""
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111


def project_paths(reader: Reader, name: str | None) -> tuple[str, ...]:
    """Paths of the projects with this path or end of a path; none without a name."""
    from claude_headspace.read.selection import paths_named

    return () if name is None else paths_named(reader, name, absolute(name))


def _completing(names: Callable[[Reader, str], Iterator[tuple[str, str]]]) -> Callable[..., Any]:
    """The names that a shell offers; none if the log does not answer at once."""

    def complete(_: Any, __: Any, begun: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        with suppress(HeadspaceError, OSError), open_reader(configured()) as reader:
            return [CompletionItem(name, help=told) for name, told in names(reader, begun)]
        return []

    return complete


def _session_names(reader: Reader, begun: str) -> Iterator[tuple[str, str]]:
    from claude_headspace.read.sessions import find_sessions

    begun = begun.lower()
    ids = [row[0] for row in reader.rows(_BEGUN, [f"{begun}%", LOOKED_AT])]
    found = find_sessions(reader, ids)
    for each in (found[agent] for agent in ids):
        yield each.uuid[: max(SHORT_ID, len(begun))], printable(each.title)


def _project_names(reader: Reader, begun: str) -> Iterator[tuple[str, str]]:
    paths = [row[0] for row in reader.rows("SELECT DISTINCT path FROM projects ORDER BY path")]
    names = {path if begun.startswith("/") else path.rpartition("/")[2]: path for path in paths}
    return ((name, path) for name, path in names.items() if name.startswith(begun))


complete_session = _completing(_session_names)
complete_project = _completing(_project_names)
