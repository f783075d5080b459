"""The documents that guide through the code name files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "claude_headspace"
PLACE = re.compile(r"`([a-z_]+/[a-z_/]*(?:\.py|\.md)?)`|^[ │├└─]*([a-z_]+/[a-z_]+) ", re.MULTILINE)
# Folders of an installation, not of the code.
_OF_AN_INSTALLATION = "inbox/done/"


@pytest.mark.parametrize("page", ["architecture.md", "sources.md", "decisions.md"])
def test_each_place_that_is_named_exists(page: str) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    named = {one or other for one, other in PLACE.findall(text)} - {_OF_AN_INSTALLATION}
    assert named
    assert [place for place in sorted(named) if not _exists(place)] == []


def _exists(place: str) -> bool:
    return any(path.exists() for path in (ROOT / place, PACKAGE / place, PACKAGE / f"{place}.py"))


def test_no_file_is_longer_than_250_lines() -> None:
    lengths = {str(path): path.read_text("utf-8").count("\n") for path in PACKAGE.rglob("*.py")}
    assert lengths
    assert {path: lines for path, lines in lengths.items() if lines > 250} == {}


# Words of earlier versions; docs/glossary.md says what replaced them.
RETIRED = re.compile(
    r"\b(settled?|settling|footings?|agenda|intake|arrivals|vitals|salvaged?|portions?|lookouts?"
    r"|stands|stood|in hand|left alone|taxonomy|restart budget)\b",
    re.IGNORECASE,
)
_READ = (".py", ".md", ".html", ".js", ".yaml", ".sh")
_FROZEN = ("CHANGELOG.md", "docs/glossary.md", "migrations/sql/", "tests/unit/test_architecture.py")


def test_nothing_says_words_of_earlier_versions() -> None:
    folders = (ROOT / "src", ROOT / "tests", ROOT / "docs", ROOT / "deploy")
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in _READ]
    files += ROOT.glob("*.md")
    said = {
        str(path.relative_to(ROOT)): found.group()
        for path in files
        if not any(name in path.as_posix() for name in _FROZEN)
        and (found := RETIRED.search(path.read_text("utf-8")))
    }
    assert said == {}


FOLDERS = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
MODULE = re.compile(r"`(?:claude_headspace\.)?([a-z]+)[./]([a-z_]+)(?:\.py)?`")


def test_each_module_that_the_code_speaks_of_exists() -> None:
    said = [name for path in PACKAGE.rglob("*.py") for name in MODULE.findall(path.read_text())]
    named = {f"{folder}/{name}" for folder, name in said if folder in FOLDERS} - {"config/yaml"}
    assert named
    assert [name for name in sorted(named) if not _exists(name)] == []


CLASS = re.compile(r"^class ([A-Za-z]\w*)", re.MULTILINE)


def test_a_name_of_a_class_has_one_meaning() -> None:
    names = [name for path in PACKAGE.rglob("*.py") for name in CLASS.findall(path.read_text())]
    # In both modules: rows, and the cursor after them.
    assert {name for name in names if names.count(name) > 1} == {"Page"}
