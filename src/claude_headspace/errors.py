"""Every error the package raises on purpose.

A message is one sentence that says what is wrong, with what value, and what to do about it.
`exit_status` is what a program of ours ends with when the error reaches its top.
"""

from __future__ import annotations

from collections.abc import Sequence

# What a person types when nothing runs.
START_COMMAND = "claude-headspace up"


class HeadspaceError(Exception):
    """Something went wrong that the person at the keyboard can act on."""

    exit_status = 1


class ConfigError(HeadspaceError):
    """The configuration has mistakes; all of them are in `problems`, one sentence each."""

    exit_status = 78  # EX_CONFIG of sysexits.h

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class DatabaseError(HeadspaceError):
    """Postgres did not do what was asked."""

    exit_status = 69  # EX_UNAVAILABLE


class DatabaseUnavailable(DatabaseError):
    """Postgres is away, or will not do this now; the same request may succeed later."""


class DatabaseRefused(DatabaseError):
    """Postgres refuses this very event (SQLSTATE class 22, 23 or 54), and always will."""

    exit_status = 65  # EX_DATAERR

    def __init__(self, message: str, sqlstate: str) -> None:
        self.sqlstate = sqlstate
        super().__init__(message)


class SchemaMismatch(DatabaseUnavailable):
    """The database's schema is older or newer than this version of the program knows."""


class ReplacedServer(DatabaseUnavailable):
    """The server is a primary of old: another took its place."""


class SharedConnection(DatabaseUnavailable):
    """A pooler gives what looks like one connection to several, a transaction each."""


class QuestionTooLong(DatabaseUnavailable):
    """A question took more time than one may, and was stopped."""


class WrongEncoding(DatabaseUnavailable):
    """The database is not encoded in UTF-8: not every text would fit into it."""


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
    """The state directory is a copy of another machine's; started again it is a machine itself."""

    exit_status = 75  # EX_TEMPFAIL


class AlreadyRunning(HeadspaceError):
    """Another process holds what only one may hold."""

    exit_status = 75  # EX_TEMPFAIL


class EmbeddedServerError(HeadspaceError):
    """The embedded Postgres cannot be made or started."""


class InboxError(HeadspaceError):
    """The inbox could not be written or read."""

    exit_status = 73  # EX_CANTCREAT


class InboxDamaged(InboxError):
    """A file in the inbox is not one whole event: torn, or put there by something else."""

    exit_status = 65


class HookSettingsError(HeadspaceError):
    """Claude Code's settings cannot be edited safely; nothing was changed."""

    exit_status = 65


class SelectionError(HeadspaceError):
    """Nothing in the log has the name that was given, or more than one thing has it."""

    exit_status = 66  # EX_NOINPUT


class BadQuestion(HeadspaceError):
    """A question cannot be asked like this; `field` names what is wrong in it."""

    exit_status = 64  # EX_USAGE

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


class CursorAhead(HeadspaceError):
    """A reader's saved id is beyond the end of the log: the log was set back."""

    exit_status = 65


class OtherTimeline(CursorAhead):
    """A reader's saved id is another server's, and later ids may mean other events here."""


class NotPrimary(HeadspaceError):
    """The server is a standby, where it is not known which ids are final."""

    exit_status = 69


class StopRequested(BaseException):
    """Raised out of long work that can simply be done again after the next start."""
