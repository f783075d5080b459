"""Pages of a list by key: an opaque cursor, not a number, names the next page."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from types import GenericAlias
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from claude_headspace.errors import BadQuestion

PAGE_ROWS = 50
MOST_ROWS = 1000
Item = TypeVar("Item")
Key = tuple[Any, ...]
# Parameters that queries share; their descriptions appear in the OpenAPI document.
Limit = Annotated[int, Meta(ge=1, le=MOST_ROWS, description="rows per page")]
Cursor = Annotated[str, Meta(description="`next` of the previous page")]
Moment = Annotated[datetime, Meta(tz=True, description="ISO 8601 with a zone")]
Until = Annotated[Moment, Meta(description="not including it")]
Name = Annotated[str, Meta(description="uuid, or the start of it")]
Path = Annotated[str, Meta(description="path, or the end of it")]


class Paged(Struct, frozen=True, kw_only=True):
    """A question that is answered in pages."""

    cursor: Cursor | None = None
    limit: Limit = PAGE_ROWS


class Timed(Paged, frozen=True, kw_only=True):
    """The same about a stretch of time; None means any."""

    since: Moment | None = None
    until: Until | None = None


class Placed(Timed, frozen=True, kw_only=True):
    """The same about one project or host."""

    project: Path | None = None
    host: str | None = None


class Looked(Struct, frozen=True):
    """Progress of a search without an index: bytes of transcripts, or how far back in time."""

    bytes: int | None = None
    of_bytes: int | None = None
    back_to: datetime | None = None


class Page(Struct, Generic[Item], frozen=True):
    """Rows of one page, and the cursor of the next page; None on the last page.

    With `looked`, a page that is not full may be followed by more.
    """

    rows: tuple[Item, ...]
    next: str | None = None
    looked: Looked | None = None


def page_of(found: Sequence[Item], limit: int, key: Callable[[Item], Key]) -> Page[Item]:
    """A page from the rows of a query with `LIMIT limit + 1`."""
    rows = tuple(found[:limit])
    return Page(rows, write_cursor(key(rows[-1])) if len(found) > limit and rows else None)


def write_cursor(key: Key) -> str:
    """The key of a row as text for a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def read_cursor(text: str, *kinds: Any) -> Key:
    """The key of a cursor, if its values have these types; else BadQuestion."""
    aware = tuple(Moment if kind is datetime else kind for kind in kinds)
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        found: Key = msgspec.json.decode(key, type=GenericAlias(tuple, aware))
    except (ValueError, msgspec.MsgspecError) as error:
        raise BadQuestion(
            "cursor", f"{text!r} is not a cursor of this list: start without one"
        ) from error
    return found
