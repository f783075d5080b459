"""deploy/environment.py before and around pip; a toy in place of Python notes its arguments."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import wait_until

ROOT = Path(__file__).resolve().parents[2]
EVERYBODYS = Path("/usr/bin/python3")
PYTHON = """\
#!/bin/sh
echo "$*" >> "{log}"
case "$*" in
    *"launch.py running") echo "deploy: why" >&2; exit {running} ;;
    *"launch.py check") echo other ;;
    *"pip install"*) {pip} ;;
esac
"""


@dataclass
class Checkout:
    root: Path
    python: str = sys.executable

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    def make_venv(self, *, running: int = 3, pip: str = "exit 0") -> None:
        """An environment as deploy/run leaves it, but for the program in it."""
        (self.venv / "bin").mkdir(parents=True)
        (self.venv / "installed").mkdir()
        (self.venv / "installed" / "made-by-deploy").touch()
        (self.venv / "installed" / "folder").write_text(str(self.root))
        (self.venv / "installed" / "core").write_text("of another version")
        python = self.venv / "bin" / "python"
        python.write_text(PYTHON.format(log=self.root / "asked", running=running, pip=pip))
        python.chmod(0o755)

    def asked(self) -> str:
        log = self.root / "asked"
        return log.read_text() if log.exists() else ""

    def command(self, purpose: str) -> list[str]:
        return [self.python, "-I", str(self.root / "deploy/environment.py"), purpose]

    def install(self, purpose: str = "run", **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(purpose),
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=60,
            cwd="/",
            **options,
        )

    def refused(self, status: int, **options: Any) -> str:
        """Its one sentence."""
        done = self.install(**options)
        assert done.returncode == status, done.stderr
        (line,) = done.stderr.splitlines()
        return str(line)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return copied(tmp_path / "checkout")


def copied(root: Path) -> Checkout:
    shutil.copytree(ROOT / "deploy", root / "deploy")
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    return Checkout(root)


def test_nothing_is_installed_under_an_instance_that_runs(checkout: Checkout) -> None:
    checkout.make_venv(running=0)
    assert checkout.install().returncode == 0
    assert "launch.py running" in checkout.asked()
    assert "pip install" not in checkout.asked()


@pytest.mark.parametrize("status", [1, 3])
def test_it_is_installed_when_none_runs(checkout: Checkout, status: int) -> None:
    checkout.make_venv(running=status)
    done = checkout.install()
    assert (done.returncode, done.stderr) == (0, "")
    assert "pip install" in checkout.asked()


@pytest.mark.parametrize("status", [75, 78])
def test_nothing_is_installed_where_that_cannot_be_said(checkout: Checkout, status: int) -> None:
    checkout.make_venv(running=status)
    assert checkout.refused(status) == "deploy: why"
    assert "pip install" not in checkout.asked()


@pytest.mark.parametrize(
    ("name", "text", "again"),
    [
        ("setup.cfg", "\n[mypy-nothing.*]\nignore_missing_imports = true\n", False),
        ("setup.cfg", "\n[tool:another]\nkey = 1\n", False),
        ("pyproject.toml", "\n[tool.ruff]\nline-length = 80\n", False),
        ("setup.cfg", "\n# a word\n", False),
        ("ruff.toml", "line-length = 80\n", False),
        ("setup.cfg", "\n[options.extras_require]\nmore = nothing\n", True),
        ("pyproject.toml", '\n[project]\nname = "x"\n', True),
        ("deploy/constraints.txt", "nothing==1.0\n", True),
    ],
)
def test_only_what_decides_the_installation_makes_it_begin_anew(
    checkout: Checkout, name: str, text: str, again: bool
) -> None:
    checkout.make_venv()
    assert checkout.install().returncode == 0
    with (checkout.root / name).open("a") as file:
        file.write(text)
    (checkout.root / "asked").unlink()
    assert checkout.install().returncode == 0
    assert ("pip install" in checkout.asked()) is again


def test_an_environment_of_others_is_not_removed(checkout: Checkout) -> None:
    checkout.venv.mkdir()
    (checkout.venv / "thesis.txt").write_text("years of work")
    assert "was not created by deploy/run: move it away" in checkout.refused(73)
    assert (checkout.venv / "thesis.txt").exists()


def test_an_environment_of_others_that_is_linked_to_is_not_removed(checkout: Checkout) -> None:
    elsewhere = checkout.root / "elsewhere"
    (elsewhere / "installed").mkdir(parents=True)
    (elsewhere / "installed" / "made-by-deploy").touch()
    checkout.venv.symlink_to(elsewhere)
    assert "was not created by deploy/run: move it away" in checkout.refused(73)
    assert checkout.venv.is_symlink()
    assert elsewhere.is_dir()


def test_an_environment_from_which_something_works_is_not_removed(checkout: Checkout) -> None:
    checkout.make_venv()
    program = checkout.venv / "bin" / "supervisord"
    program.symlink_to(shutil.which("sleep") or "/bin/sleep")
    (checkout.venv / "bin" / "python").unlink()
    with subprocess.Popen([program, "100"]) as process:
        try:
            assert f"process {process.pid} is using it" in checkout.refused(75)
            assert program.exists()
        finally:
            process.kill()


@pytest.mark.parametrize("name", ["a #b", "a;b", "a%b", "a:b", 'a"b'])
def test_a_folder_that_supervisord_cannot_read_is_refused_first(tmp_path: Path, name: str) -> None:
    checkout = copied(tmp_path / name)
    assert "move the folder" in checkout.refused(73)
    assert not checkout.venv.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
@pytest.mark.skipif(not EVERYBODYS.exists(), reason="no Python that everybody can run")
def test_the_checkout_of_another_user(state_directory: Path) -> None:
    checkout = copied(state_directory.parent / "checkout")
    checkout.python = str(EVERYBODYS)
    told = checkout.refused(77, user="nobody")
    assert f"{checkout.root} belongs to another user" in told
    assert not checkout.venv.exists()


def test_ctrl_c_ends_it_and_pip(checkout: Checkout) -> None:
    process = begun(checkout)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert told == "deploy: interrupted; the next start continues the installation\n"
    assert checkout.install().returncode == 0


def test_a_closed_pipe_ends_it_and_pip(checkout: Checkout) -> None:
    with begun(checkout) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        (checkout.root / "go").touch()
        told = process.stderr.read()
        assert process.wait(30) == 141
    assert told == "deploy: the output was closed, so the installation has stopped\n"


def test_a_signal_ends_it_and_pip(checkout: Checkout) -> None:
    process = begun(checkout)
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM


def begun(checkout: Checkout) -> subprocess.Popen[str]:
    """An installation that goes on until it is told to."""
    go, begun = checkout.root / "go", checkout.root / "begun"
    waiting = (
        f'[ -e "{begun}" ] && exit 0; touch "{begun}"; while [ ! -e "{go}" ]; do sleep 0.05; done'
    )
    checkout.make_venv(pip=f"{waiting}; echo Downloading it; sleep 20; exit 0")
    process = subprocess.Popen(
        checkout.command("run"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    wait_until(begun.exists, "the installation")
    return process
