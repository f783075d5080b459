"""The client knows nothing of its caller and reaches nobody; where that cannot be, it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

import lines
from client import installed
from client.desk import Desk
from client.model import Block


@pytest.mark.long
@pytest.mark.timeout(600)
def test_only_loopback_and_nothing_of_the_caller(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_CALLER", "secret-of-the-caller")
    look = {"command": "env > env.txt; cat /proc/net/dev > net.txt", "description": "look"}
    order: Block = {"tool": "Bash", "input": look}
    desk.script = {"Look around": [["I look.", order], ["I have looked."]]}
    session = lines.new_session()
    desk.ask("Look around.", "--session-id", session, "--allowedTools", "Bash")

    assert desk.said() == {session: ["> Look around.", "I look.", "I have looked."]}
    assert "secret-of-the-caller" not in (desk.project / "env.txt").read_text()
    assert f"HOME={desk.home}\n" in (desk.project / "env.txt").read_text()
    interfaces = (desk.project / "net.txt").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]


def test_says_which_programs_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(installed.Unavailable, match=r"needs npm and node and tmux and unshare"):
        installed.check_machine()


def test_says_why_there_is_no_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in installed.NEEDED:
        (tmp_path / name).write_text(
            "#!/bin/sh\necho 'unshare failed: not permitted' >&2\nexit 1\n"
        )
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(installed.Unavailable, match=r"own: unshare failed: not permitted\.$"):
        installed.check_machine()
