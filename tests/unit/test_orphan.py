from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from claude_headspace.errors import AlreadyRunning
from claude_headspace.supervision.orphan import OneWatcher, die_with_parent


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    first, second = OneWatcher(tmp_path / "lock"), OneWatcher(tmp_path / "lock")
    first.acquire()
    assert not second.try_acquire()
    with pytest.raises(AlreadyRunning, match=f"pid {os.getpid()}"):
        second.acquire()
    first.release()
    first.release()
    assert second.try_acquire()
    second.release()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_the_lock_goes_with_its_process_and_not_to_its_children(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, os, signal; from pathlib import Path;"
        "from claude_headspace.supervision.orphan import OneWatcher;"
        f"OneWatcher(Path({str(tmp_path / 'lock')!r})).acquire();"
        "subprocess.Popen(['sleep', '5'], close_fds=False); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-I", "-c", script], check=False, timeout=30)
    lock = OneWatcher(tmp_path / "lock")
    assert lock.holder() is not None
    assert lock.try_acquire()
    lock.release()


def test_without_supervisord_nothing_is_arranged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPERVISOR_ENABLED", raising=False)
    assert die_with_parent()() is False
