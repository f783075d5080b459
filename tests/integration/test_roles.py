"""Everything under the role that is meant for it, over TLS, with certificates on both sides."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from benchmarks.page import free_port
from claude_headspace.cli.program import run
from claude_headspace.errors import BadQuestion, HeadspaceError
from claude_headspace.health.database import ping
from claude_headspace.store import migrations
from claude_headspace.store.connection import Database
from claude_headspace.store.engine import make_engine, reading
from claude_headspace.store.grants import grants
from claude_headspace.store.opener import open_on
from claude_headspace.store.version import SCHEMA_VERSION
from commanded import Commands
from faults.machine import query
from harness import HOST, Log, Projects, Watcher, assert_exactly_captured, wait_until
from secured import SPEAKS_TLS, Secured, secured
from website import website

PAGE = Path(__file__).resolve().parents[2] / "docs" / "servers.md"
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
SHOWING = (
    "sessions", "events --limit 3", "today", "usage", "tools",
    "hosts", "rejected", "export sessions", "show {session}",
)  # fmt: skip
# What each writes first; the others of a writer may find nothing to change.
REFUSED = (
    "register {session}", "unregister {session}", "forget {session} --yes",
    "rejected dismiss --all",
)  # fmt: skip
CHANGING = (
    *REFUSED[:2], "redact --existing", "rebuild", "rejected dismiss --all",
    "verify --repair --yes", "migrate --no-wait", "verify", REFUSED[2],
)  # fmt: skip


@pytest.fixture(scope="module")
def fleet() -> Iterator[Secured]:
    with secured() as it:
        yield it


@pytest.fixture(scope="module")
def said(fleet: Secured, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Projects]:
    """A session that a watcher wrote with the writer's rights."""
    tmp_path = tmp_path_factory.mktemp("machine")
    projects = Projects(tmp_path / "projects")
    projects.fill(sessions=1, turns=3)
    log = Log(fleet.maintenance)
    with Watcher(tmp_path, fleet.url("laptop"), projects.root).running():
        assert_exactly_captured(projects, log)
        wait_until(lambda: log.value("SELECT count(*) FROM archive_pieces"), "the archive")
        assert log.rows(
            "SELECT DISTINCT usename, ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
            " WHERE application_name LIKE 'claude-headspace%%'", (None,)
        ) == [("laptop", SPEAKS_TLS)]  # fmt: skip
    return str(log.value("SELECT min(session_uuid::text) FROM events")), projects


def commands(fleet: Secured, directory: Path, projects: Projects, **urls: str) -> Commands:
    settings = {f"CLAUDE_HEADSPACE__DATABASE__{name.upper()}": at for name, at in urls.items()}
    return Commands(fleet.maintenance, directory, {
        "CLAUDE_HEADSPACE_CONFIG": "/dev/null", "DATABASE_URL": "",
        "CLAUDE_HEADSPACE__STATE__DIRECTORY": str(directory / "state"),
        "CLAUDE_HEADSPACE__CLAUDE__PROJECTS_PATH": str(projects.root), **settings,
    })  # fmt: skip


def rights(fleet: Secured, group: str) -> dict[str, str]:
    rows = query(
        fleet.maintenance,
        "SELECT relname::text, string_agg(p, ', ' ORDER BY number) FILTER (WHERE"
        " has_table_privilege(%s, oid, p)) FROM pg_class,"
        " unnest(%s::text[]) WITH ORDINALITY AS all_of (p, number)"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') GROUP BY 1",
        (f"claude_headspace_{group}", list(PRIVILEGES)),
    )
    return dict(rows)


def test_each_role_has_what_the_document_says(fleet: Secured) -> None:
    told: dict[str, tuple[str, str]] = {}
    for row in PAGE.read_text().partition("## Roles")[2].partition("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            told |= dict.fromkeys(re.findall(r"`(\w+)`", cells[0]), (cells[2], cells[3]))
    found = {group: rights(fleet, group) for group in ("owner", "writer", "reader")}
    views = {row[0] for row in query(fleet.maintenance, "SELECT viewname FROM pg_views"
                                     " WHERE schemaname = 'public'")}  # fmt: skip
    assert told.keys() | views == found["writer"].keys()
    for table, (writer, reader) in {**dict.fromkeys(views, ("SELECT", "SELECT")), **told}.items():
        assert (found["writer"][table], found["reader"][table]) == (writer, reader), table
    assert set(found["owner"].values()) == {", ".join(PRIVILEGES)}
    for role in ("laptop", "page"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            query(fleet.url(role), "CREATE TABLE mine ()")


def test_what_only_reads_works_as_the_reader_and_what_changes_is_refused(
    fleet: Secured, said: tuple[str, Projects], tmp_path: Path
) -> None:
    session, projects = said
    page = commands(fleet, tmp_path, projects, url=fleet.url("page"))
    held = "SELECT count(*), min(xmin::text), max(xmin::text) FROM events"
    before = query(fleet.maintenance, held)
    for words in SHOWING:
        ended = page.run(*words.format(session=session).split())
        assert (ended.status, ended.err) == (0, ""), words
    query(fleet.maintenance, "UPDATE alembic_version SET version_num = '0009'")
    try:
        assert page.run("migrate", "--no-wait").status == 69
    finally:
        query(fleet.maintenance, "UPDATE alembic_version SET version_num = %s",
              (SCHEMA_VERSION,))  # fmt: skip
    for words in REFUSED:
        ended = page.run(*words.format(session=session).split())
        assert ended.status == 69, (words, ended)
        assert "lacks the privilege for this: permission denied for" in ended.err, words
        assert "see `claude-headspace grants`" in ended.err, words
    assert query(fleet.maintenance, held) == before


def test_the_page_asks_as_the_reader_and_keeps_the_index_as_the_writer(
    fleet: Secured, said: tuple[str, Projects], tmp_path: Path
) -> None:
    session, _ = said
    who = (
        "SELECT DISTINCT application_name, usename FROM pg_stat_activity"
        " WHERE application_name LIKE 'claude-headspace%'"
    )
    urls = {"DATABASE__READER_URL": fleet.url("page")}
    with website(tmp_path / "page", fleet.url("laptop"), free_port(), **urls) as site:
        for path in ("/", "/sessions", f"/sessions/{session}", "/events", "/activity", "/status",
                     "/api/sessions", "/api/events", "/api/search?q=question"):  # fmt: skip
            assert site.get(path).status == 200, path
        assert b"Machines" in site.get("/status").body
        assert f'/sessions?host={HOST}">{HOST}</a>'.encode() in site.get("/status").body
        stream = site.stream(f"?after=0&host={HOST}")
        assert stream.next()[1]["session"] == session
        wait_until(lambda: query(fleet.maintenance, "SELECT 1 FROM search_parts"), "the index")
        assert set(query(fleet.maintenance, who)) == {
            ("claude-headspace read", "page"), ("claude-headspace stream", "page"),
            ("claude-headspace search", "laptop"),
        }  # fmt: skip


def test_a_member_of_the_owner_migrates_and_what_is_new_is_the_owners(fleet: Secured) -> None:
    engine = make_engine(fleet.maintenance)
    with engine.begin() as opened:
        from alembic import command

        command.downgrade(migrations.alembic_config(opened), "0009")
    engine.dispose()
    for role in ("page", "laptop"):
        with pytest.raises(Exception, match=r"permission denied"):
            migrations.upgrade(fleet.url(role))
    migrations.upgrade(fleet.url("admin"))
    assert query(
        fleet.maintenance, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    ) == [("claude_headspace_owner",)]
    assert rights(fleet, "writer")["forwarders"] == "SELECT, INSERT, UPDATE, DELETE"
    for _ in range(2):
        assert run(["grants", "--apply", "--database", fleet.maintenance]) == 0
    assert rights(fleet, "writer")["forwarders"] == "SELECT, INSERT, UPDATE"
    migrations.upgrade(fleet.url("laptop"))


def connect(url: str) -> None:
    database = Database(lambda: url, application_name="test", patience=None)
    try:
        database.connect()
    finally:
        database.close()


def ask(url: str) -> None:
    with reading(url):
        pass


WAYS: tuple[Callable[[str], Any], ...] = (connect, ask, open_on, lambda url: ping(url, 5.0))


@pytest.mark.skipif(not SPEAKS_TLS, reason="no openssl, or no server that speaks TLS")
@pytest.mark.parametrize("way", WAYS, ids=["watcher", "commands", "plain", "probe"])
def test_neither_side_takes_the_other_without_its_certificate(
    fleet: Secured, way: Callable[[str], Any]
) -> None:
    way(fleet.url("laptop"))
    folder = fleet.certificates
    for told, url in {
        r'certificate for "localhost" .* does not match host name "127.0.0.1"': fleet.url(
            "laptop", "127.0.0.1"
        ),
        r"certificate verify failed": fleet.url("laptop", sslrootcert=f"{folder}/page.crt"),
        r"requires a valid client certificate|certificate required": fleet.url(
            "laptop", sslcert="/nowhere.crt", sslkey="/nowhere.key"
        ),
        r'certificate authentication failed for user "laptop"': fleet.url(
            "laptop", sslcert=f"{folder}/page.crt", sslkey=f"{folder}/page.key"
        ),
        r"no encryption": fleet.url("laptop", sslmode="disable"),
    }.items():
        with pytest.raises((HeadspaceError, psycopg2.Error), match=told):
            way(url)


@pytest.mark.parametrize("name", ["Laptops", "a b", 'x"; DROP TABLE events; --', "", "a" * 64])
def test_odd_names_of_roles_are_refused(name: str) -> None:
    with pytest.raises(BadQuestion, match="not a plain name"):
        grants(writer=name, schema="public")


def test_a_writer_changes_what_its_commands_change(
    fleet: Secured, said: tuple[str, Projects], tmp_path: Path
) -> None:
    session, projects = said
    laptop = commands(fleet, tmp_path, projects, url=fleet.url("laptop"))
    for words in CHANGING:
        ended = laptop.run(*words.format(session=session).split())
        assert (ended.status, ended.err.count("claude-headspace")) == (0, 0), (words, ended)
    assert Log(fleet.maintenance).count("turn_detected") == 0
