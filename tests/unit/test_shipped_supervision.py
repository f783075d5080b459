"""The guard rests on some settings of the shipped supervisord.conf."""

from __future__ import annotations

from configparser import RawConfigParser
from importlib import import_module
from pathlib import Path

import pytest

from claude_headspace.migrate import INTERNAL_ERROR

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shipped() -> RawConfigParser:
    parser = RawConfigParser()
    parser.read(ROOT / "supervisord.conf", "utf-8")
    return parser


def test_what_the_enforcer_counts_on(shipped: RawConfigParser) -> None:
    watcher = shipped["program:watcher"]
    assert watcher["autorestart"] == "true"
    assert int(watcher["startsecs"]) == 2
    module, _, name = shipped["rpcinterface:guard"]["supervisor.rpcinterface_factory"].partition(
        ":"
    )
    assert callable(getattr(import_module(module), name))


def test_what_the_listener_counts_on(shipped: RawConfigParser) -> None:
    guard = shipped["eventlistener:guard"]
    assert set(guard["events"].split(",")) == {
        "PROCESS_STATE",
        "REMOTE_COMMUNICATION",
        "TICK_5",
    }
    assert int(guard["buffer_size"]) >= 500
    assert (guard["autorestart"], guard["exitcodes"]) == ("unexpected", "78")
    assert "redirect_stderr" not in guard


def test_postgres_is_first_up_and_last_down(shipped: RawConfigParser) -> None:
    order = {
        name: int(shipped[f"program:{name}"]["priority"]) for name in ("postgres", "watcher", "web")
    }
    assert order["postgres"] < order["watcher"] < order["web"]


def test_whatever_migrate_ends_with_it_is_not_started_again_at_once(
    shipped: RawConfigParser,
) -> None:
    committed = {int(status) for status in shipped["program:migrate"]["exitcodes"].split(",")}
    ended_by_python, unavailable, bad_configuration = 1, 69, 78
    assert committed >= {0, ended_by_python, unavailable, INTERNAL_ERROR, bad_configuration}
