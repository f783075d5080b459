"""The web application: health, metrics, the API, and the login of a browser."""

from __future__ import annotations

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException, NotFound

from claude_headspace.config import Config
from claude_headspace.errors import HeadspaceError
from claude_headspace.health.verdict import Verdict
from claude_headspace.read.connection import ReadPool
from claude_headspace.supervision.health_check import check_health, database_probe
from claude_headspace.web.access_control import COOKIE_SECONDS, HEADERS, LINK_PATH, AccessControl
from claude_headspace.web.api import api_routes
from claude_headspace.web.frame import Frame, add_pages, problem_page
from claude_headspace.web.health import health_routes
from claude_headspace.web.problems import Problem, problem_of

_DATA = (".json", ".jsonl", ".csv")
# Not a redirect: after a click on another site the browser would not send the new cookie.
_WELCOME = '<!doctype html><meta http-equiv="refresh" content="0; url=/"><a href="/">Open</a>'


def create_app(config: Config, pool: ReadPool, access: AccessControl | None = None) -> Flask:
    """The application for this configuration; it starts without Postgres and the watcher."""
    app = Flask("claude_headspace", static_folder=None)
    access = access or AccessControl(config.state.directory, config.web.host)
    probe = database_probe(config)

    def look() -> Verdict:
        return check_health(config, probe)

    _check_access(app, access)
    app.register_blueprint(health_routes(config, access, look))
    app.register_blueprint(api_routes(pool, look))
    add_pages(app, Frame(config, pool, look))
    app.register_error_handler(HeadspaceError, lambda error: answer(problem_of(error)))
    app.register_error_handler(HTTPException, _tell_http)
    return app


def _check_access(app: Flask, access: AccessControl) -> None:
    @app.before_request
    def refuse() -> tuple[Response, int] | None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        g.is_stranger = access.refusal("/", headers) is not None
        problem = access.refusal(request.path, headers)
        return None if problem is None else answer(problem)

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.get(LINK_PATH)
    def enter() -> tuple[Response, int] | Response:
        """The page that `claude-headspace open` opens."""
        if request.method == "HEAD":  # whoever only checks a link leaves it as it is
            return Response()
        value = access.cookie_for(request.args.get("code", ""))
        if value is None:
            told = "this link has been used or is over an hour old"
            return answer(Problem(403, "used_link", told, "get a new one: `claude-headspace open`"))
        response = Response(_WELCOME)
        response.set_cookie(
            access.cookie, value, max_age=COOKIE_SECONDS, httponly=True, samesite="Strict"
        )
        return response


def answer(problem: Problem) -> tuple[Response, int]:
    """A problem as JSON for programs, as a page for people."""
    data = request.path.startswith("/api/") or request.path.endswith(_DATA)
    if not data and "text/html" in request.headers.get("Accept", ""):
        return Response(problem_page(problem)), problem.status
    return jsonify(problem.as_json()), problem.status


def _tell_http(error: HTTPException) -> HTTPException | tuple[Response, int]:
    if error.response is not None:  # such as a redirect, which has its own response
        return error
    kind = error.name.lower().replace(" ", "_")
    told = (
        f"there is nothing at {request.path}"
        if isinstance(error, NotFound)
        else str(error.description)
    )
    body, status = answer(Problem(error.code or 500, kind, told, "/api/openapi.json lists the API"))
    for name, value in error.get_headers():
        if name == "Allow":
            body.headers[name] = value
    return body, status
