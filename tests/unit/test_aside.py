from __future__ import annotations

from claude_headspace.watcher.aside import LONGEST_PAUSE_SECONDS, Aside


def test_pauses_grow_up_to_a_longest_one() -> None:
    now = [0.0]
    aside: Aside[str] = Aside(lambda: now[0])
    pauses = []
    for _ in range(12):
        aside.put("x", "why")
        assert aside.due is not None
        pauses.append(aside.due - now[0])
        now[0] = aside.due
        assert not aside.waits("x")
    assert pauses[:4] == [1, 2, 4, 8]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


def test_a_reason_is_told_once() -> None:
    aside: Aside[str] = Aside(lambda: 0.0)
    assert [aside.put("x", why) for why in ("a", "a", "b")] == [True, False, True]
    assert (len(aside), aside.first) == (1, ("x", "b"))
    aside.settle("x")
    assert (len(aside), aside.first, aside.due) == (0, None, None)
