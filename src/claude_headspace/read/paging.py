"""Pages of a list by key: an opaque cursor, not a number, names the next page."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Generic, TypeVar

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
    values = [item.isoformat() if isinstance(item, date) else item for item in key]
    text = json.dumps(values, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(text: str, *kinds: type) -> Key:
    """The key of a cursor, if its values have these types; else BadQuestion."""
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return tuple(_value(kind, item) for kind, item in zip(kinds, values, strict=True))
    except (ValueError, TypeError) as error:
        raise BadQuestion(
            "cursor", f"{text!r} is not a cursor of this list: start without one"
        ) from error


def _value(kind: type, item: object) -> Any:
    if kind is date and isinstance(item, str):
        return date.fromisoformat(item)
    if kind is datetime and isinstance(item, str):
        moment = datetime.fromisoformat(item)
        if moment.tzinfo is None:
            raise ValueError(item)
        return moment
    if type(item) is not kind:
        raise TypeError(item)
    return item
