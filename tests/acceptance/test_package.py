"""The wheel and the sdist, installed into an empty environment of a user who has nothing yet."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from supervised import free_port

from harness import wait_until
from servers import remove_state, temporary_state

ROOT = Path(__file__).resolve().parents[2]
LINE = {
    "type": "user",
    "uuid": "11111111-1111-4111-8111-111111111111",
    "sessionId": "22222222-2222-4222-8222-222222222222",
    "timestamp": "2026-01-01T00:00:00.000Z",
    "cwd": "/home/ada/app",
    "message": {"role": "user", "content": "The first words"},
}
NOT_SHIPPED = (".git", ".venv", "var", "build", "*.egg-info", "__pycache__", ".*_cache")
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def run(*command: object, **environ: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both, made by the tools of an environment of their own, and found good by twine."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "venv", folder / "tools")
    run(folder / "tools/bin/pip", "install", "-q", "build", "twine")
    source = folder / "source"
    shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(*NOT_SHIPPED))
    run(folder / "tools/bin/python", "-m", "build", "-o", folder / "made", source)
    made = sorted((folder / "made").iterdir())
    assert [path.suffix for path in made] == [".whl", ".gz"]
    told = run(folder / "tools/bin/twine", "check", "--strict", *made)
    assert told.count("PASSED") == 2, told
    return folder / "made"


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_state() as state:
        (state.parent / ".claude/projects/-home-ada-app").mkdir(parents=True)
        yield state.parent


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_from_nothing_to_the_first_turn(dist: Path, home: Path, kind: str) -> None:
    (made,) = dist.glob(kind)
    environ = {"HOME": str(home), "CLAUDE_HEADSPACE__WEB__PORT": str(free_port())}
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "CLAUDE_CONFIG_DIR", "DATABASE_URL"):
        environ[name] = ""
    run(sys.executable, "-m", "venv", home / "venv")
    pins = ROOT / "deploy" / "constraints.txt"
    run(home / "venv/bin/pip", "install", "-q", "-c", pins, f"{made}[embedded]")
    program = home / "venv/bin/claude-headspace"
    try:
        assert "is capturing" in run(program, "up", "--detach", **environ)
        transcript = home / f".claude/projects/-home-ada-app/{LINE['sessionId']}.jsonl"
        transcript.write_text(json.dumps(LINE) + "\n")
        wait_until(lambda: "The first words" in run(program, "events", **environ), "the first turn")
        link = run(program, "open", "--print", **environ).strip()
        assert urlopen(link, timeout=10).status == 200  # noqa: S310  our own
        state = home / ".local/share/claude-headspace"
        assert f"programs: {state}/supervisord.conf" in run(program, "status", **environ)
        assert "RUNNING" in run(program, "supervisorctl", "status", "watcher", **environ)
        assert "ready" in run(program, "logs", "watcher", **environ)
        assert "is capturing" in run(program, "restart", **environ)
    finally:
        run(program, "down", **environ)
        remove_state(home / ".local/share/claude-headspace")
