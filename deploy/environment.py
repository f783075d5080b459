"""Creates .venv and installs the package with pinned dependencies, unless that is done already.

Runs under any Python from 3.11 on, with nothing installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LAUNCH = ROOT / "deploy" / "launch.py"
STAMPS = VENV / "installed"
# Marks an environment that was created here; only such an environment may be removed.
MARK = STAMPS / "made-by-deploy"
SOURCES = ("setup.cfg", "pyproject.toml", "deploy/constraints.txt")
# Sections that determine what is installed; the others are settings of tools.
DECIDING = re.compile(r"\[(metadata|options|build-system|project)\b")
# Settings of pip that make no sense inside a virtual environment.
MISPLACED = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
# Characters that venv or supervisord's configuration does not accept in a path.
UNFIT = re.compile(r"[%;:\"\\\n]|\s#")
NEEDS_SERVER = "embedded"
RUNNING, CRASHED, NOT_RUNNING = 0, 1, 3


class Refused(Exception):
    """Nothing was installed; the message is one sentence, `status` the exit status."""

    def __init__(self, message: str, status: int) -> None:
        self.status = status
        super().__init__(message)


def main(purpose: str) -> int:
    """Install what running or testing needs; returns the exit status."""
    signal.signal(signal.SIGTERM, end)
    try:
        return provide(purpose)
    except Refused as refusal:
        return complain(str(refusal), refusal.status)
    except KeyboardInterrupt:
        return complain("interrupted; the next start continues the installation", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return complain("the output was closed, so the installation has stopped", 141)
    except subprocess.CalledProcessError as error:
        return complain(f"creating .venv failed with status {error.returncode}: see above", 69)
    except OSError as error:
        return complain(f"the installation failed: {error}", 73)


def provide(purpose: str) -> int:
    """Install everything that is missing."""
    found = UNFIT.search(str(ROOT))
    if found:
        raise Refused(f"{ROOT}: the path must not contain {found[0]!r}: move the folder", 73)
    with one_at_a_time():
        if purpose == "test":
            return complete("test")
        return complete("") or complete_server()


def complete(extra: str) -> int:
    """Create .venv and install into it, unless that is done or an instance runs from it."""
    ready = usable()
    if ready and (STAMPS / (extra or "core")).exists() and not outdated(extra):
        return 0
    if extra != "test" and ready and is_running():
        return 0
    require_writable()
    if not ready:
        make_venv()
    return install(extra)


def complete_server() -> int:
    """Install the embedded Postgres if the configuration asks for it."""
    asked = launch("check")
    if asked.returncode or asked.stdout.strip() != NEEDS_SERVER:
        return asked.returncode
    return complete(NEEDS_SERVER)


def is_running() -> bool:
    """Whether the configured instance runs; then nothing may be changed."""
    if not (STAMPS / "core").exists():
        return False
    asked = launch("running", stderr=subprocess.PIPE)
    if asked.returncode == CRASHED:  # the installed version is too old to answer
        require_unused()
    elif asked.returncode not in (RUNNING, NOT_RUNNING):
        sys.stderr.write(asked.stderr)
        sys.exit(asked.returncode)
    return asked.returncode == RUNNING


def launch(command: str, stderr: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run deploy/launch.py inside .venv."""
    return subprocess.run(
        [PYTHON, "-I", LAUNCH, command],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
    )


def usable() -> bool:
    """Whether .venv works and was created for this folder."""
    place = STAMPS / "folder"
    if place.exists() and place.read_text("utf-8") != str(ROOT):
        return False
    probe = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        done = subprocess.run([PYTHON, "-I", "-c", probe], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def require_writable() -> None:
    """Raise unless this user may install here."""
    for path in (ROOT, VENV):
        if path.exists() and not os.access(path, os.W_OK):
            raise Refused(
                f"{path} belongs to another user: run as that user, or use your own clone", 77
            )


def make_venv() -> None:
    """Create .venv with the current Python, replacing one that does not work."""
    if os.path.lexists(VENV):
        remove_venv()
    say(f"creating .venv with Python {sys.version.split()[0]}")
    MARK.parent.mkdir(parents=True)
    MARK.touch()
    subprocess.run([sys.executable, "-I", "-m", "venv", VENV], check=True)


def remove_venv() -> None:
    """Remove .venv if it was created here and nothing runs from it."""
    if VENV.is_symlink() or not MARK.exists():
        raise Refused(
            f"{VENV} does not work here and was not created by deploy/run: move it away", 73
        )
    require_unused()
    shutil.rmtree(VENV)


def require_unused() -> None:
    """Raise while any supervisord runs that was started from .venv."""
    for pid, arguments in processes():
        if arguments.startswith(f"{VENV}/bin/") and "supervisord" in arguments:
            raise Refused(f"{VENV} must be changed, but process {pid} is using it: stop it", 75)


def processes() -> Iterator[tuple[int, str]]:
    """Every process with its command line."""
    if Path("/proc/self/cmdline").exists():
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                yield int(folder.name), os.fsdecode(command)
        return
    listed = subprocess.run(
        ["ps", "-axww", "-o", "pid=,args="], capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        pid, _, arguments = line.strip().partition(" ")
        yield int(pid), arguments


def outdated(extra: str) -> bool:
    """Whether the installed version is outdated."""
    return (STAMPS / (extra or "core")).read_text("ascii") != fingerprint()


def install(extra: str) -> int:
    """Install the package with an extra."""
    say(f"installing {extra or 'the program'} and its dependencies")
    status = run_pip(f".[{extra}]" if extra else ".")
    if status == 0:
        STAMPS.mkdir(exist_ok=True)
        (STAMPS / "folder").write_text(str(ROOT), "utf-8")
        (STAMPS / (extra or "core")).write_text(fingerprint(), "ascii")
    return status


def run_pip(requirement: str) -> int:
    """Run pip and show its progress; if it fails, show its whole output."""
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
        cwd=ROOT,
    ) as pip:
        try:
            for line in pip.stdout or ():
                said.append(line)
                show_step(line.strip())
        except BaseException:
            pip.terminate()
            raise
    show_step("")
    if pip.returncode:
        sys.stderr.write("".join(said))
        say("installing failed: see above")
        return 69
    say(f"installed in {time.monotonic() - started:.0f} s")
    return 0


def show_step(line: str) -> None:
    """Show one step of pip: on a terminal, the next step overwrites it."""
    if sys.stdout.isatty():
        print(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
    elif line.startswith(("Downloading", "Installing collected")):
        print(f"  {line[:100]}", flush=True)


def fingerprint() -> str:
    """A digest of everything that determines what is installed."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in SOURCES:
        digest.update("\n".join(deciding_lines(ROOT / name)).encode())
    return digest.hexdigest()


def deciding_lines(path: Path) -> Iterator[str]:
    """Lines of the sections that determine what is installed; all lines without sections."""
    decides = True
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("["):
            decides = DECIDING.match(line) is not None
        if decides and line.strip() and not line.lstrip().startswith("#"):
            yield line.rstrip()


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
    """Print one line of progress."""
    print(f"deploy: {text}", flush=True)


def complain(text: str, status: int) -> int:
    """Print one line of an error, and return the exit status."""
    print(f"deploy: {text}", file=sys.stderr, flush=True)
    return status


def end(number: int, _: FrameType | None) -> NoReturn:
    """End on a signal, together with pip."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
