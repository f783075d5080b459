from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from claude_headspace.config import Config, load_config
from claude_headspace.deployment.readiness import NotReady, wait_for_health
from claude_headspace.embedded.location import state_key
from claude_headspace.health.observation import ProgramState
from claude_headspace.web.page_address import AnsweringInstance, answering_instance, web_address


class Asked:
    """In place of a supervisord that has given its web application, process 7, up."""

    def process(self, name: str) -> ProgramState:
        return ProgramState(name, "FATAL", 7, 0, "it failed")


@contextmanager
def answering(told: bytes) -> Iterator[int]:
    """A server that answers everything with this; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def config_of(state: Path, port: int) -> Config:
    return load_config(
        {
            "CLAUDE_HEADSPACE_CONFIG": "/dev/null",
            "CLAUDE_HEADSPACE__STATE__DIRECTORY": str(state),
            "CLAUDE_HEADSPACE__WEB__PORT": str(port),
        }
    )


def instance(state: Path, pid: int) -> bytes:
    return json.dumps({"instance": {"state": state_key(state), "pid": pid}}).encode()


def test_our_own_answer_is_enough(tmp_path: Path) -> None:
    with answering(instance(tmp_path, 7)) as port:
        found = wait_for_health(config_of(tmp_path, port), Asked())
    assert found == AnsweringInstance(state_key(tmp_path), 7)


@pytest.mark.parametrize(("state", "pid"), [("other", 7), ("", 8)])
def test_the_answer_of_another_is_not(tmp_path: Path, state: str, pid: int) -> None:
    with (
        answering(instance(tmp_path / state, pid)) as port,
        pytest.raises(NotReady, match=f"is answered by process {pid}, which belongs to another"),
    ):
        wait_for_health(config_of(tmp_path, port), Asked())


@pytest.mark.parametrize("told", [b"", b"hello", b"[]", b"{}", b'{"instance": {"pid": 1}}'])
def test_what_is_no_answer_of_ours_is_none(tmp_path: Path, told: bytes) -> None:
    with answering(told) as port:
        assert answering_instance(config_of(tmp_path, port)) is None


def test_an_address_of_version_6_stands_in_brackets(tmp_path: Path) -> None:
    environ = {"CLAUDE_HEADSPACE_CONFIG": "/dev/null", "CLAUDE_HEADSPACE__WEB__HOST": "::1"}
    assert web_address(load_config(environ)) == "http://[::1]:5055"
