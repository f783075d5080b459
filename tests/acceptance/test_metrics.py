"""What `/metrics` says of a real watcher."""

from __future__ import annotations

from datetime import UTC, datetime

from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

import lines
from claude_headspace.config import load_config
from claude_headspace.read.connection import ReadPool
from claude_headspace.web.app import create_app
from harness import Log, Projects, Watcher, wait_until
from lines import new_session


def scraped(web: FlaskClient) -> dict[str, float]:
    """Every sample by its name and labels."""
    text = web.get("/metrics").get_data(as_text=True)
    return {
        "".join([sample.name.removeprefix("headspace_"), *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def reaches(web: FlaskClient, name: str, value: float) -> dict[str, float]:
    """The scrape in which this sample has this value."""

    def look() -> dict[str, float]:
        found = scraped(web)
        return found if found[name] == value else {}

    found: dict[str, float] = wait_until(look, f"{name} {value}")
    return found


def test_a_live_line_has_a_lag_and_history_has_none(
    projects: Projects, watcher: Watcher, log: Log
) -> None:
    session = new_session()
    path = projects.say(session, "long ago", "and a second later")
    projects.append(path, b"no JSON at all\n")
    with watcher.running():
        config = load_config(watcher.environment())
        web = create_app(config, ReadPool(lambda: log.url)).test_client()
        history = reaches(web, "events_written_totalturn_detected", 2)
        assert history["event_lag_seconds_count"] == 0
        assert history["write_duration_seconds_count"] >= 1
        assert history["events_written_totalsession_registered"] == 1
        reaches(web, "events_rejected_totaldamaged", 1)
        (watcher.state / "inbox" / "new" / "1-damaged.json").write_bytes(b"no JSON either")
        reaches(web, "events_rejected_totaldamaged", 2)
        now = lines.instant(0, datetime.now(UTC))
        projects.append(path, lines.joined(lines.user(session, "now", timestamp=now)))
        live = reaches(web, "events_written_totalturn_detected", 3)
        assert live["event_lag_seconds_count"] == 1
        assert live["event_lag_seconds_bucket+Inf"] == 1
        assert 0 < live["event_lag_seconds_sum"] < 60
        assert web.get("/health").get_json()["checks"]["watcher"]["lag_p95_seconds"] is not None
