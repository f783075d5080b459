"""What anybody may know of what is wrong: no path, and nothing that somebody wrote."""

from __future__ import annotations

import pytest

from claude_headspace.web.health import in_short


@pytest.mark.parametrize(("reason", "short"), [
    ("the database does not answer", "the database does not answer"),
    (
        "the watcher was given up (crash loop: 5 restarts in 60s); after a fix: ctl -c /home/x",
        "the watcher was given up (crash loop: 5 restarts in 60s); after a fix …",
    ),
    ("folders cannot be read (1): /home/u/.claude: denied", "folders cannot be read (1) …"),
    ('the database refuses: role "ada" does not exist', "the database refuses …"),
    ("/home/u/secret cannot be read", "something is wrong"),
])  # fmt: skip
def test_paths_and_quotations_are_left_out(reason: str, short: str) -> None:
    assert in_short(reason) == short
