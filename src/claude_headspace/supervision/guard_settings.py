"""The settings of the guard inside supervisord, and what it tells its listener and others."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor import events

from claude_headspace.errors import ConfigError
from claude_headspace.health.observation import GUARD, WATCHER
from claude_headspace.supervision.single_watcher import GUARDED

if TYPE_CHECKING:
    from claude_headspace.supervision.enforcer import Enforcer

RESTARTS_DEFAULT = 5
RETRY_SECONDS_DEFAULT = 900.0


class GuardSettings:
    """The last settings that could be read; at first the defaults.

    `problem` says why they cannot be read now.
    """

    def __init__(self, supervisord: Any) -> None:
        self._supervisord = supervisord
        self._log = supervisord.options.logger
        self._stop_seconds: float | None = None
        self.problem = ""
        self.restarts = RESTARTS_DEFAULT
        self.retry_seconds = RETRY_SECONDS_DEFAULT
        self.alert_command: tuple[str, ...] = ()
        self.state_directory = self._socket_directory()

    def read(self) -> None:
        """Read the configuration, and apply it to the running program."""
        from claude_headspace.config import load_config

        try:
            config = load_config()
        except ConfigError as error:
            self.problem = shorten(error.problems)
            self.state_directory = self._socket_directory()
            self._log.error(f"guard: bad configuration: {self.problem}")
        else:
            self.problem = ""
            self.state_directory = config.state.directory
            self.restarts = config.event_system.max_restarts_per_minute
            self.retry_seconds = config.supervision.retry_seconds
            self.alert_command = config.alerts.command or ()
            self._stop_seconds = config.event_system.shutdown_timeout_seconds
        for group in self._supervisord.process_groups.values():
            self.apply(group.config)

    def apply(self, group_config: Any) -> None:
        """Set supervisord's own settings of the program."""
        for config in group_config.process_configs:
            if config.name == WATCHER:
                config.startretries = self.restarts
                config.environment = {**(config.environment or {}), GUARDED: "1"}
                if self._stop_seconds is not None:
                    config.stopwaitsecs = self._stop_seconds

    def _socket_directory(self) -> Path:
        """The state directory, as far as it is known without a configuration."""
        return Path(str(self._supervisord.options.serverurl).removeprefix("unix://")).parent


def shorten(problems: tuple[str, ...]) -> str:
    """The first of several problems, in one line."""
    first = " ".join(problems[0].split())[:200]
    return first if len(problems) == 1 else f"{first} (and {len(problems) - 1} more)"


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
            "limit": enforcer.restarts.limit,
            "window_seconds": enforcer.restarts.window_seconds,
            "restarts": enforcer.restarts.used(time.monotonic()),
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
