"""The OpenAPI description, generated from the queries and rows of the API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

from claude_headspace.read.paging import Looked
from claude_headspace.read.query import ASKED_AS

if TYPE_CHECKING:
    from claude_headspace.web.api import ApiList, Single

Document = dict[str, Any]


_TEXT: Document = {"type": "string"}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["kind", "message", "hint"],
            "properties": dict.fromkeys(("kind", "message", "hint"), _TEXT),
        }
    },
}


def document(listings: Sequence[ApiList], singles: Sequence[Single]) -> Document:
    """The whole API as OpenAPI 3.1."""
    rows = {each.row for each in listings} | {each.row for each in singles}
    questions = [each.question for each in listings]
    _, schemas = msgspec.json.schema_components(
        [*sorted(rows, key=lambda row: row.__name__), *questions, Looked],
        ref_template="#/components/schemas/{name}",
    )
    asked = {each.name: schemas[each.question.__name__] for each in listings}
    for question in questions:
        schemas.pop(question.__name__, None)
    paths = {path: item for each in listings for path, item in _listing(each, asked[each.name])}
    for single in singles:
        path, in_path = _path(single.path)
        paths[path] = _get(single.summary, list(map(_in_path, in_path)), _json(_of(single.row)))
    paths["/api/health"] = _get("The health that `claude-headspace status` shows", [], _json({}))
    paths["/api/events/stream"] = _stream()
    return {
        "openapi": "3.1.0",
        "info": {"title": "Claude Headspace", "version": version("claude-headspace")},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas | {"Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _listing(each: ApiList, question: Document) -> Iterable[tuple[str, Document]]:
    path, in_path = _path(each.path)
    parameters = [_in_path(name) for name in in_path]
    parameters += [
        {
            "name": ASKED_AS.get(name, name),
            "in": "query",
            "schema": schema,
            "required": name in question.get("required", ()),
        }
        for name, schema in question.get("properties", {}).items()
        if name not in in_path
    ]
    page = {
        "type": "object",
        "properties": {
            each.name: {"type": "array", "items": _of(each.row)},
            "next": {"type": ["string", "null"], "description": "cursor of the next page"},
            "looked": {**_of(Looked), "description": "how far the search has come"},
        },
        "required": [each.name, "next"],
    }
    for ending in ("", ".json"):
        yield path + ending, _get(each.summary, parameters, _json(page))
    for ending, kind in ((".csv", "text/csv"), (".jsonl", "application/jsonl")):
        text = {"content": {kind: {"schema": _TEXT}}}
        yield path + ending, _get(f"{each.summary}, as {ending[1:]}", parameters, text)


def _path(route: str) -> tuple[str, list[str]]:
    """The path of a route, and its parameters."""
    return route.replace("<", "{").replace(">", "}"), re.findall("<(.*?)>", route)


def _stream() -> Document:
    text = {"content": {"text/event-stream": {"schema": _TEXT}}}
    names = ("session", "project", "host", "type", "after")
    query = [{"name": n, "in": "query", "schema": _TEXT} for n in names]
    query.append({"name": "only", "in": "query", "schema": {"enum": ["ids"]}})
    last = {"name": "Last-Event-ID", "in": "header", "schema": _TEXT}
    return _get("New events, as server-sent events", [*query, last], text)


def _get(summary: str, parameters: list[Document], answer: Document) -> Document:
    problem = {"description": "error", **_json({"$ref": "#/components/schemas/Error"})}
    responses = {"200": {"description": summary, **answer}, "default": problem}
    return {"get": {"summary": summary, "parameters": parameters, "responses": responses}}


def _json(schema: Document) -> Document:
    return {"content": {"application/json": {"schema": schema}}}


def _in_path(name: str) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": _TEXT}


def _of(row: type) -> Document:
    return {"$ref": f"#/components/schemas/{row.__name__}"}
