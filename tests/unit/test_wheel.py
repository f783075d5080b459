"""What is in the package's folder is in the wheel, and the version is in one place."""

from __future__ import annotations

from configparser import ConfigParser
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "claude_headspace"
FILES = [
    path.relative_to(PACKAGE)
    for path in sorted(PACKAGE.rglob("*"))
    if path.is_file() and path.suffix not in (".py", ".pyc")
]


@pytest.fixture(scope="module")
def setup() -> ConfigParser:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", "utf-8")
    return parser


def test_every_file_of_the_package_is_in_the_wheel(setup: ConfigParser) -> None:
    patterns = setup["options.package_data"]["claude_headspace"].split()
    assert [str(path) for path in FILES if not any(map(path.match, patterns))] == []
    assert {path.suffix for path in FILES} >= {".html", ".css", ".js", ".svg", ".typed", ".conf"}


def test_every_pattern_finds_something(setup: ConfigParser) -> None:
    patterns = setup["options.package_data"]["claude_headspace"].split()
    assert [pattern for pattern in patterns if not any(p.match(pattern) for p in FILES)] == []


def test_every_folder_with_code_is_a_package() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_the_version_stands_in_setup_cfg_alone(setup: ConfigParser) -> None:
    assert setup["metadata"]["version"] == version("claude-headspace")
    assert not any(
        setup["metadata"]["version"] in path.read_text("utf-8") for path in PACKAGE.rglob("*.py")
    )


def test_supervisord_conf_of_a_checkout_is_the_packages() -> None:
    assert (ROOT / "supervisord.conf").samefile(PACKAGE / "deployment" / "supervisord.conf")
