"""Makes .venv and installs the package with pinned dependencies, unless that is done already.

Runs under any Python from 3.10 on, with nothing installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "installed"
SOURCES = ("setup.cfg", "pyproject.toml", "deploy/constraints.txt")
# Settings of pip that make no sense inside a virtual environment.
MISPLACED = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
NEEDS_SERVER = "embedded"


def main(purpose: str) -> int:
    """Install what running or testing needs; the status says what went wrong."""
    with one_at_a_time():
        if not usable():
            make_venv()
        if purpose == "test":
            return install("test")
        return install("") or install_server()


def install_server() -> int:
    """Install the embedded Postgres if the configuration asks for it."""
    asked = subprocess.run(
        [PYTHON, "-I", ROOT / "deploy" / "launch.py", "check"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if asked.returncode or asked.stdout.strip() != NEEDS_SERVER:
        return asked.returncode
    return install(NEEDS_SERVER)


def usable() -> bool:
    """Whether .venv works and was made for this very folder."""
    place = STAMPS / "folder"
    if place.exists() and place.read_text("utf-8") != str(ROOT):
        return False
    probe = "import sys, pip; sys.exit(sys.version_info < (3, 10))"
    try:
        done = subprocess.run([PYTHON, "-I", "-c", probe], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def make_venv() -> None:
    """Make .venv anew with the Python that runs this."""
    say(f"making .venv with Python {sys.version.split()[0]}")
    if VENV.exists():
        shutil.rmtree(VENV)
    subprocess.run([sys.executable, "-I", "-m", "venv", VENV], check=True)


def install(extra: str) -> int:
    """Install the package with an extra, once for each state of its requirements."""
    stamp = STAMPS / (extra or "core")
    wanted = fingerprint()
    if stamp.exists() and stamp.read_text("ascii") == wanted:
        return 0
    say(f"installing {extra or 'the program'} and what it needs")
    status = run_pip(f"{ROOT}[{extra}]" if extra else str(ROOT))
    if status == 0:
        STAMPS.mkdir(exist_ok=True)
        (STAMPS / "folder").write_text(str(ROOT), "utf-8")
        stamp.write_text(wanted, "ascii")
    return status


def run_pip(requirement: str) -> int:
    """Run pip, showing what it is at; all that it said is shown when it fails."""
    command = [str(PYTHON), "-I", "-m", "pip", "install", "--no-input"]
    command += ["--disable-pip-version-check", "-c", str(ROOT / "deploy" / "constraints.txt")]
    command += ["-e", requirement]
    environment = {name: text for name, text in os.environ.items() if name not in MISPLACED}
    said: list[str] = []
    started = time.monotonic()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    ) as pip:
        for line in pip.stdout or ():
            said.append(line)
            show_step(line.strip())
    show_step("")
    if pip.returncode:
        sys.stderr.write("".join(said))
        say("installing failed: see above")
        return 69
    say(f"installed in {time.monotonic() - started:.0f} s")
    return 0


def show_step(line: str) -> None:
    """Show one step of pip on a line that the next one overwrites, or on its own in a log."""
    if sys.stdout.isatty():
        print(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
    elif line.startswith(("Downloading", "Installing collected")):
        print(f"  {line[:100]}", flush=True)


def fingerprint() -> str:
    """Changes with everything that decides what is installed."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in SOURCES:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait for another installation into the same .venv."""
    folder = os.open(ROOT / "deploy", os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another installation")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def say(text: str) -> None:
    """One line for the person who waits."""
    print(f"deploy: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
