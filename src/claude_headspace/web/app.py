"""The web application: health for people and monitors, figures for Prometheus."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from claude_headspace.embedded.location import state_key
from claude_headspace.health.status import WatcherStatus, read_status, status_path
from claude_headspace.health.verdict import Verdict
from claude_headspace.supervision.history import history_path, read_restarts
from claude_headspace.supervision.observe import check_health, database_probe
from claude_headspace.web.metrics import registry_of

if TYPE_CHECKING:
    from claude_headspace.config import Config

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def create_app(config: Config) -> Flask:
    """The application for this configuration; it needs neither Postgres nor the watcher."""
    app = Flask("claude_headspace", static_folder=None)
    probe = database_probe(config)
    instance = {"state": state_key(config.state.directory), "pid": os.getpid()}
    app.before_request(_host_check(config.web.host))
    app.after_request(_with_headers)

    @app.get("/health")
    def health() -> tuple[Response, int]:
        verdict = check_health(config, probe)
        answer = jsonify(as_json(verdict) | {"instance": instance})
        return answer, 503 if verdict.status == "down" else 200

    @app.get("/health/live")
    def live() -> Response:
        return jsonify(status="live")

    @app.get("/health/ready")
    def ready() -> tuple[Response, int]:
        database = check_health(config, probe).checks["database"]
        return jsonify(database), 200 if database["reachable"] else 503

    @app.get("/metrics")
    def metrics() -> Response:
        newest = read_restarts(history_path(config.state.directory), 1)
        status = read_status(status_path(config.state.directory))
        measures = status.measures if isinstance(status, WatcherStatus) else None
        restarts = newest[0].number if newest else 0
        registry = registry_of(check_health(config, probe), restarts, measures)
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return app


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as `/health` and `status --json` show it."""
    return asdict(verdict)


def _host_check(own_name: str) -> Callable[[], tuple[Response, int] | None]:
    """Any web page can send requests here under a name of its own; only ours are answered."""
    allowed = _LOCAL_NAMES | {own_name.lower()}

    def check() -> tuple[Response, int] | None:
        if _name_in(request.headers.get("Host", "")) in allowed:
            return None
        return jsonify(error="this server answers only under its own local name"), 403

    return check


def _name_in(host_header: str) -> str:
    try:
        return (urlsplit(f"//{host_header}").hostname or "").lower()
    except ValueError:
        return ""


def _with_headers(response: Response) -> Response:
    response.headers.update(_HEADERS)
    return response
