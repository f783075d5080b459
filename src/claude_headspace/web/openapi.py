"""The OpenAPI description, generated from the queries and rows of the API."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

from claude_headspace.read.paging import Looked
from claude_headspace.read.query import ASKED_AS

if TYPE_CHECKING:
    from claude_headspace.web.api import ApiList, Single

Document = dict[str, Any]
_REFERENCE = "#/components/schemas/{name}"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong: a name for programs, a sentence, and what to do."""

    kind: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Error:
    """The body of every error response."""

    error: Fault


def document(listings: Sequence[ApiList], singles: Sequence[Single]) -> Document:
    """The whole API as OpenAPI 3.1."""
    rows = {each.row for each in listings} | {each.row for each in singles}
    questions = [each.question for each in listings]
    _, schemas = msgspec.json.schema_components(
        [*sorted(rows, key=lambda row: row.__name__), *questions, Looked, Error],
        ref_template=_REFERENCE,
    )
    asked = {each.name: schemas[each.question.__name__] for each in listings}
    for question in questions:
        schemas.pop(question.__name__, None)
    paths = {path: item for each in listings for path, item in _listing(each, asked[each.name])}
    for single in singles:
        path = single.path.replace("<", "{").replace(">", "}")
        reference = {"$ref": _reference(single.row)}
        paths[path] = _get(single.summary, [_in_path(single.parameter)], _json(reference))
    paths["/api/health"] = _get("The health that `claude-headspace status` shows", [], _json({}))
    paths["/api/events/stream"] = _stream()
    return {
        "openapi": "3.1.0",
        "info": {"title": "Claude Headspace", "version": version("claude-headspace")},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _listing(each: ApiList, question: Document) -> Iterable[tuple[str, Document]]:
    path = each.path.replace("<", "{").replace(">", "}")
    in_path = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = [_in_path(name) for name in in_path]
    parameters += [
        {
            "name": ASKED_AS.get(name, name),
            "in": "query",
            "schema": schema,
            "required": name in _required(question),
        }
        for name, schema in question.get("properties", {}).items()
        if name not in in_path
    ]
    row = {"$ref": _reference(each.row)}
    page = {
        "type": "object",
        "properties": {
            each.name: {"type": "array", "items": row},
            "next": {"type": ["string", "null"], "description": "cursor of the next page"},
            "looked": {"$ref": _reference(Looked), "description": "how far the search has come"},
        },
        "required": [each.name, "next"],
    }
    for ending in ("", ".json"):
        yield path + ending, _get(each.summary, parameters, _json(page))
    for ending, kind in ((".csv", "text/csv"), (".jsonl", "application/jsonl")):
        text = {"content": {kind: {"schema": {"type": "string"}}}}
        yield path + ending, _get(f"{each.summary}, as {ending[1:]}", parameters, text)


def _stream() -> Document:
    text = {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
    names = ("session", "project", "host", "type", "after")
    query = [{"name": n, "in": "query", "schema": {"type": "string"}} for n in names]
    query.append({"name": "only", "in": "query", "schema": {"enum": ["ids"]}})
    last = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}}
    return _get("New events, as server-sent events", [*query, last], text)


def _get(summary: str, parameters: list[Document], answer: Document) -> Document:
    problem = {"description": "error", **_json({"$ref": "#/components/schemas/Error"})}
    responses = {"200": {"description": summary, **answer}, "default": problem}
    return {"get": {"summary": summary, "parameters": parameters, "responses": responses}}


def _json(schema: Document) -> Document:
    return {"content": {"application/json": {"schema": schema}}}


def _in_path(name: str) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _required(question: Document) -> Sequence[str]:
    found: Sequence[str] = question.get("required", ())
    return found


def _reference(row: type) -> str:
    return _REFERENCE.format(name=row.__name__)
