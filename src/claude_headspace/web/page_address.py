"""The web application's address, who answers there, and a login link. Imports no framework."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass

from claude_headspace.config import Config
from claude_headspace.web.access_token import new_link_code

LIMIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class AnsweringInstance:
    """Who answers on the web port: the key of the state directory, and the process."""

    state: str
    pid: int


def answering_instance(config: Config) -> AnsweringInstance | None:
    """The Claude Headspace that answers on the web port, if any."""
    connection = http.client.HTTPConnection(config.web.host, config.web.port, timeout=LIMIT_SECONDS)
    try:
        connection.request("GET", "/health")
        told = json.loads(connection.getresponse().read())["instance"]
        return AnsweringInstance(str(told["state"]), int(told["pid"]))
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None
    finally:
        connection.close()


def web_address(config: Config) -> str:
    """Where the web application listens."""
    host = f"[{config.web.host}]" if ":" in config.web.host else config.web.host
    return f"http://{host}:{config.web.port}"


def one_time_link(config: Config) -> str:
    """A link that opens the page in a browser, once, within an hour."""
    return f"{web_address(config)}/open?code={new_link_code(config.state.directory)}"
