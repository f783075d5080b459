"""Who is answered: by the token, by a cookie for a link, under our own name, from our own pages."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from supervised import free_port

from claude_headspace.errors import StateUnusable
from claude_headspace.health.status_file import WatcherStatus, status_path, write_status
from claude_headspace.supervision.history import history_path
from claude_headspace.web.access_token import TOKEN_FILE, new_link_code, redeem, token_of
from website import Website, website

BIN = Path(sys.executable).parent
OPEN = ("/health", "/health/live", "/health/ready", "/metrics")


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: object, schema_template: str
) -> Iterator[Website]:
    state = tmp_path_factory.mktemp("web") / "state"
    with (
        postgres_server.database(schema_template) as url,  # type: ignore[attr-defined]
        website(state, url, free_port()) as it,
    ):
        yield it


def command(site: Website, *arguments: str) -> str:
    settings = {
        "CLAUDE_HEADSPACE_CONFIG": "/dev/null",
        "CLAUDE_HEADSPACE__STATE__DIRECTORY": str(site.state),
        "CLAUDE_HEADSPACE__WEB__PORT": str(site.port),
    }
    return subprocess.run(
        [BIN / "claude-headspace", *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_while_a_backlog_is_read_pages_ask_less_often(site: Website) -> None:
    now = time.time()
    status = WatcherStatus(
        pid=os.getpid(), started_at=now, beat_at=now, state="capturing", backlog_bytes=5_000_000
    )
    path = status_path(site.state)
    write_status(path, status)
    assert b" data-busy" in site.get("/", Accept="text/html").body
    path.unlink()
    assert b" data-busy" not in site.get("/", Accept="text/html").body


def test_only_health_is_open_to_strangers(site: Website) -> None:
    for path in OPEN:
        assert site.get(path, Authorization="").status in (200, 503)
    for path in ("/api/events", "/api/events.csv", "/api/health", "/api/events/stream", "/", "/x"):
        answer = site.get(path, Authorization="")
        assert answer.status == 401, path
        assert "claude-headspace open" in answer.json["error"]["hint"]
    page = site.get("/", Authorization="", Accept="text/html")
    assert b"<h1>" in page.body
    assert page.status == 401


def test_strangers_learn_no_path_and_no_name(site: Website) -> None:
    told = site.get("/health", Authorization="").body + site.get("/metrics").body
    told += site.get("/health/ready", Authorization="").body
    for path in ("/", "/static/nothing", "/open"):
        told += site.get(path, Authorization="", Accept="text/html").body
    for private in (str(site.state), "/tmp", "headspace-", "PGSQL", ".sock"):  # noqa: S108
        assert private.encode() not in told
    known = site.get("/health").json
    assert any(str(site.state) in reason for reason in known["reasons"])


def test_the_token_of_the_command_is_taken_and_no_other(site: Website) -> None:
    token = command(site, "token")
    for scheme in ("Bearer", "bearer"):
        assert site.get("/api/events", Authorization=f"{scheme} {token}").status == 200
    for wrong in (f"Bearer {token}x", "Bearer ", f"Basic {token}", "Bearer \xe4"):
        assert site.get("/api/events", Authorization=wrong).status == 401
    assert stat.S_IMODE((site.state / TOKEN_FILE).stat().st_mode) == 0o600


def test_a_link_works_once_and_gives_a_cookie(site: Website) -> None:
    link = command(site, "open", "--print")
    path = link.removeprefix(f"http://127.0.0.1:{site.port}")
    answer = site.get(path, Authorization="")
    assert answer.status == 200
    cookie = {name.lower(): value for name, value in answer.headers.items()}["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    pair = f"other=a b {{}}; {cookie.split(';')[0]}"
    assert site.get("/api/events", Authorization="", Cookie=pair).status == 200
    assert token_of(site.state) not in cookie
    assert site.get(path, Authorization="").status == 403
    assert site.get("/open?code=", Authorization="").status == 403


def test_a_new_token_ends_the_old_one_and_its_cookies(site: Website) -> None:
    old = token_of(site.state)
    code = new_link_code(site.state)
    assert "set-cookie" not in site.get(f"/open?code={code}", "HEAD", Authorization="").headers
    given = site.get(f"/open?code={code}", Authorization="").headers["set-cookie"].split(";")[0]
    assert site.get("/api/events", Authorization="", Cookie=given).status == 200
    assert command(site, "token", "--new") == token_of(site.state) != old
    assert site.get("/api/events", Authorization=f"Bearer {old}").status == 401
    assert site.get("/api/events", Authorization="", Cookie=given).status == 401
    assert site.get("/api/events").status == 200


def test_foreign_names_and_pages_are_refused(site: Website) -> None:
    assert site.get("/api/events", Host=f"evil.example:{site.port}").status == 403
    assert site.get("/health", Host="evil.example").status == 403
    for origin in ("http://evil.example", f"http://127.0.0.1:{site.port + 1}", "null"):
        for path in ("/api/events", "/api/events/stream", "/health"):
            assert site.get(path, Origin=origin).status == 403, (origin, path)
    own = f"http://127.0.0.1:{site.port}"
    assert site.get("/api/events", Origin=own).status == 200


def test_nothing_is_changed_by_a_request(site: Website) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for path in ("/api/events", "/api/events/stream", "/open?code=x"):
            answer = site.get(path, method)
            assert answer.status == 405, (method, path)
            assert "GET" in {name.lower(): text for name, text in answer.headers.items()}["allow"]


@pytest.mark.parametrize("path", ["/health", "/api/events", "/api/nothing", "/open", "/"])
def test_every_answer_has_the_headers(site: Website, path: str) -> None:
    headers = {name.lower(): text for name, text in site.get(path).headers.items()}
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


def test_a_token_that_others_can_read_is_none(tmp_path: Path) -> None:
    first = token_of(tmp_path)
    assert token_of(tmp_path) == first
    (tmp_path / TOKEN_FILE).write_bytes(b"\xff")
    with pytest.raises(StateUnusable, match="is damaged: remove it"):
        token_of(tmp_path)
    (tmp_path / TOKEN_FILE).chmod(0o644)
    with pytest.raises(StateUnusable, match="is readable by others"):
        token_of(tmp_path)


def test_a_link_is_good_for_an_hour(tmp_path: Path) -> None:
    code, old = new_link_code(tmp_path), new_link_code(tmp_path)
    files = list((tmp_path / "web-links").iterdir())
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    assert code not in json.dumps([path.name for path in files])
    for path in files:
        os.utime(path, (0, 0))
    assert not redeem(tmp_path, old)
    assert not redeem(tmp_path, "../" + TOKEN_FILE)
    fresh = new_link_code(tmp_path)
    assert not redeem(tmp_path, code)
    assert redeem(tmp_path, fresh)
    assert not redeem(tmp_path, fresh)


def test_files_that_cannot_be_read_cost_the_page_alone(site: Website) -> None:
    history_path(site.state).mkdir()
    (site.state / TOKEN_FILE).chmod(0o644)
    try:
        assert site.get("/api/events", Authorization="Bearer x").status == 503
        for path in ("/health/live", "/metrics"):
            assert site.get(path, Authorization="").status == 200
    finally:
        history_path(site.state).rmdir()
        (site.state / TOKEN_FILE).chmod(0o600)
