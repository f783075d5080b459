"""A tree of transcripts as months of work leave it: types, sizes and shares as recorded ones have.

Counted over 544 recorded transcripts of 707 MB: half of the lines are shorter than 1 KB, 95 % than
15 KB, 99 % than 51 KB, the longest has about 1 MB; 60 % of the bytes are results of tools; one line
in ten is a turn. The sizes are drawn by interpolating between these quantiles, the type depends on
the size. The load is the same for every run, its ids are fresh.
"""

from __future__ import annotations

import bisect
import math
import os
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lines import instant

# (share of the lines, bytes): sizes in between are interpolated on a logarithmic scale.
QUANTILES = ((0.0, 150), (0.5, 1_000), (0.95, 15_000), (0.99, 51_000), (1.0, 961_000))
FILE_BYTES = (40_000, 400_000, 6_000_000)
PROJECTS = 40
SEED = 20_260_101
UNIT = 64
POOL_UNITS = 16_384

# Lines of each kind in a thousand, by the size class that QUANTILES bounds.
SHARES: tuple[dict[str, float], ...] = (
    {"tool_result": 100, "tool_use": 230, "text": 80, "prompt": 24, "injected": 5,
     "progress": 420, "snapshot": 90, "system": 36, "queue": 8, "summary": 6, "pr_link": 1},
    {"tool_result": 240, "tool_use": 380, "text": 100, "prompt": 12, "injected": 4,
     "progress": 200, "snapshot": 40, "system": 18, "queue": 3, "summary": 3},
    {"tool_result": 700, "tool_use": 110, "progress": 120, "snapshot": 70},
    {"tool_result": 850, "tool_use": 30, "progress": 80, "snapshot": 40},
)  # fmt: skip
TURNS = ("text", "prompt")

_ENVELOPE = (
    '{{"parentUuid":"{parent}","isSidechain":false,"userType":"external","cwd":"{cwd}",'
    '"sessionId":"{session}","version":"2.1.42","gitBranch":"main","type":"{type}",{body},'
    '"uuid":"{uuid}","timestamp":"{time}"}}\n'
)
_ASSISTANT = (
    '"message":{{"model":"claude-opus-4-6","id":"msg_{message}","type":"message",'
    '"role":"assistant","content":[{block}],"stop_reason":null,"stop_sequence":null,'
    '"usage":{{"input_tokens":3,"cache_creation_input_tokens":17000,"output_tokens":12}}}},'
    '"requestId":"req_{message}"'
)
_BODIES: dict[str, tuple[str, str]] = {
    "tool_result": (
        "user",
        (
            '"message":{{"role":"user","content":[{{"tool_use_id":"toolu_{message}",'
            '"type":"tool_result","content":"{half}","is_error":false}}]}},'
            '"toolUseResult":{{"stdout":"{half}","stderr":"","interrupted":false}}'
        ),
    ),
    "tool_use": (
        "assistant",
        _ASSISTANT.replace(
            "{block}",
            '{{"type":"tool_use","id":"toolu_{message}","name":"Write",'
            '"input":{{"file_path":"{cwd}/a.py","content":"{fill}"}}}}',
        ),
    ),
    "text": ("assistant", _ASSISTANT.replace("{block}", '{{"type":"text","text":"{fill}"}}')),
    "prompt": ("user", '"message":{{"role":"user","content":"{fill}"}},"todos":[]'),
    "injected": (
        "user",
        (
            '"message":{{"role":"user","content":"<local-command-stdout>{fill}'
            '</local-command-stdout>"}}'
        ),
    ),
    "progress": (
        "progress",
        (
            '"data":{{"type":"bash_progress","output":"{fill}","elapsedTimeSeconds":2}},'
            '"toolUseID":"toolu_{message}"'
        ),
    ),
    "system": ("system", '"subtype":"turn_duration","content":"{fill}","isMeta":false'),
}
_BARE: dict[str, str] = {
    "snapshot": '{{"type":"file-history-snapshot","messageId":"{uuid}","snapshot":'
    '{{"messageId":"{uuid}","trackedFileBackups":{{"a":"{fill}"}},"timestamp":"{time}"}},'
    '"isSnapshotUpdate":false}}\n',
    "queue": '{{"type":"queue-operation","operation":"enqueue","timestamp":"{time}",'
    '"sessionId":"{session}","content":"{fill}"}}\n',
    "summary": '{{"type":"summary","summary":"{fill}","leafUuid":"{uuid}"}}\n',
    "pr_link": '{{"type":"pr-link","sessionId":"{session}","prNumber":7,"prUrl":"{fill}",'
    '"timestamp":"{time}"}}\n',
}


@dataclass(slots=True)
class Written:
    """What was generated."""

    files: int = 0
    lines: int = 0
    bytes: int = 0
    turns: int = 0
    tool_result_bytes: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Totals, the share of tool results, and quantiles of the line sizes."""
        ordered = sorted(self.sizes)
        quantiles = {f"p{q:g}": ordered[int(len(ordered) * q / 100)] for q in (50, 95, 99)}
        return {
            "files": self.files,
            "lines": self.lines,
            "bytes": self.bytes,
            "turns": self.turns,
            "tool_result_share": round(self.tool_result_bytes / self.bytes, 3),
            "line_bytes": {**quantiles, "max": ordered[-1]},
            "kinds": dict(self.kinds.most_common()),
        }


def generate(root: Path, total_bytes: int) -> Written:
    """Write about so many bytes of transcripts under `root`, on the disk when this returns."""
    draw = random.Random(SEED)
    fill = _filler(draw)
    written = Written()
    while written.bytes < total_bytes:
        size = int(draw.triangular(*_file_bounds()))
        size = min(size, total_bytes - written.bytes)
        _write_file(root, size, draw, fill, written)
    return written


def _file_bounds() -> tuple[int, int, int]:
    low, mode, high = FILE_BYTES
    return low, high, mode


def _write_file(
    root: Path, size: int, draw: random.Random, fill: Callable[[int], str], written: Written
) -> None:
    session = str(uuid.uuid4())
    number = written.files % PROJECTS
    folder = root / f"-home-u-project-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{session}.jsonl").open("wb") as file:
        for line in _lines(session, f"/home/u/project-{number}", draw, fill, written):
            size -= file.write(line)
            if size <= 0:
                break
        file.flush()
        os.fsync(file.fileno())
    written.files += 1


def _lines(
    session: str, cwd: str, draw: random.Random, fill: Callable[[int], str], written: Written
) -> Iterator[bytes]:
    parent = str(uuid.uuid4())
    seconds = draw.uniform(0, 3e7)
    while True:
        seconds += draw.expovariate(0.2)
        share = draw.random()
        kind = _kind(share, draw)
        key = str(uuid.uuid4())
        line = _line(kind, _size(share), fill, {
            "session": session, "cwd": cwd, "parent": parent, "uuid": key,
            "time": instant(seconds), "message": key[:8],
        })  # fmt: skip
        _count(written, kind, len(line))
        parent = key
        yield line


def _count(written: Written, kind: str, size: int) -> None:
    written.lines += 1
    written.bytes += size
    written.kinds[kind] += 1
    written.sizes.append(size)
    written.turns += kind in TURNS
    written.tool_result_bytes += size if kind == "tool_result" else 0


def _size(share: float) -> int:
    at = bisect.bisect_right([q for q, _ in QUANTILES], share)
    (low, small), (high, large) = QUANTILES[at - 1 : at + 1]
    along = (share - low) / (high - low)
    return int(math.exp(math.log(small) + along * math.log(large / small)))


def _kind(share: float, draw: random.Random) -> str:
    shares = SHARES[bisect.bisect_right([q for q, _ in QUANTILES], share) - 1]
    return draw.choices(list(shares), list(shares.values()))[0]


def _line(kind: str, size: int, fill: Callable[[int], str], names: dict[str, str]) -> bytes:
    if kind in _BARE:
        template, values = _BARE[kind], names
    else:
        record_type, body = _BODIES[kind]
        template = _ENVELOPE.replace("{body}", body)
        values = {**names, "type": record_type}
    room = max(1, size - len(template.format(**values, fill="", half="")))
    half = fill(room // 2) if kind == "tool_result" else ""
    return template.format(**values, fill=fill(room) if not half else "", half=half).encode()


def _filler(draw: random.Random) -> Callable[[int], str]:
    """Text as it is in JSON: code and prose, with escapes and a few letters beyond ASCII."""
    pool = "".join(_unit(draw) for _ in range(POOL_UNITS))

    def fill(size: int) -> str:
        units = max(1, min(size // UNIT, POOL_UNITS))
        start = draw.randrange(POOL_UNITS - units + 1) * UNIT
        return pool[start : start + units * UNIT] if size >= UNIT else "x" * size

    return fill


def _unit(draw: random.Random) -> str:
    """So many characters that may be cut before and after, but not inside."""
    pieces = ["return value ", "def count_lines", "    if found: ", r"\n", r"\"name\"", "→ ", "é",
              "The test failed ", "12345 ", r"\\", r"\t", "src/app.py:17 ", "assert "]  # fmt: skip
    unit = ""
    while len(unit) < UNIT - 16:
        unit += draw.choice(pieces)
    return unit + "." * (UNIT - len(unit))
