"""What is in this machine's log and not in the central one yet."""

from __future__ import annotations

from collections.abc import Iterator

from claude_headspace.address import LogUrl, libpq_url
from claude_headspace.config import Config
from claude_headspace.embedded.location import log_url
from claude_headspace.errors import DatabaseError
from claude_headspace.health.units import counted
from claude_headspace.store.connection import Database
from claude_headspace.store.patience import Patience

APPLICATION_NAME = "claude-headspace forward"
_HERE = (
    "SELECT (SELECT count(*) FROM forward_due), (SELECT coalesce(max(id), 0) FROM events),"
    " (SELECT pages FROM forwarders WHERE origin = %s)"
)
_THERE = "SELECT event_id, pages FROM forwarders WHERE origin = %s"
_NEW = "SELECT count(*) FROM events WHERE id > %s"


def central_url(config: Config) -> LogUrl:
    """The address of the central log."""
    return log_url(config, libpq_url(config.forward.url or ""))


def not_forwarded(config: Config, local: Database, ends: float) -> Iterator[str]:
    """Compares both logs; no answer is waited for after `ends` (monotonic clock)."""
    if config.forward.url is None:
        return
    central = Database(
        lambda: central_url(config),
        application_name=APPLICATION_NAME,
        patience=Patience(end=lambda: ends),
    )
    try:
        rows = central.execute(_THERE, (config.state.machine,))
    except DatabaseError as error:
        yield f"the central log does not answer: {error}"
        return
    finally:
        central.close()
    due, last, pages = local.execute(_HERE, (config.state.machine,))[0]
    reached, written = rows[0] if rows else (0, None)
    if last > reached:
        due += local.execute(_NEW, (reached,))[0][0]
    if due or written is None or written != pages:
        yield f"{counted(due, 'row')} not yet in the central log"
