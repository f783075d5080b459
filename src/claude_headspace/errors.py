"""All errors that the package raises deliberately.

A message is one sentence that says what is wrong, with which value, and what to do about it.
`exit_status` is the exit status of a program that does not handle the error.
"""

from __future__ import annotations

from collections.abc import Sequence

# The command that starts everything.
START_COMMAND = "claude-headspace up"


class HeadspaceError(Exception):
    """An error that the user can act on."""

    exit_status = 1


class ConfigError(HeadspaceError):
    """The configuration has mistakes; `problems` lists all of them, one sentence each."""

    exit_status = 78  # EX_CONFIG of sysexits.h

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class DatabaseError(HeadspaceError):
    """Postgres did not execute a request."""

    exit_status = 69  # EX_UNAVAILABLE


class DatabaseUnavailable(DatabaseError):
    """Postgres is unavailable, or refuses for now; the same request may succeed later."""


class DatabaseRefused(DatabaseError):
    """Postgres refuses this event (SQLSTATE class 22, 23 or 54), and always will."""

    exit_status = 65  # EX_DATAERR

    def __init__(self, message: str, sqlstate: str) -> None:
        self.sqlstate = sqlstate
        super().__init__(message)


class CommitRefused(DatabaseError):
    """Postgres refuses what was sent before; this says nothing about the next statement."""

    exit_status = 65


class SchemaMismatch(DatabaseUnavailable):
    """The database's schema is older or newer than this version of the program supports."""


class ReplacedServer(DatabaseUnavailable):
    """The server is a former primary: another has taken its place."""


class SharedConnection(DatabaseUnavailable):
    """A pooler shares one connection between several clients, per transaction."""


class QuestionTooLong(DatabaseUnavailable):
    """A query exceeded its time limit and was stopped."""


class WrongEncoding(DatabaseUnavailable):
    """The database is not encoded in UTF-8, so it cannot store every text."""


class EventInvalid(HeadspaceError):
    """An event breaks the rules of its type; `field` names what is wrong in it."""

    exit_status = 65

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__(f"{field}: {problem}")


class StateUnusable(HeadspaceError):
    """The program cannot write to its state directory."""

    exit_status = 73  # EX_CANTCREAT


class StateCopied(HeadspaceError):
    """The state directory is a copy of another machine's; at the next start it gets a new id."""

    exit_status = 75  # EX_TEMPFAIL


class AlreadyRunning(HeadspaceError):
    """Another process holds a lock that only one process may hold."""

    exit_status = 75  # EX_TEMPFAIL


class EmbeddedServerError(HeadspaceError):
    """The embedded Postgres cannot be created or started."""


class InboxError(HeadspaceError):
    """The inbox could not be written or read."""

    exit_status = 73  # EX_CANTCREAT


class InboxDamaged(InboxError):
    """A file in the inbox is not one complete event: it is torn, or of another program."""

    exit_status = 65


class HookSettingsError(HeadspaceError):
    """Claude Code's settings cannot be edited safely; nothing was changed."""

    exit_status = 65


class SelectionError(HeadspaceError):
    """A name matches nothing in the log, or more than one thing."""

    exit_status = 66  # EX_NOINPUT


class BadQuestion(HeadspaceError):
    """A query is invalid; `field` names the wrong part."""

    exit_status = 64  # EX_USAGE

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


class CursorAhead(HeadspaceError):
    """A reader's saved id is beyond the end of the log: the log was reset."""

    exit_status = 65


class OtherTimeline(CursorAhead):
    """A reader's saved id is from another server; here, later ids may mean other events."""


class NotPrimary(HeadspaceError):
    """The server is a standby, which does not know which ids are final."""

    exit_status = 69


class StopRequested(BaseException):
    """Ends long work that can be repeated after the next start."""
