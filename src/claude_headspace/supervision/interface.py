"""The remote calls of the guard's plugin in supervisord."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from supervisor import events

from claude_headspace.health.observation import GUARD

if TYPE_CHECKING:
    from claude_headspace.supervision.enforcer import Enforcer


class GuardInterface:
    """The remote calls `guard.*`, which only read."""

    def __init__(self, enforcer: Enforcer, supervisord: Any) -> None:
        self._enforcer = enforcer
        self._supervisord = supervisord

    def getState(self) -> dict[str, Any]:  # noqa: N802  the style of supervisord's own calls
        """Return the enforcer's counts and whether its listener keeps up."""
        enforcer = self._enforcer
        next_try = enforcer.next_try_seconds()
        waiting = getattr(self._supervisord.process_groups.get(GUARD), "event_buffer", ())
        return {
            "limit": enforcer.budget.limit,
            "window_seconds": enforcer.budget.window_seconds,
            "restarts": enforcer.budget.used(time.monotonic()),
            "next_try_seconds": -1.0 if next_try is None else next_try,
            "broken": enforcer.broken,
            "settings_problem": enforcer.settings.problem,
            # Of five seconds each, which the listener has not received.
            "waiting_ticks": sum(isinstance(event, events.Tick5Event) for event in waiting),
        }

    def getSettings(self) -> dict[str, Any]:  # noqa: N802  as above
        """Return the listener's settings, so that it need not read the configuration."""
        settings = self._enforcer.settings
        return {
            "state_directory": str(settings.state_directory),
            "alert_command": list(settings.alert_command),
        }
