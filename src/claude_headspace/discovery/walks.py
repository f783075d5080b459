"""Chooses the next directories to list: reported ones before the regular round."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence

from claude_headspace.discovery.listing import Directory, Listing, Look
from claude_headspace.discovery.notifier import Notifications
from claude_headspace.discovery.unwatched_directories import UnwatchedDirectories
from claude_headspace.discovery.walk import Walk


class Walks:
    """Starts walks through directories; each directory is watched before it is listed."""

    def __init__(
        self,
        roots: Sequence[str],
        notifier: Notifications,
        unwatched: UnwatchedDirectories,
        look_at: Look,
    ) -> None:
        self._roots = roots
        self._notifier = notifier
        self._unwatched = unwatched
        self._look_at = look_at
        # Directories to list with everything below, and without.
        self._deep: dict[str, None] = {}
        self._flat: dict[str, None] = {}

    @property
    def pending(self) -> bool:
        """Whether anything must be listed without delay."""
        return bool(self._deep or self._flat)

    def clear(self) -> None:
        """Forget all, because a round through everything begins."""
        self._deep.clear()
        self._flat.clear()

    def add(self, directories: Iterable[str], *, deep: bool = True) -> None:
        """List these soon; `deep`: with everything below."""
        (self._deep if deep else self._flat).update(dict.fromkeys(directories))

    def add_roots(self) -> None:
        """List everything soon, roots first."""
        self._deep = dict.fromkeys((*self._roots, *self._deep))

    def next(self) -> Walk | None:
        """A walk through the directories to list now, if there are any."""
        if self._deep:
            directories, self._deep = list(self._deep), {}
            return self._begin(directories, ())
        if self._flat:
            directories, self._flat = list(self._flat), {}
            return self._begin(directories, self._unwatched.known)
        return None

    def round(self) -> Walk:
        """A walk through everything."""
        return self._begin(self._roots, ())

    def _begin(self, directories: Sequence[str], known: Collection[str]) -> Walk:
        listing = Listing(
            directories, roots=self._roots, known=known, enter=self._enter, look_at=self._look_at
        )
        return Walk(directories, listing, deep=not known)

    def _enter(self, directory: Directory) -> None:
        """Watch a directory before it is listed, so that no change is missed."""
        self._notifier.watch(directory.path, directory.mtime_ns)
        if self._notifier.complete:
            self._unwatched.forget(directory.path)
        else:
            self._unwatched.note(directory.path, directory.mtime_ns)

    def is_folder_link(self, path: str) -> bool:
        """Whether it is a symbolic link beside the projects' folders."""
        return os.path.dirname(path) in self._roots and os.path.islink(path)
