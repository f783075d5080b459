"""Health for people and monitors, metrics for Prometheus; without a token, nothing private."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from claude_headspace.config import Config
from claude_headspace.embedded.location import state_key
from claude_headspace.errors import StateUnusable
from claude_headspace.health.status_file import WatcherStatus, read_status, status_path
from claude_headspace.health.verdict import Verdict
from claude_headspace.supervision.history import history_path, read_restarts
from claude_headspace.web.access_control import AccessControl
from claude_headspace.web.metrics import registry_of

# Where a reason begins to name private things: a path, a host, a message of Postgres.
_DETAILS = (": ", "; ", " (", ", ")
_PRIVATE = ("/", '"', "'")
_TOLD_TO_ALL = frozenset({"state", "supervisor_state", "listener", "enforcer", "status_problem"})
_MOMENTS = frozenset({"last_heartbeat", "last_write", "failing_since", "oldest_unread"})


def health_routes(config: Config, access: AccessControl, look: Callable[[], Verdict]) -> Blueprint:
    """`/health`, `/health/live`, `/health/ready` and `/metrics`; they need no Postgres."""
    routes = Blueprint("health", __name__)
    instance = {"state": state_key(config.state.directory), "pid": os.getpid()}

    @routes.get("/health")
    def health() -> tuple[Response, int]:
        verdict = look()
        told = asdict(verdict) if _is_known(access) else for_strangers(verdict)
        return jsonify(told | {"instance": instance}), 503 if verdict.status == "down" else 200

    @routes.get("/health/live")
    def live() -> Response:
        return jsonify(status="live")

    @routes.get("/health/ready")
    def ready() -> tuple[Response, int]:
        database = _without_words(look().checks["database"])
        return jsonify(database), 200 if database["reachable"] else 503

    @routes.get("/metrics")
    def metrics() -> Response:
        try:
            newest = read_restarts(history_path(config.state.directory), 1)
        except OSError:
            newest = []
        status = read_status(status_path(config.state.directory))
        measures = status.measures if isinstance(status, WatcherStatus) else None
        registry = registry_of(look(), newest[0].number if newest else 0, measures)
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return routes


def for_strangers(verdict: Verdict) -> dict[str, Any]:
    """The verdict without paths, names and quoted messages: figures and short reasons."""
    return {
        "status": verdict.status,
        "reasons": [in_short(reason) for reason in verdict.reasons],
        "notes": [in_short(note) for note in verdict.notes],
        "checks": {name: _without_words(check) for name, check in verdict.checks.items()},
    }


def in_short(reason: str) -> str:
    """A reason up to the part that names a path or quotes a message."""
    private = min((reason.find(mark) for mark in _PRIVATE if mark in reason), default=None)
    if private is None:
        return reason
    ends = [reason.rfind(mark, 0, private) for mark in _DETAILS]
    end = max(ends) if max(ends) > 0 else reason.rfind(" ", 0, private)
    return f"{reason[:end]} …" if end > 0 else "something is wrong"


def _without_words(check: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in check.items()
        if value is None or isinstance(value, int | float) or key in _TOLD_TO_ALL | _MOMENTS
    }


def _is_known(access: AccessControl) -> bool:
    try:
        return access.knows({name.lower(): value for name, value in request.headers.items()})
    except StateUnusable:
        return False
