"""Our watcher as a process that can be measured."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.server import Log, NotReachedError
from servers import embedded_environment

COMMAND = (sys.executable, "-I", "-m")
# The same of another version of this program, whose source is below a folder.
ELSEWHERE = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1));"
    " runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
READY_SECONDS = 120.0
STOP_SECONDS = 30.0


class Watching:
    """One run of the watcher; moments are epoch seconds."""

    def __init__(self, state: Path, projects: Path, log: Log, source: Path | None = None) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self._said: list[str] = []
        self._ready = threading.Event()
        self.ready_at = 0.0
        environment = embedded_environment(state) | {
            "DATABASE_URL": log.url,
            "CLAUDE_HEADSPACE__CLAUDE__PROJECTS_PATH": str(projects),
            "CLAUDE_HEADSPACE__STATE__HOST": "benchmark",
        }
        self.started_at = time.time()
        self.process = subprocess.Popen(
            run("claude_headspace.watcher", source),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def seconds_to_ready(self) -> float:
        return self.ready_at - self.started_at

    def _listen(self) -> None:
        for line in self.process.stderr or ():
            if not self._ready.is_set() and " ready: " in line:
                self.ready_at = time.time()
                self._ready.set()
            self._said.append(line)

    def wait_ready(self) -> None:
        """Return when it knows what there is to read, just before it reads it."""
        if not self._ready.wait(READY_SECONDS):
            raise NotReachedError(f"the watcher is not ready: {self.said()}")

    def said(self) -> str:
        """The last of what it logged."""
        return "".join(self._said[-10:])

    def close(self) -> None:
        """End it in order; force only when that fails."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join(STOP_SECONDS)
        if status:
            raise NotReachedError(f"the watcher ended with {status}: {self.said()}")


def run(module: str, source: Path | None) -> tuple[str, ...]:
    """The command that runs a module of this program, or of the version below `source`."""
    if source is None:
        return (*COMMAND, module)
    return (sys.executable, "-I", "-c", ELSEWHERE, str(source), module)


@contextmanager
def watching(
    state: Path, projects: Path, log: Log, source: Path | None = None
) -> Iterator[Watching]:
    """The watcher, ready: of this program, or of the version below `source`."""
    watcher = Watching(state, projects, log, source)
    try:
        watcher.wait_ready()
        yield watcher
    finally:
        watcher.close()


def compile_package() -> None:
    """Have the bytecode there, as after an installation: no run is to pay for it."""
    import compileall

    import claude_headspace

    compileall.compile_dir(Path(claude_headspace.__file__).parent, quiet=2)
