"""The first look keeps nothing of what it has seen."""

from __future__ import annotations

import tracemalloc

from claude_headspace.discovery.first_look import FirstLook
from claude_headspace.discovery.listing import Sighting
from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.store.checkpoints import CommittedSource

FILES = 4000


def test_nothing_is_kept_of_what_was_seen() -> None:
    seen = [Sighting(f"/p/{n}.jsonl", 1, n, 10, 5) for n in range(FILES)]
    known = [CommittedSource(*each, recent=True, open=False) for each in seen]
    work_queue = WorkQueue()
    first = FirstLook(work_queue, lambda _: None, lambda: None)
    tracemalloc.start()
    try:
        first.begin(known)
        for each in seen:
            first.see(each)
        first.look_for_renamed()
        assert first.done
        work_queue.clear()
        kept, _ = tracemalloc.get_traced_memory()
        assert kept < 10 * FILES
    finally:
        tracemalloc.stop()
