"""Requests to supervisord over its unix socket, with a time limit."""

from __future__ import annotations

import http.client
import os
import socket
import xmlrpc.client
from contextlib import closing
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

from claude_headspace.errors import START_COMMAND, HeadspaceError
from claude_headspace.health.observation import WATCHER, ProgramState

if TYPE_CHECKING:
    from claude_headspace.config import Config

TIME_LIMIT_SECONDS = 0.5


class SupervisorError(HeadspaceError):
    """supervisord does not do what it is asked."""


class SupervisorUnavailable(SupervisorError):
    """It does not answer."""

    exit_status = 69


class SupervisorFault(SupervisorError):
    """It refuses the request."""


class Supervisor:
    """A client of one supervisord; no request takes longer than the limit."""

    def __init__(self, socket_path: str, limit_seconds: float = TIME_LIMIT_SECONDS) -> None:
        self._socket_path = socket_path
        self._limit = limit_seconds

    def call(self, method: str, *arguments: Any) -> Any:
        """Raises SupervisorUnavailable or SupervisorFault."""
        body = xmlrpc.client.dumps(arguments, method).encode()
        try:
            (result,), _ = xmlrpc.client.loads(self._post(body))
        except xmlrpc.client.Fault as fault:
            raise SupervisorFault(fault.faultString) from fault
        except (OSError, http.client.HTTPException, ValueError, ExpatError) as error:
            raise SupervisorUnavailable(_explain(error, self._socket_path)) from error
        return result

    def all_processes(self) -> tuple[ProgramState, ...]:
        """All programs."""
        return tuple(_process(info) for info in self.call("supervisor.getAllProcessInfo"))

    def process(self, name: str) -> ProgramState:
        """One program; raises SupervisorFault if it has none of this name."""
        return _process(self.call("supervisor.getProcessInfo", name))

    def _post(self, body: bytes) -> bytes:
        with closing(_UnixConnection(self._socket_path, self._limit)) as connection:
            connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml"})
            response = connection.getresponse()
            if response.status != 200:
                raise OSError(f"HTTP status {response.status}")
            return response.read()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, limit_seconds: float) -> None:
        super().__init__("localhost", timeout=limit_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def socket_path(config: Config) -> str:
    """The socket of our parent supervisord, or of the one of this configuration."""
    url = os.environ.get("SUPERVISOR_SERVER_URL", "")
    if url.startswith("unix://"):
        return url.removeprefix("unix://")
    from claude_headspace.embedded.location import supervisor_socket

    return str(supervisor_socket(config.state.directory))


def connect(config: Config, limit_seconds: float = TIME_LIMIT_SECONDS) -> Supervisor:
    """A client of the supervisord of this configuration; connects at each request."""
    return Supervisor(socket_path(config), limit_seconds)


def watcher_is_running(config: Config) -> bool:
    """Whether supervisord runs the watcher; False when there is no supervisord."""
    try:
        return connect(config).process(WATCHER).is_running
    except SupervisorError:
        return False


def _process(info: dict[str, Any]) -> ProgramState:
    return ProgramState(
        name=info["name"],
        state=info["statename"],
        pid=info["pid"],
        started_at=info["start"],
        error=info["spawnerr"],
    )


def _explain(error: Exception, path: str) -> str:
    if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
        return f"supervisord is not running (no answer on {path}): `{START_COMMAND}` starts it"
    if isinstance(error, TimeoutError):
        return f"supervisord does not answer on {path}"
    return f"supervisord cannot be reached on {path}: {error}"
