from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from claude_headspace.errors import AlreadyRunning, StateUnusable
from claude_headspace.supervision.single_watcher import LOCK_NAME, die_with_parent, only_watcher


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    with only_watcher(tmp_path):
        with pytest.raises(AlreadyRunning, match=f"pid {os.getpid()}"), only_watcher(tmp_path):
            pass
        assert (tmp_path / LOCK_NAME).stat().st_mode & 0o777 == 0o600
    with only_watcher(tmp_path):
        pass


@pytest.mark.parametrize("what", ["file", "file/below", "folder"])
def test_a_state_directory_that_cannot_be_used_is_one_sentence(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / LOCK_NAME).mkdir(parents=True)
    told = r"cannot be locked: .*: make .* writable, or use another state\.directory"
    with pytest.raises(StateUnusable, match=told), only_watcher(tmp_path / what):
        pass


def test_the_lock_goes_with_its_process_and_not_to_its_children(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, os, signal; from pathlib import Path;"
        "from claude_headspace.supervision.single_watcher import only_watcher;"
        f"held = only_watcher(Path({str(tmp_path)!r})); held.__enter__();"
        "subprocess.Popen(['sleep', '5'], close_fds=False); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-I", "-c", script], check=False, timeout=30)
    assert (tmp_path / LOCK_NAME).read_text().strip().isdecimal()
    with only_watcher(tmp_path):
        pass


def test_without_supervisord_nothing_is_arranged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPERVISOR_ENABLED", raising=False)
    assert die_with_parent()() is False
