"""The web application under its own server, and a client that has the token or has it not."""

from __future__ import annotations

import http.client
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claude_headspace.web.access_token import token_of
from harness import wait_until

HOST = "127.0.0.1"
ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass
class Website:
    """One web application; `process` is its process."""

    port: int
    state: Path
    process: subprocess.Popen[bytes]
    streams: list[Stream] = field(default_factory=list)

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """One request with the token, unless these headers say something else ("" for none)."""
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        if "Authorization" not in given:
            given["Authorization"] = f"Bearer {token_of(self.state)}"
        connection = http.client.HTTPConnection(HOST, self.port, timeout=ANSWER_SECONDS)
        try:
            connection.request(method, path, headers={k: v for k, v in given.items() if v})
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def stream(self, query: str = "", **headers: str) -> Stream:
        """An open stream of events."""
        self.streams.append(Stream(self, query, headers))
        return self.streams[-1]


class Stream:
    """Server-sent events as they come."""

    def __init__(self, site: Website, query: str, headers: Mapping[str, str]) -> None:
        self._connection = http.client.HTTPConnection(HOST, site.port, timeout=ANSWER_SECONDS)
        given = {"Authorization": f"Bearer {token_of(site.state)}"}
        given |= {name.replace("_", "-"): text for name, text in headers.items()}
        self._connection.request("GET", f"/api/events/stream{query}", headers=given)
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200, self._answer.read()

    def next(self) -> tuple[int, dict[str, Any]]:
        """The id and the data of the next event; comments and marks are passed over."""
        while True:
            fields = self.block()
            if "data" in fields:
                return int(fields["id"].partition("@")[0]), json.loads(fields["data"])

    def block(self) -> dict[str, str]:
        """The fields of the next block; a comment has no name."""
        fields: dict[str, str] = {}
        while (line := self._answer.readline().decode().rstrip("\n")) or not fields:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        return fields

    def drain(self) -> int:
        """Throw away what has arrived; returns its bytes."""
        arrived = 0
        while select.select([self._connection.sock], [], [], 0)[0]:
            size = len(self._connection.sock.recv(1 << 20))
            assert size, "the stream has ended"
            arrived += size
        return arrived

    def close(self) -> None:
        """Hang up."""
        self._answer.close()
        self._connection.close()


@contextmanager
def website(state: Path, url: str, port: int, **settings: Any) -> Iterator[Website]:
    """A running one over this database."""
    state.mkdir(mode=0o700, exist_ok=True)
    named = {"DATABASE__URL": url, "STATE__DIRECTORY": str(state), "WEB__PORT": port, **settings}
    ours = {f"CLAUDE_HEADSPACE__{name}": json.dumps(value) for name, value in named.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "claude_headspace.web"],
        env={**os.environ, "CLAUDE_HEADSPACE_CONFIG": "/dev/null", **ours},
        stderr=subprocess.DEVNULL,
    )
    site = Website(port, state, process)
    try:
        wait_until(lambda: _lives(site), "the web application")
        yield site
    finally:
        for stream in site.streams:
            stream.close()
        process.kill()
        process.wait()


def _lives(site: Website) -> bool:
    assert site.process.poll() is None, "the web application has ended"
    try:
        return site.get("/health/live").status == 200
    except OSError:
        return False
