"""The boundary around each source: an error inside affects only that source."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from claude_headspace.discovery.listing import reason_of
from claude_headspace.errors import (
    CommitRefused,
    DatabaseRefused,
    EventInvalid,
    HeadspaceError,
    InboxError,
)
from claude_headspace.quarantine import Quarantine

logger = logging.getLogger(__name__)

Returned = TypeVar("Returned")

# Errors of ours that are the fault of the source; all others concern everything.
_ITS_OWN = (CommitRefused, DatabaseRefused, EventInvalid, InboxError)


class Boundary:
    """Runs work under the name of its source, and puts the source into quarantine if it fails.

    `learn_anew` is called then, to drop what the work left incomplete in memory. `count_death` is
    called for an error that may be a bug, triggered by the line in flight.
    """

    def __init__(
        self,
        quarantine: Quarantine[str],
        *,
        learn_anew: Callable[[], None],
        count_death: Callable[[], object],
    ) -> None:
        self._quarantine = quarantine
        self._put_off: Quarantine[str] = Quarantine()
        self._learn_anew = learn_anew
        self._count_death = count_death

    @property
    def put_off(self) -> Mapping[str, str]:
        """Failed work that belongs to no single source, and why it failed."""
        return self._put_off.reasons

    def run(self, source: str, work: Callable[[], Returned]) -> Returned | None:
        """The result of the work; None if it failed and the source is in quarantine."""
        return self._run(self._quarantine, source, work)

    def run_when_due(self, name: str, work: Callable[[], Returned]) -> Returned | None:
        """The same for work that belongs to no single source; None also while it waits."""
        return None if self._put_off.holds(name) else self._run(self._put_off, name, work)

    def _run(
        self, quarantine: Quarantine[str], name: str, work: Callable[[], Returned]
    ) -> Returned | None:
        try:
            done = work()
        except MemoryError:
            raise
        except OSError as error:
            self._fail(quarantine, name, reason_of(error))
        except HeadspaceError as error:
            if not isinstance(error, _ITS_OWN):
                raise
            self._fail(quarantine, name, str(error))
        except Exception as error:
            self._count_death()
            reason = f"{type(error).__name__}: {error}"
            if quarantine.reasons.get(name) != reason:
                logger.exception("%s: unexpected error", name)
            self._fail(quarantine, name, reason)
        else:
            quarantine.release(name)
            return done
        return None

    def _fail(self, quarantine: Quarantine[str], name: str, reason: str) -> None:
        if quarantine.put(name, reason):
            logger.warning("%s is in quarantine and will be tried again: %s", name, reason)
        self._learn_anew()
