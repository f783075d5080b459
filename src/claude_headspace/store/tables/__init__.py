"""The tables, for the migrations and for every reader. The watcher does not import this."""

from claude_headspace.store.tables import archive, forwarding, search, work
from claude_headspace.store.tables.base import metadata
from claude_headspace.store.tables.log import (
    agents,
    checkpoints,
    dead_letters,
    events,
    machines,
    places,
    projects,
    registrations,
    tombstones,
)

__all__ = [
    "agents", "archive", "checkpoints", "dead_letters", "events", "forwarding", "machines",
    "metadata", "places", "projects", "registrations", "search", "tombstones", "work",
]  # fmt: skip
