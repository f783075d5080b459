"""The watcher as a process that tests start, signal and starve."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from claude_headspace.health.status_file import WatcherStatus, read_status, status_path
from faults.machine import signal_if_there, wait_for

WATCHER = (sys.executable, "-I", "-m", "claude_headspace.watcher")
CLOCK = (sys.executable, str(Path(__file__).with_name("clock_watcher.py")))
POISON = (sys.executable, str(Path(__file__).with_name("poison_watcher.py")))
SILENT = (sys.executable, str(Path(__file__).with_name("silent_watcher.py")))
SOAK = (sys.executable, str(Path(__file__).with_name("soak_watcher.py")))
BUGGY = (sys.executable, str(Path(__file__).with_name("buggy_watcher.py")))
HOST = "faulty"


@dataclass
class Watched:
    """One watcher, its state directory and the directory of transcripts it reads."""

    directory: Path
    url: str
    command: Sequence[str] = WATCHER
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    def __post_init__(self) -> None:
        self.state = self.directory / "var"
        self.projects = self.directory / "projects"
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.projects.mkdir(exist_ok=True)
        self.configure()

    def configure(self, **changed: dict[str, Any]) -> None:
        """Write the configuration, with these sections changed; it holds from the next start."""
        for section, values in changed.items():
            self.settings = {**self.settings, section: {**self.settings.get(section, {}), **values}}
        tree: dict[str, dict[str, Any]] = {
            "database": {"url": self.url},
            "state": {"directory": str(self.state), "host": HOST},
            "claude": {"projects_path": str(self.projects)},
        }
        for section, values in self.settings.items():
            tree.setdefault(section, {}).update(values)
        (self.directory / "config.yaml").write_text(yaml.safe_dump(tree))

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "CLAUDE_HEADSPACE_CONFIG": str(self.directory / "config.yaml")}

    @property
    def inbox(self) -> Path:
        return self.state / "inbox"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        return (self.directory / "watcher.log").read_text()

    def start(self) -> None:
        with (self.directory / "watcher.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=subprocess.DEVNULL, stderr=log
            )
        self.starts += 1

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        signal_if_there(self.pid, number)

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 10.0) -> int:
        """SIGTERM; its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(seconds)

    def restart(self) -> None:
        self.kill()
        self.start()

    def status(self) -> WatcherStatus | None:
        """What it last said of itself; None before that."""
        found = read_status(status_path(self.state))
        if isinstance(found, WatcherStatus) and self.process and found.pid == self.process.pid:
            return found
        return None

    def wait_state(self, wanted: str, seconds: float = 30.0) -> WatcherStatus:
        def reached() -> list[WatcherStatus]:
            status = self.status()
            return [status] if status and status.state == wanted else []

        return wait_for(reached, f"the watcher did not become {wanted}", seconds)[0]

    def limit(self, kind: int, value: int) -> tuple[int, int]:
        """Set a soft limit of the running process; returns what it was."""
        before = resource.prlimit(self.pid, kind)
        resource.prlimit(self.pid, kind, (value, before[1]))
        return before

    def descriptors(self) -> int:
        """Files it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def peak_megabytes(self) -> float:
        """The most memory it ever held (10^6 bytes)."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6


@contextmanager
def watched(directory: Path, url: str, **options: Any) -> Iterator[Watched]:
    """A watcher that runs, and is gone afterwards."""
    it = Watched(directory, url, **options)
    try:
        it.start()
        yield it
    finally:
        if it.alive():
            it.signal(signal.SIGCONT)
            it.kill()
