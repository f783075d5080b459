"""The guard's limits, as its supervisord has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from claude_headspace.errors import HeadspaceError
from claude_headspace.supervision.control import Supervisor, SupervisorFault


class EnforcerMissing(HeadspaceError):
    """supervisord runs without the guard's plugin, which holds the restart limit."""

    exit_status = 78


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """The settings that the listener needs."""

    state_directory: Path
    beats: Path
    alert_command: tuple[str, ...] = ()


def ask_settings(supervisor: Supervisor, beats: Path) -> ListenerSettings:
    """Get the settings from the plugin in supervisord, which has read the configuration.

    Raises EnforcerMissing if there is no plugin, and SupervisorUnavailable.
    """
    try:
        answer = supervisor.call("guard.getSettings")
    except SupervisorFault as fault:
        raise EnforcerMissing(
            f"supervisord has no [rpcinterface:guard] ({fault}), so nothing limits restarts:"
            " copy the section from the shipped supervisord.conf"
        ) from fault
    return ListenerSettings(Path(answer["state_directory"]), beats, tuple(answer["alert_command"]))
