"""The boundary around each source: what goes wrong inside costs that source, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from claude_headspace.discovery.listing import reason_of
from claude_headspace.errors import DatabaseRefused, EventInvalid, HeadspaceError, InboxError
from claude_headspace.quarantine import Quarantine

logger = logging.getLogger(__name__)

Returned = TypeVar("Returned")

# Of our own errors these are the fault of what is being read; the others concern everything.
_ITS_OWN = (DatabaseRefused, EventInvalid, InboxError)


class Boundary:
    """Runs work by the name of its source, and sets the source aside when the work fails.

    `learn_anew` is called then: what the work left half done in memory is forgotten.
    `count_death` is called for an error that may be a bug, met by the line in flight.
    """

    def __init__(
        self,
        aside: Quarantine[str],
        *,
        learn_anew: Callable[[], None],
        count_death: Callable[[], object],
    ) -> None:
        self._quarantine = aside
        self._put_off: Quarantine[str] = Quarantine()
        self._learn_anew = learn_anew
        self._count_death = count_death

    @property
    def put_off(self) -> Mapping[str, str]:
        """Work of no single source that failed, and why."""
        return self._put_off.reasons

    def run(self, source: str, work: Callable[[], Returned]) -> Returned | None:
        """What the work returns; None when it failed, and the source was set aside."""
        return self._run(self._quarantine, source, work)

    def run_when_due(self, name: str, work: Callable[[], Returned]) -> Returned | None:
        """The same for work that does not belong to one source; None also while it waits."""
        return None if self._put_off.holds(name) else self._run(self._put_off, name, work)

    def _run(
        self, aside: Quarantine[str], name: str, work: Callable[[], Returned]
    ) -> Returned | None:
        try:
            done = work()
        except MemoryError:
            raise
        except OSError as error:
            self._fail(aside, name, reason_of(error))
        except HeadspaceError as error:
            if not isinstance(error, _ITS_OWN):
                raise
            self._fail(aside, name, str(error))
        except Exception as error:
            self._count_death()
            reason = f"{type(error).__name__}: {error}"
            if aside.reasons.get(name) != reason:
                logger.exception("%s: unexpected error", name)
            self._fail(aside, name, reason)
        else:
            aside.clear(name)
            return done
        return None

    def _fail(self, aside: Quarantine[str], name: str, reason: str) -> None:
        if aside.reasons.get(name) != reason:
            logger.warning("%s is set aside and tried again: %s", name, reason)
        aside.fail(name, reason)
        self._learn_anew()
