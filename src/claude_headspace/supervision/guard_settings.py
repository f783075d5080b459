"""The settings of the guard inside supervisord, and those that it passes to supervisord."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from claude_headspace.errors import ConfigError
from claude_headspace.health.observation import WATCHER
from claude_headspace.supervision.single_watcher import GUARDED

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
