"""The event log of Claude Code: the public interface for other programs.

Each name is imported when it is first used; importing the package imports nothing else.
"""

TYPE_CHECKING = False  # true for type checkers, without importing the module typing
if TYPE_CHECKING:
    from claude_headspace.config import Config as Config
    from claude_headspace.config import load_config as load_config
    from claude_headspace.embedded.location import database_url as database_url
    from claude_headspace.errors import CursorAhead as CursorAhead
    from claude_headspace.errors import DatabaseUnavailable as DatabaseUnavailable
    from claude_headspace.errors import HeadspaceError as HeadspaceError
    from claude_headspace.errors import InboxError as InboxError
    from claude_headspace.errors import OtherTimeline as OtherTimeline
    from claude_headspace.events.event import Event as Event
    from claude_headspace.health.verdict import Verdict as Verdict
    from claude_headspace.inbox.producer import put as put
    from claude_headspace.store.cursor import LoggedEvent as LoggedEvent
    from claude_headspace.store.cursor import Page as Page
    from claude_headspace.store.follower import Follower as Follower
    from claude_headspace.store.results import WriteResult as WriteResult
    from claude_headspace.store.writer import EventWriter as EventWriter
    from claude_headspace.supervision.control import watcher_is_running as watcher_is_running
    from claude_headspace.supervision.health_check import check_health as check_health
else:
    _HOMES = {
        "Config": "config",
        "CursorAhead": "errors",
        "DatabaseUnavailable": "errors",
        "Event": "events.event",
        "EventWriter": "store.writer",
        "Follower": "store.follower",
        "HeadspaceError": "errors",
        "InboxError": "errors",
        "LoggedEvent": "store.cursor",
        "OtherTimeline": "errors",
        "Page": "store.cursor",
        "Verdict": "health.verdict",
        "WriteResult": "store.writer",
        "check_health": "supervision.health_check",
        "database_url": "embedded.location",
        "load_config": "config",
        "put": "inbox.producer",
        "watcher_is_running": "supervision.control",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return [*globals(), *_HOMES]
