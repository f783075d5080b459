"""Which changes of health are told, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from claude_headspace.health.verdict import Health, Verdict
from claude_headspace.supervision.alerts import AlertKind, Alerts, HealthWatch


class Told(Alerts):
    """Alerts that are only remembered."""

    def __init__(self) -> None:
        super().__init__(())
        self.kinds: list[str] = []

    def raise_alert(self, kind: AlertKind, reason: str, session: str = "") -> None:
        self.kinds.append(f"{kind}: {reason}{session}")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def watch(tmp_path: Path, told: Told) -> HealthWatch:
    return HealthWatch(tmp_path / "alert-state", told)


def look(watch: HealthWatch, *seen: Health) -> None:
    for status in seen:
        watch.see(Verdict(status, () if status == "healthy" else ("why",), (), {}))


def test_one_look_at_trouble_is_no_alert(watch: HealthWatch, told: Told) -> None:
    for _ in range(5):
        look(watch, "healthy", "degraded")
    look(watch, "healthy", "healthy")
    assert told.kinds == []


def test_the_second_look_is_one_and_only_one(watch: HealthWatch, told: Told) -> None:
    look(watch, "degraded", "degraded", "degraded", "down")
    assert told.kinds == ["degraded: why"]
    look(watch, "healthy")
    assert told.kinds == ["degraded: why"]
    look(watch, "healthy", "healthy")
    assert told.kinds == ["degraded: why", "recovered: the watcher is healthy again"]


def test_giving_up_is_told_at_once_and_not_again_at_every_try(
    watch: HealthWatch, told: Told
) -> None:
    watch.gave_up("crash loop")
    assert told.kinds == ["gave up: crash loop"]
    look(watch, "degraded", "degraded", "healthy", "degraded")
    watch.gave_up("crash loop: tried again")
    assert told.kinds == ["gave up: crash loop"]
    look(watch, "healthy", "healthy")
    watch.gave_up("crash loop")
    assert told.kinds[1:] == ["recovered: the watcher is healthy again", "gave up: crash loop"]


def test_what_was_told_outlives_the_listener(tmp_path: Path, told: Told) -> None:
    look(HealthWatch(tmp_path / "alert-state", told), "degraded", "degraded")
    look(HealthWatch(tmp_path / "alert-state", told), "degraded", "degraded")
    assert told.kinds == ["degraded: why"]
    look(HealthWatch(tmp_path / "alert-state", told), "healthy", "healthy")
    look(HealthWatch(tmp_path / "alert-state", told), "healthy", "healthy")
    assert len(told.kinds) == 2


def test_an_alert_needs_no_disk(tmp_path: Path, told: Told) -> None:
    watch = HealthWatch(tmp_path / "nowhere" / "alert-state", told)
    watch.gave_up("crash loop")
    look(watch, "healthy", "healthy")
    assert len(told.kinds) == 2
