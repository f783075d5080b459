"""Showing new events until nobody reads the output any more."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from claude_headspace.cli.access import open_log
from claude_headspace.cli.terminal import printable
from claude_headspace.errors import DatabaseUnavailable, OtherTimeline

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from claude_headspace.config import Config
    from claude_headspace.store.follow import Follower
    from claude_headspace.store.queries import EventFilter

    Show = Callable[[Mapping[Any, Any]], None]

# How often to check that the output is still read, and for events without a notification.
LOOK_SECONDS = 0.5
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0


class LiveEvents:
    """New events that match a filter.

    BrokenPipeError: the program that read standard output has closed it.
    """

    def __init__(self, config: Config, wanted: EventFilter, show: Show) -> None:
        self._config = config
        self._wanted = wanted
        self._show = show
        self._follower = _follower(config, wanted)
        self._pause = 0.0
        self._is_lost = False
        self.shown: int = self._follower.skip_to_end()
        """The id up to which every event is final, and is shown or filtered out."""

    def follow(self) -> NoReturn:
        """Show them for ever; wait for a database that is away."""
        while True:
            try:
                with open_log(self._config) as connection:
                    self._show_pages(connection)
            except OtherTimeline as error:
                print(f"claude-headspace: {printable(str(error))}", file=sys.stderr, flush=True)
                self._follower.close()
                self._follower = _follower(self._config, self._wanted)
                self._is_lost = True
            except DatabaseUnavailable as error:
                self._wait_without_database(error)

    def _show_pages(self, connection: Connection) -> NoReturn:
        if self._is_lost:
            self.shown = self._follower.skip_to_end()
            self._is_lost = False
        while True:
            more = self._show_page(connection)
            self._pause = 0.0
            _require_reader()
            if not more:
                self._follower.wait(LOOK_SECONDS)

    def _show_page(self, connection: Connection) -> bool:
        """Whether the cursor moved; a page that failed is read again first."""
        from claude_headspace.store.queries import events_between

        if self._follower.cursor == self.shown:
            self._follower.listen()
            self._follower.read()
        cursor = self._follower.cursor
        if cursor == self.shown:
            return False
        page = events_between(self._wanted, self.shown, cursor)
        found = connection.execute(page).mappings().all()
        connection.commit()
        self.shown = cursor
        for event in found:
            self._show(event)
        sys.stdout.flush()
        return True

    def _wait_without_database(self, error: DatabaseUnavailable) -> None:
        if not self._pause:
            told = printable(str(error))
            print(f"claude-headspace: waiting: {told}", file=sys.stderr, flush=True)
        self._pause = min(self._pause * 2 or FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        _require_reader()
        time.sleep(self._pause)


def _follower(config: Config, wanted: EventFilter) -> Follower:
    from claude_headspace.embedded.location import reader_url
    from claude_headspace.store.connection import Database
    from claude_headspace.store.follow import Follower
    from claude_headspace.store.patience import Patience

    database = Database(
        lambda: reader_url(config),
        application_name="claude-headspace events",
        patience=Patience(beat=_require_reader),
    )
    types = None if wanted.event_type is None else [wanted.event_type]
    return Follower(database, types=types, session=wanted.session)


def _require_reader() -> None:
    """End as soon as nobody reads the output: the next event may be hours away."""
    output = select.poll()
    output.register(sys.stdout, 0)
    if any(happened & (select.POLLERR | select.POLLHUP) for _, happened in output.poll(0)):
        raise BrokenPipeError("the program that read standard output has closed it")
