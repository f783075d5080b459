"""The names that other programs import: all of them there, none loaded before it is used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import claude_headspace
from claude_headspace.store import follow

LOADED = "import sys; before = set(sys.modules); import {0}; print(*(set(sys.modules) - before))"
NAMES = set(vars(claude_headspace)["_HOMES"])
DOCUMENT = Path(__file__).parents[2] / "docs" / "library.md"


def test_importing_the_package_imports_nothing_else() -> None:
    for command in (LOADED.format("claude_headspace"), "import {0}; print({0}.__name__)"):
        shown = subprocess.run(
            [sys.executable, "-I", "-c", command.format("claude_headspace")],
            text=True,
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
        assert shown.split() == ["claude_headspace"]


def test_type_checkers_see_the_names_that_there_are() -> None:
    tree = ast.parse(Path(claude_headspace.__file__).read_text("utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    homes = {
        each.name: node.module
        for node in imports
        for each in node.names
        if node.module != "importlib"
    }
    assert sorted(homes) == sorted(NAMES)
    for name, module in homes.items():
        assert getattr(claude_headspace, name) is getattr(import_module(module or ""), name)


def test_the_document_names_them_all() -> None:
    table = DOCUMENT.read_text("utf-8").partition("\n\n`load_config()` reads")[0]
    assert set(re.findall(r"`(\w+)(?:\(.*?\))?`(?=[ ,|])", table)) >= NAMES


def test_other_names_are_missing_and_modules_are_found() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        claude_headspace.nonsense  # type: ignore[attr-defined]  # noqa: B018
    from claude_headspace import health

    assert health.__name__ == "claude_headspace.health"
    assert {"Event", "__name__"} <= set(dir(claude_headspace))


def test_programs_that_import_the_follower_where_it_was_go_on() -> None:
    assert follow.Follower is claude_headspace.Follower
