from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from claude_headspace.watcher.heartbeat import TOKEN, Heartbeat


class Pipe:
    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)

    def fileno(self) -> int:
        return self.writer

    def read(self) -> bytes:
        try:
            return os.read(self.reader, 1_000_000)
        except BlockingIOError:
            return b""


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    for descriptor in (pipe.reader, pipe.writer):
        try:
            os.close(descriptor)
        except OSError:
            continue


@pytest.fixture
def _supervised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_ENABLED", "1")


@pytest.mark.usefixtures("_supervised")
def test_at_most_one_beat_an_interval(pipe: Pipe) -> None:
    moments = [0.0]
    heart = Heartbeat(pipe, 1.0, lambda: moments[0])
    for tenth in range(31):
        moments[0] = tenth / 10
        heart.beat()
    assert pipe.read() == TOKEN * 4


def test_silent_without_a_supervisor(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPERVISOR_ENABLED", raising=False)
    Heartbeat(pipe, 0.0).beat()
    assert pipe.read() == b""


@pytest.mark.usefixtures("_supervised")
@pytest.mark.parametrize("early", [1, 3])
def test_a_loop_that_comes_by_a_little_early_misses_one_beat_at_most(
    pipe: Pipe, early: int
) -> None:
    moments = [0.0]
    heart = Heartbeat(pipe, 1.0, lambda: moments[0])
    for turn in range(100):
        moments[0] = turn - (0.01 if turn % early == 0 else -0.01) * (turn > 0)
        heart.beat()
    assert len(pipe.read()) >= len(TOKEN) * 99


@pytest.mark.usefixtures("_supervised")
def test_a_long_pause_is_not_made_up_for(pipe: Pipe) -> None:
    moments = [0.0]
    heart = Heartbeat(pipe, 1.0, lambda: moments[0])
    heart.beat()
    moments[0] = 100.0
    for _ in range(10):
        heart.beat()
    assert pipe.read() == TOKEN * 2


@pytest.mark.usefixtures("_supervised")
@pytest.mark.timeout(20)
def test_a_full_pipe_neither_blocks_nor_keeps_its_mode_changed(pipe: Pipe) -> None:
    heart = Heartbeat(pipe, 0.0)
    for _ in range(5000):
        heart.beat()
    assert os.get_blocking(pipe.writer)
    assert pipe.read().startswith(TOKEN)
    heart.beat()
    assert pipe.read() == TOKEN


@pytest.mark.usefixtures("_supervised")
def test_a_closed_pipe_is_no_error(pipe: Pipe) -> None:
    heart = Heartbeat(pipe, 0.0)
    os.close(pipe.reader)
    heart.beat()
    os.close(pipe.writer)
    heart.beat()
