from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg2
import pytest

from claude_headspace.embedded import location
from claude_headspace.supervision.control import Supervisor, SupervisorUnavailable
from servers import remove_state, temporary_state

ROOT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 60.0
pytestmark = pytest.mark.timeout(300)


@dataclass
class Project:
    """A copy of what the project's folder holds, with an environment that is there already."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        named = self.environ.get("CLAUDE_HEADSPACE__STATE__DIRECTORY")
        return Path(named) if named else self.root / "var"

    @property
    def port(self) -> int:
        return int(self.environ["CLAUDE_HEADSPACE__WEB__PORT"])

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(str(location.supervisor_socket(self.state)), limit_seconds=10)

    def command(self, *arguments: str) -> list[str]:
        return [f"{self.root}/.venv/bin/python", "-I", "-m", "claude_headspace.cli", *arguments]

    def launch(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env={**os.environ, **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
            timeout=WAIT_SECONDS * 2,
        )

    def program(self, name: str) -> dict[str, Any]:
        info: dict[str, Any] = self.supervisor.call("supervisor.getProcessInfo", name)
        return info

    def pids(self) -> list[int]:
        running = self.supervisor.call("supervisor.getAllProcessInfo")
        own = self.supervisor.call("supervisor.getPID")
        return [own, *(info["pid"] for info in running if info["pid"])]

    def log(self, name: str) -> str:
        return (self.state / "log" / f"{name}.log").read_text()


@pytest.fixture
def project() -> Iterator[Project]:
    with temporary_state() as state:
        copy = Project(state.parent, {"CLAUDE_HEADSPACE__WEB__PORT": str(free_port())})
        for name in ("config.yaml", "supervisord.conf"):
            shutil.copy(ROOT / name, copy.root)
        shutil.copytree(ROOT / "deploy", copy.root / "deploy")
        (copy.root / ".venv").symlink_to(sys.prefix)
        (copy.root / "projects").mkdir()
        copy.environ["CLAUDE_HEADSPACE__CLAUDE__PROJECTS_PATH"] = str(copy.root / "projects")
        try:
            yield copy
        finally:
            copy.launch("down")
            if copy.state != state and copy.state.exists():
                remove_state(copy.state)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return found


def gone(pids: list[int]) -> bool:
    return not any(map(alive, pids))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_in_the_background(project: Project) -> None:
    first = project.launch("up", "--detach")
    assert first.returncode == 0, first.stdout
    assert "is capturing" in first.stdout
    assert str(project.root / "projects") in first.stdout
    assert str(project.state / "log") in first.stdout
    pids = project.pids()

    second = project.launch("up", "--detach")
    assert second.returncode == 0
    assert f"is already running (process {pids[0]})" in second.stdout
    assert project.pids()[0] == pids[0]

    stopped = project.launch("down")
    assert (stopped.returncode, stopped.stdout) == (0, "Claude Headspace has stopped.\n")
    assert gone(pids)
    again = project.launch("down")
    assert (again.returncode, again.stdout) == (0, "Claude Headspace is not running.\n")


def test_in_the_foreground_until_interrupted(project: Project) -> None:
    with foreground(project) as process:
        assert process.stdout
        lines = iter(partial(wait_for, process.stdout.readline), "  stop it      Ctrl-C\n")
        said = "".join(lines)
        assert said.startswith("Preparing the embedded Postgres.\n")
        assert "Claude Headspace is capturing" in said
        pids = project.pids()
        assert process.pid == pids[0]
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(WAIT_SECONDS) == 0
        assert gone(pids)


@contextmanager
def foreground(project: Project) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        project.command("up"),
        env={**os.environ, **project.environ},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)


def test_supervisord_alone_with_its_own_tools(project: Project) -> None:
    (project.state / "log").mkdir(parents=True)
    project.state.chmod(0o711)
    subprocess.run(
        [project.root / ".venv/bin/supervisord", "-c", "supervisord.conf"],
        cwd=project.root,
        env={**os.environ, **project.environ},
        check=True,
    )
    wait_for(lambda: project.program("migrate")["statename"] == "EXITED")
    status = subprocess.run(
        [project.root / ".venv/bin/supervisorctl", "-c", "supervisord.conf", "status", "watcher"],
        cwd=project.root,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert "RUNNING" in status.stdout or "STARTING" in status.stdout
    assert project.program("migrate")["exitstatus"] == 0


def test_another_state_directory_has_a_configuration_of_its_own(project: Project) -> None:
    state = project.root / "other place" / ("long" * 25)
    project.environ["CLAUDE_HEADSPACE__STATE__DIRECTORY"] = str(state)
    started = project.launch("up", "--detach")
    assert started.returncode == 0, started.stdout
    assert (state / "supervisord.conf").exists()
    assert not (project.root / "var").exists()


def test_what_it_writes_is_its_owners_alone(project: Project) -> None:
    assert project.launch("up", "--detach").returncode == 0
    open_to_others = [
        str(path.relative_to(project.state))
        for path in project.state.rglob("*")
        if path.lstat().st_mode & 0o066 and not path.is_symlink()
    ]
    assert open_to_others == []


def test_a_postgres_that_ends_is_started_again(project: Project) -> None:
    assert project.launch("up", "--detach").returncode == 0
    for number in (signal.SIGKILL, signal.SIGINT):
        pid = project.program("postgres")["pid"]
        os.kill(pid, number)
        wait_for_another(project, "postgres", pid)
    record = location.server_record(project.state)
    assert record is not None
    wait_for(lambda: row(record.url, "SELECT count(*) FROM events"))


def wait_for_another(project: Project, name: str, pid: int) -> None:
    wait_for(lambda: project.program(name)["pid"] not in (0, pid))


def row(url: str, statement: str) -> Any:
    try:
        connection = psycopg2.connect(url)
    except psycopg2.OperationalError:
        return None
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()
    finally:
        connection.close()


def test_a_configured_database_is_used_and_none_of_our_own(
    project: Project, empty_database_url: str
) -> None:
    project.environ["DATABASE_URL"] = empty_database_url
    started = project.launch("up", "--detach")
    assert started.returncode == 0, started.stdout
    assert empty_database_url in started.stdout
    assert project.program("postgres")["statename"] == "EXITED"
    assert row(empty_database_url, "SELECT count(*) FROM events") is not None
    assert not (project.state / "postgres").exists()
    project.launch("down")


def test_bad_configuration_starts_nothing(project: Project) -> None:
    project.environ |= {
        "CLAUDE_HEADSPACE__WEB__PORT": "high",
        "CLAUDE_HEADSPACE__LOGGING__LEVEL": "loud",
    }
    refused = project.launch("up")
    assert refused.returncode == 78
    assert "web.port: must be a whole number" in refused.stdout
    assert "logging.level: must be one of" in refused.stdout
    assert not project.state.exists()
    with pytest.raises(SupervisorUnavailable):
        project.pids()


def test_a_killed_supervisord_leaves_no_obstacle(project: Project) -> None:
    assert project.launch("up", "--detach").returncode == 0
    before = project.pids()
    os.kill(before[0], signal.SIGKILL)
    started = project.launch("up", "--detach")
    assert started.returncode == 0, started.stdout
    wait_for(lambda: gone(before))


@pytest.mark.long
def test_stop_names_the_web_application_of_a_killed_supervisord(project: Project) -> None:
    assert project.launch("up", "--detach").returncode == 0
    web = project.program("web")["pid"]
    os.kill(project.pids()[0], signal.SIGKILL)
    told = project.launch("down")
    assert told.returncode == 1
    assert f"kill {web}" in told.stdout
    os.kill(web, signal.SIGTERM)
    wait_for(lambda: project.launch("down").returncode == 0)


def test_a_port_that_is_taken_is_said_before_anything_starts(project: Project) -> None:
    with socket.create_server(("127.0.0.1", project.port)):
        refused = project.launch("up", "--detach")
    assert refused.returncode == 1
    assert refused.stdout.startswith(
        "claude-headspace: the web application cannot listen on 127.0.0.1 port"
    )
    assert refused.stdout.count("\n") == 1
    assert not project.state.exists()


def test_success_means_that_health_answers_for_this_instance(project: Project) -> None:
    assert project.launch("up", "--detach").returncode == 0
    with urlopen(f"http://127.0.0.1:{project.port}/health", timeout=5) as answer:
        instance = json.load(answer)["instance"]
    assert instance == {
        "state": location.state_key(project.state),
        "pid": project.program("web")["pid"],
    }


def test_without_health_there_is_no_success(project: Project) -> None:
    conf = project.root / "supervisord.conf"
    web = '"%(here)s/.venv/bin/python" -I -m claude_headspace.web\npriority=400\n'
    before, _, after = conf.read_text().partition(web)
    assert after
    after = after.replace("startretries=10", "startretries=0")
    conf.write_text(f"{before}/bin/false\n{after}")
    told = project.launch("up", "--detach")
    assert told.returncode == 1
    assert f"http://127.0.0.1:{project.port}/health does not answer: web is FATAL" in told.stdout


@pytest.mark.parametrize(
    "command", [["stop", "--now"], ["run", "--loud"], ["run", "--detach", "x"]]
)
def test_wrong_usage_does_nothing(project: Project, command: list[str]) -> None:
    program, *arguments = command
    done = subprocess.run(
        [project.root / "deploy" / program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 64
    assert done.stderr.startswith(f"usage: deploy/{program}")
    assert not project.state.exists()


@pytest.mark.long
def test_stop_where_ended_processes_stay_listed(project: Project) -> None:
    """As in a container whose first process takes no notice of what ends."""
    script = (
        "import ctypes, subprocess, sys\n"
        "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # adopts what is orphaned, and never looks\n"
        f"base = {project.command()!r}\n"
        "subprocess.run([*base, 'up', '--detach'], check=True)\n"
        "sys.exit(subprocess.run([*base, 'down']).returncode)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **project.environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_SECONDS - 10,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("Claude Headspace has stopped.\n")


@pytest.fixture
def swept(project: Project) -> Project:
    """An instance whose socket was in the temporary folder, where it no longer is."""
    state = project.root / ("long" * 25)
    project.environ["CLAUDE_HEADSPACE__STATE__DIRECTORY"] = str(state)
    assert project.launch("up", "--detach").returncode == 0
    shutil.rmtree(location.short_directory(state))
    return project


@pytest.mark.long
def test_no_second_instance_where_the_first_ones_socket_is_gone(swept: Project) -> None:
    postgres = server_process(swept)
    first = int((swept.state / "supervisord.pid").read_text())
    refused = swept.launch("up", "--detach")
    assert refused.returncode == 75, refused.stdout
    assert f"process {first}" in refused.stdout
    assert "run `claude-headspace down`" in refused.stdout
    location.short_directory(swept.state).mkdir(0o700)
    by_hand = subprocess.run(
        [swept.root / ".venv/bin/supervisord", "-c", swept.state / "supervisord.conf"],
        env={**os.environ, **swept.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert by_hand.returncode == 2
    assert f"a supervisord (process {first}) is using {swept.state}" in by_hand.stderr
    assert server_process(swept) == postgres

    stopped = swept.launch("down")
    assert (stopped.returncode, stopped.stdout) == (0, "Claude Headspace has stopped.\n")
    assert gone([first, postgres])
    assert swept.launch("up", "--detach").returncode == 0


def server_process(project: Project) -> int:
    record = location.server_record(project.state)
    assert record is not None
    return int((record.data / "postmaster.pid").read_text().splitlines()[0])


def supervisorctl(project: Project, *arguments: str) -> str:
    return subprocess.run(
        [project.root / ".venv/bin/supervisorctl", *arguments],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def test_supervisorctl_in_the_folder_reaches_the_configured_instance(project: Project) -> None:
    state = project.root / "elsewhere"
    config = project.root / "config.yaml"
    config.write_text(config.read_text().replace("directory: var", f"directory: {state}"))
    project.environ["CLAUDE_HEADSPACE_CONFIG"] = str(config)
    assert project.launch("up", "--detach").returncode == 0
    status = supervisorctl(project, "status", "watcher")
    assert "RUNNING" in status or "STARTING" in status
    told = supervisorctl(project, "help")
    assert ("start" in told, "error" in told) == (True, False)
    project.environ["CLAUDE_HEADSPACE__STATE__DIRECTORY"] = str(state)


@pytest.mark.parametrize("name", ["a #b", "a;b", "a%b", 'a"b'])
def test_a_state_directory_that_supervisord_cannot_read_is_refused(
    project: Project, name: str
) -> None:
    project.environ["CLAUDE_HEADSPACE__STATE__DIRECTORY"] = str(project.root / name)
    refused = project.launch("up", "--detach")
    assert refused.returncode == 1
    assert "set another state.directory" in refused.stdout
    assert refused.stdout.count("\n") == 1
    assert not project.state.exists()


@pytest.mark.long
def test_the_embedded_database_does_not_care_for_variables_of_libpq(project: Project) -> None:
    project.environ |= {
        "PGSERVICE": "elsewhere",
        "PGHOSTADDR": "192.0.2.1",
        "PGOPTIONS": "-c client_encoding=LATIN1",
        "PGCLIENTENCODING": "LATIN1",
        "PGTARGETSESSIONATTRS": "standby",
        "PGPASSFILE": "/nowhere",
        "PGSSLMODE": "verify-full",
    }
    started = project.launch("up", "--detach")
    assert started.returncode == 0, started.stdout
    with urlopen(f"http://127.0.0.1:{project.port}/health/ready", timeout=5) as answer:
        assert answer.status == 200


def test_a_state_directory_that_cannot_be_made_is_one_sentence(project: Project) -> None:
    (project.root / "file").touch()
    project.environ["CLAUDE_HEADSPACE__STATE__DIRECTORY"] = str(project.root / "file" / "state")
    refused = project.launch("up", "--detach")
    assert refused.returncode == 73
    assert refused.stdout.startswith("claude-headspace: the state directory cannot be used")
    assert refused.stdout.count("\n") == 1


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_fresh_folder_from_nothing(project: Project) -> None:
    (project.root / ".venv").unlink()
    for name in ("setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, project.root)
    shutil.copytree(ROOT / "src", project.root / "src")
    environ = {**os.environ, **project.environ, "PYTHONPATH": "/none", "PYTHONHOME": "/none"}
    for _ in range(2):
        subprocess.run([project.root / "deploy/run", "--detach"], env=environ, check=True)
    assert project.program("watcher")["statename"] in ("STARTING", "RUNNING")
    subprocess.run([project.root / "deploy/stop"], env=environ, check=True)
    with pytest.raises(SupervisorUnavailable):
        project.pids()
