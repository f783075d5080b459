"""How the tests themselves run: what is left out, and what a script's background hands down."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTEST = [sys.executable, "-I", "-m", "pytest", "-q", "-p", "no:cacheprovider"]


def run(*command: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100
    )
    return done.stdout


def test_long_tests_are_left_out_unless_asked_for() -> None:
    collect = [*PYTEST, "--collect-only", "tests/acceptance/test_deploy.py"]
    name = "test_a_fresh_folder_from_nothing"
    assert name not in run(*collect)
    assert name in run(*collect, "-m", "")


def test_in_the_background_of_a_script_sigint_works_in_tests(tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    test.write_text(
        "import signal\n"
        "def test_it():\n"
        "    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    )
    conftest = f"--confcutdir={tmp_path}"
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    path = "pythonpath=" + str(ROOT / "tests")
    assert "1 passed" in run(*ignoring, *PYTEST, conftest, "-o", path, str(test))
