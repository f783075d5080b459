"""The archive compared with the disk: what other tests call when they are done."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import zstandard

import lines
from harness import Log, Projects, Watcher, wait_until

SESSION = "6f1d0a7e-0d3a-4c6b-9a0c-0123456789ab"


def assert_archived(log: Log, *roots: Path) -> None:
    """Wait until every file below the roots is archived; then its bytes are those on the disk."""
    wait_until(lambda: not missing_bytes(log, *roots), "everything is archived")
    assert_contiguous(log)
    for path, data in files_below(*roots).items():
        assert archived_bytes(log, path) == data, path


def missing_bytes(log: Log, *roots: Path) -> dict[str, int]:
    """How many bytes of which files are not archived yet; of an empty file nothing is to be."""
    archived = dict(log.rows(_LATEST))
    missing = {p: len(data) - (archived.get(p) or 0) for p, data in files_below(*roots).items()}
    return {path: count for path, count in missing.items() if count}


def files_below(*roots: Path) -> dict[str, bytes]:
    """What belongs to sessions: transcripts, and everything in a folder named like one."""
    found = {}
    for root in roots:
        for path in root.rglob("*"):
            if path.is_file() and (
                path.suffix == ".jsonl" or len(path.relative_to(root).parts) > 2
            ):
                found[str(path)] = path.read_bytes()
    return found


def archived_bytes(log: Log, path: str, generation: int | None = None) -> bytes:
    """What the archive holds of a file, of one generation or of the newest."""
    rows = log.rows(
        "SELECT p.content, p.digest, p.length FROM archive_pieces p"
        " JOIN (SELECT id, path FROM checkpoints UNION ALL SELECT id, path FROM sidecars) f"
        " ON f.id = p.source_id WHERE f.path = %s AND p.generation = coalesce(%s, (SELECT"
        " max(generation) FROM archive_generations WHERE source_id = f.id)) ORDER BY p.start",
        (path, generation),
    )
    whole = b""
    for content, digest, length in rows:
        data = zstandard.ZstdDecompressor().decompress(content)
        assert (len(data), hashlib.sha256(data).digest()) == (length, bytes(digest))
        whole += data
    return whole


def assert_contiguous(log: Log) -> None:
    """Of every generation exactly the bytes [0, archived) are there, once, and counted right."""
    wrong = log.rows(
        "SELECT g.source_id, g.generation, g.archived, g.stored, array_agg((p.start, p.length))"
        " FROM archive_generations g LEFT JOIN (SELECT *, sum(length) OVER (PARTITION BY source_id,"
        " generation ORDER BY start) AS until FROM archive_pieces) p"
        " USING (source_id, generation) GROUP BY 1, 2 HAVING"
        " coalesce(sum(p.length), 0) <> g.archived OR coalesce(max(p.until), 0) <> g.archived"
        " OR coalesce(bool_or(p.start + p.length <> p.until), false)"
        " OR coalesce(sum(length(p.content)), 0) <> g.stored"
    )
    assert wrong == []
    stray = "SELECT * FROM archive_pieces p WHERE NOT EXISTS (SELECT FROM archive_generations g"
    assert (
        log.rows(f"{stray} WHERE (g.source_id, g.generation) = (p.source_id, p.generation))") == []
    )


def command(watcher: Watcher, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command of the command line, under the watcher's settings."""
    return subprocess.run(
        [sys.executable, "-m", "claude_headspace.cli", *arguments],
        env=watcher.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def history(projects: Projects) -> Path:
    """A session with all kinds of files, and another one."""
    projects.fill(sessions=1, turns=3)
    path = projects.say(SESSION, "Hello", "there")
    projects.append(path, b'{"no newline')
    below = path.with_suffix("")
    for name, data in {"subagents/agent-a.jsonl": b"\n", "tool-results/1.txt": b"x" * 9}.items():
        (below / name).parent.mkdir(parents=True, exist_ok=True)
        (below / name).write_bytes(data)
    old = path.with_name("agent-00ff00ff.jsonl")
    projects.append(old, lines.joined(lines.assistant(SESSION, "of old", isSidechain=True)))
    return path


_LATEST = (
    "SELECT f.path, (SELECT archived FROM archive_generations WHERE source_id = f.id"
    " ORDER BY generation DESC LIMIT 1) FROM (SELECT id, path FROM checkpoints"
    " UNION ALL SELECT id, path FROM sidecars) f"
)
