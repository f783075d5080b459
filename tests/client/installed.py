"""The client, from npm, in a cache folder of the user's and never in the repository."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

VERSIONS = ("2.1.332", "2.1.90", "2.0.76")
PACKAGE = "@anthropic-ai/claude-code"
INSTALL_SECONDS = 300.0
NEEDED = ("npm", "node", "tmux", "unshare", "ip")


class Unavailable(Exception):
    """Why no client can be run here, in one sentence."""


def in_namespace(*command: str) -> list[str]:
    """The command in a namespace with no network but loopback; all in it ends with it."""
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--net", "--pid", "--fork", "--kill-child", *root, *command]


def check_machine() -> None:
    """Fail with the reason where this machine cannot run a client apart from the network."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        raise Unavailable(f"The real client needs {' and '.join(missing)}, not found on the PATH.")
    tried = subprocess.run(
        in_namespace("ip", "link", "set", "lo", "up"), capture_output=True, text=True
    )
    if tried.returncode:
        reason = tried.stderr.strip().replace("\n", " ")
        raise Unavailable(f"This machine permits no network namespace of one's own: {reason}.")


@dataclass(frozen=True)
class Client:
    """One version of the client, and the command that starts it."""

    version: str
    command: list[str]


def client(version: str) -> Client:
    """The client of this version, installed when it is not there yet."""
    folder = _cache() / version
    with _locked(_cache()):
        if not folder.exists():
            _install(version, folder)
    return Client(version, _start_command(folder / "node_modules" / "@anthropic-ai"))


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "claude-headspace" / "clients"


def _start_command(packages: Path) -> list[str]:
    own = [path for path in packages.glob("claude-code-*/claude") if path.is_file()]
    if own:
        return [str(own[0])]
    return [shutil.which("node") or "node", str(packages / "claude-code" / "cli.js")]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(version: str, folder: Path) -> None:
    """All of it or nothing: a broken-off installation is not taken for a client."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch, "client")
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(made)]
        npm = subprocess.run(
            ["npm", "install", *options, f"{PACKAGE}@{version}"],
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
        )
        if npm.returncode:
            reason = " ".join(npm.stderr.split("\n")[:2])
            raise Unavailable(f"npm could not install {PACKAGE}@{version}: {reason}.")
        made.rename(folder)
