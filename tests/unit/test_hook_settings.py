from __future__ import annotations

import copy
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st

from claude_headspace.errors import HookSettingsError
from claude_headspace.hooks.entries import (
    EVENT_SINCE,
    Configured,
    HookCommand,
    Version,
    add,
    command_of,
    configured,
    events_for,
    remove,
)

OURS = HookCommand(Path("/a b/bin/python"), Path("/state of it/var/inbox"))
OTHER = HookCommand(Path("/other/python"), Path("/other/inbox"))
NEW: Version = (2, 1, 240)
OLD: Version = (1, 0, 90)
ALL = tuple(EVENT_SINCE)

foreign_handlers = st.fixed_dictionaries(
    {"type": st.just("command"), "command": st.sampled_from(["say hi", "a 'b", "", "/x/y z"])},
    optional={"timeout": st.integers(1, 60), "args": st.lists(st.text(max_size=5), max_size=2)},
)
groups = st.fixed_dictionaries(
    {"hooks": st.lists(foreign_handlers, min_size=1, max_size=3)},
    optional={"matcher": st.sampled_from(["", "*", "Bash|Edit"])},
)
events = st.sampled_from(["Stop", "SessionStart", "PreToolUse", "FromTheFuture"])
foreign_settings = st.fixed_dictionaries(
    {},
    optional={
        "model": st.text(max_size=8),
        "permissions": st.dictionaries(st.text(max_size=5), st.lists(st.integers()), max_size=3),
        "hooks": st.dictionaries(events, st.lists(groups, min_size=1, max_size=3), min_size=1),
    },
)
versions = st.sampled_from([NEW, OLD, None])


def in_the_earlier_form(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as the version before would have written our entries: a command and `args`."""
    changed: dict[str, Any] = json.loads(json.dumps(settings))
    for groups in changed.get("hooks", {}).values():
        for handler in (handler for group in groups for handler in group["hooks"]):
            if command_of(handler) is not None:
                handler["command"], *handler["args"] = shlex.split(handler["command"])
    return changed


@trying(deadline=None)
@given(foreign_settings, versions)
def test_remove_undoes_add_exactly(settings: dict[str, Any], version: Version | None) -> None:
    before = copy.deepcopy(settings)
    added = add(settings, events_for(version), OURS)
    assert remove(added, OURS.inbox) == before
    assert settings == before


@trying(deadline=None)
@given(foreign_settings, versions)
def test_adding_twice_is_adding_once(settings: dict[str, Any], version: Version | None) -> None:
    once = add(settings, events_for(version), OURS)
    assert json.dumps(add(once, events_for(version), OURS)) == json.dumps(once)


@trying(deadline=None)
@given(foreign_settings, versions, versions)
def test_every_event_has_our_entry_once_whatever_stood_before(
    settings: dict[str, Any], first: Version | None, second: Version | None
) -> None:
    stale = HookCommand(Path("/gone/python"), OURS.inbox)
    before = add(settings, (*events_for(first), "PreCompact"), stale)
    updated = add(before, events_for(second), OURS)
    assert sorted(one.event for one in configured(updated)) == sorted(events_for(second))
    assert {one.command for one in configured(updated)} == {OURS}
    assert remove(updated, OURS.inbox) == settings


@trying(deadline=None)
@given(foreign_settings)
def test_two_instances_do_not_touch_each_other(settings: dict[str, Any]) -> None:
    both = add(add(settings, ALL, OURS), ALL, OTHER)
    assert {one.command for one in configured(both)} == {OURS, OTHER}
    assert remove(both, OURS.inbox) == add(settings, ALL, OTHER)
    assert remove(both, None) == settings


@trying(deadline=None)
@given(foreign_settings, versions)
def test_dangerous_entries_become_what_would_be_installed(
    settings: dict[str, Any], version: Version | None
) -> None:
    """Also those at events that are no longer asked for, and those of other instances."""
    events = events_for(version)
    both = add(add(settings, (*events, "PreCompact"), OURS), ("Stop",), OTHER)
    old = in_the_earlier_form(both)
    dangerous = [(one.event, one.command) for one in configured(old) if one.dangerous]
    assert dangerous == [(one.event, one.command) for one in configured(both)]
    updated = add(old, events, OURS)
    assert not any(one.dangerous for one in configured(updated))
    assert updated == add(both, events, OURS)
    assert remove(remove(old, OURS.inbox), OTHER.inbox) == settings


def test_an_entry_moved_under_a_matcher_by_its_owner_stays_there() -> None:
    settings = add({}, ("SessionStart",), OURS)
    settings["hooks"]["SessionStart"][0]["matcher"] = "startup"
    assert add(settings, ("SessionStart",), OURS) == settings


def test_a_dangerous_entry_is_rewritten_where_its_owner_moved_it() -> None:
    settings = add({}, ("SessionStart",), OURS)
    settings["hooks"]["SessionStart"][0]["matcher"] = "startup"
    assert add(in_the_earlier_form(settings), ("SessionStart",), OURS) == settings


def test_the_entry_is_one_shell_string_and_nothing_beside_it() -> None:
    handler = OURS.handler()
    assert handler == {"type": "command", "command": shlex.join(OURS.argv()), "timeout": 5}
    assert command_of(handler) == OURS


BASIC = {"Stop", "SubagentStop", "Notification", "UserPromptSubmit", "SessionStart", "SessionEnd"}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (None, BASIC),
        ((1, 0, 41), {"Stop", "SubagentStop", "Notification"}),
        ((1, 0, 84), BASIC - {"SessionEnd"}),
        ((1, 0, 85), BASIC),
        ((2, 0, 76), BASIC),
        ((2, 1, 77), BASIC),
        ((2, 1, 78), BASIC | {"StopFailure"}),
        ((2, 1, 332), BASIC | {"StopFailure"}),
    ],
)
def test_only_events_that_the_version_knows(version: Version | None, expected: set[str]) -> None:
    assert set(events_for(version)) == expected


def test_events_that_change_what_claude_code_does_are_never_asked_for() -> None:
    assert not set(ALL) & {"WorktreeCreate", "MessageDisplay", "PreToolUse", "PreCompact"}


@pytest.mark.parametrize("settings", [{"hooks": []}, {"hooks": {"Stop": {}}}, {"hooks": None}])
def test_settings_of_the_wrong_shape_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(HookSettingsError, match="hooks"):
        add(settings, ("Stop",), OURS)


@pytest.mark.parametrize(
    "hooks",
    [[], None, {"Stop": {}}, {"Stop": [1, {"hooks": 3}, {"hooks": [7, {"command": 1}]}]}],
)
def test_what_is_not_ours_is_left_even_if_it_is_wrong(hooks: Any) -> None:
    assert remove({"hooks": hooks}, None) == {"hooks": hooks}
    assert configured({"hooks": hooks}) == []


@pytest.mark.parametrize(
    "command",
    [
        "python -m claude_headspace.hooks.command",
        "claude_headspace.hooks.command --inbox /x",
        "echo claude_headspace.hooks.command --inbox",
        "grep 'claude_headspace.hooks.command --inbox /x",
    ],
)
def test_a_command_that_only_looks_like_ours_is_not(command: str) -> None:
    assert command_of({"type": "command", "command": command}) is None


def test_what_is_configured_is_found() -> None:
    settings = add({}, ("Stop",), OURS)
    assert configured(settings) == [Configured("Stop", OURS)]
