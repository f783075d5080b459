"""The tables to push, in the order in which their rows can be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PAGE_ROWS = 200
# Ids of transcripts and of sidecars never collide: those of sidecars are negative.
_SOURCES = "sources"
_OF_SOURCE = {"source_id": _SOURCES}


@dataclass(frozen=True, slots=True)
class PushedTable:
    """One table.

    `key`: the columns that identify a row in every log, with their types. `numbers`: the kind of
    its ids, which differ in each log. `refers`: columns with such ids. `needs`: those of them that
    a row must have. `page`: rows per page.
    """

    name: str
    key: Mapping[str, str]
    numbers: str | None = None
    refers: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    page: int = PAGE_ROWS

    def names(self, prefix: str = "") -> str:
        """The columns of the key."""
        return ", ".join(prefix + name for name in self.key)


_PLACE = {"machine": "uuid", "path": "text"}
_GENERATION = {"source_id": "int", "generation": "int"}

PARENTS = (
    PushedTable("machines", {"id": "uuid"}),
    PushedTable("projects", _PLACE, "projects"),
    PushedTable(
        "agents", {"session_uuid": "uuid"}, "agents", {"project_id": "projects"}, ("project_id",)
    ),
    PushedTable("checkpoints", _PLACE, _SOURCES),
    PushedTable("sidecars", _PLACE, _SOURCES),
)
EVENTS = PushedTable(
    "events",
    {"event_key": "uuid", "session_uuid": "uuid"},
    refers={"project_id": "projects", "agent_id": "agents", **_OF_SOURCE},
)
TABLES = (
    *PARENTS,
    EVENTS,
    PushedTable(
        "dead_letters",
        {"source_id": "int", "source_offset": "bigint", "reason": "text"},
        refers=_OF_SOURCE,
        needs=("source_id",),
    ),
    PushedTable(
        "tool_calls",
        {"session_uuid": "uuid", "tool_use_id": "text"},
        refers={**_OF_SOURCE, "result_source_id": _SOURCES},
        needs=("source_id",),
    ),
    PushedTable("model_calls", {"message_id": "text"}),
    PushedTable("archive_generations", _GENERATION, refers=_OF_SOURCE, needs=("source_id",)),
    PushedTable(
        "archive_pieces",
        {**_GENERATION, "start": "bigint"},
        refers=_OF_SOURCE,
        needs=("source_id",),
        page=4,
    ),
    PushedTable("tombstones", {"session_uuid": "uuid"}),
)
