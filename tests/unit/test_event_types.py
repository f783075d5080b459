from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from claude_headspace.errors import EventInvalid
from claude_headspace.events.event import Event
from claude_headspace.events.event_types import installed_types

NOW = datetime(2025, 6, 1, tzinfo=UTC)
PAYLOAD = {"session_uuid": "s", "reason": "closed"}

THIRD_PARTY = """
from claude_headspace.events.payloads import PayloadSchema, Text

class Weather(PayloadSchema):
    sky = Text(required=True)

nothing = 7
"""
ASK = """
from datetime import datetime, timezone
from uuid import uuid4
from claude_headspace.errors import HeadspaceError
from claude_headspace.events.event import Event
from claude_headspace.events.event_types import installed_types
try:
    event_types = installed_types()
    for payload in ({"sky": "blue"}, {"sky": 7}):
        event_types.check(Event("weather", datetime.now(timezone.utc), payload, uuid4()))
        print("accepted")
except HeadspaceError as error:
    print(type(error).__name__, error)
"""


def test_the_built_in_types() -> None:
    assert [kind.name for kind in installed_types()][:5] == [
        "session_registered", "session_ended", "turn_detected", "state_transition", "hook_received",
    ]  # fmt: skip


@pytest.mark.parametrize(("changes", "field"), [
    ({"type": "nonsense"}, "type"), ({"type": None}, "type"), ({"type": []}, "type"),
    ({"timestamp": datetime(2025, 6, 1)}, "timestamp"),
    ({"timestamp": None}, "timestamp"), ({"timestamp": "2025-06-01T12:00:00Z"}, "timestamp"),
    ({"payload": {}}, "payload.session_uuid"), ({"payload": None}, "payload"),
])  # fmt: skip
def test_an_invalid_event_names_the_field(changes: dict[str, Any], field: str) -> None:
    given: dict[str, Any] = {
        "type": "session_ended", "timestamp": NOW, "payload": PAYLOAD, "key": uuid4(), **changes,
    }  # fmt: skip
    with pytest.raises(EventInvalid) as caught:
        installed_types().check(Event(**given))
    assert caught.value.field == field


def install(directory: Path, entry: str) -> None:
    """A package as pip leaves it, with one entry point."""
    (directory / "sky.py").write_text(THIRD_PARTY)
    info = directory / "sky-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sky\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[claude_headspace.event_types]\n{entry}\n")


def ask(directory: Path) -> str:
    program = f"import sys; sys.path.insert(0, {str(directory)!r})\n{ASK}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_another_package_adds_a_type(tmp_path: Path) -> None:
    install(tmp_path, "weather = sky:Weather")
    assert ask(tmp_path).splitlines() == [
        "accepted",
        "EventInvalid payload.sky: must be a string, is int",
    ]


@pytest.mark.parametrize("entry", ["weather = sky:nothing", "turn_detected = sky:Weather"])
def test_what_cannot_be_added_is_named(tmp_path: Path, entry: str) -> None:
    install(tmp_path, entry)
    told = ask(tmp_path)
    assert told.startswith("HeadspaceError")
    assert entry.split(" = ")[0] in told
