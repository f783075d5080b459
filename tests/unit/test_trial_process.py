"""Lines that kill, found by children that die of them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from claude_headspace.capture.in_flight import InFlight
from claude_headspace.capture.trial_process import Trial
from claude_headspace.transcripts.lines import Line

SOURCE = 7


class Bench:
    """Takes lines apart as the reader does, and dies of some."""

    def __init__(self, directory: Path) -> None:
        self.in_flight = InFlight(directory)
        self.beats = 0
        self.trial = Trial(self.in_flight, self.beat, line_seconds=0.2)

    def beat(self) -> None:
        self.beats += 1

    def try_lines(self, contents: Sequence[bytes]) -> list[bytes]:
        """The lines that are left to the watcher after the trial."""
        lines = [Line(10 * number, data) for number, data in enumerate(contents)]
        self.trial.run(SOURCE, lines, self.take_apart)
        return [line.data for line in lines if not self.in_flight.is_poison(SOURCE, line.start)]

    def take_apart(self, line: Line) -> None:
        self.in_flight.mark(SOURCE, line.start)
        if line.data == b"kills":
            os.kill(os.getpid(), signal.SIGKILL)
        if line.data == b"raises":
            raise MemoryError
        if line.data == b"hangs":
            time.sleep(1e6)
        self.in_flight.clear()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("deadly", [b"kills", b"raises", b"hangs"])
def test_what_kills_is_found_and_the_rest_passes(bench: Bench, deadly: bytes) -> None:
    assert bench.try_lines([b"a", deadly, deadly, b"b", deadly]) == [b"a", b"b"]
    assert bench.in_flight.count_death() is None, "nothing is left in flight"


def test_a_death_of_the_watcher_counts_as_the_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    InFlight(tmp_path).mark(SOURCE, 0)
    assert Bench(tmp_path).try_lines([b"kills", b"a"]) == [b"a"]
    assert deaths(caplog) == 2, "the watcher's and one child's"


def test_each_line_that_kills_costs_two_children(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    assert bench.try_lines([b"kills"] * 8) == []
    assert deaths(caplog) == 16


def deaths(caplog: pytest.LogCaptureFixture) -> int:
    return caplog.text.count("a process died with the line")


def test_a_child_that_is_ended_between_lines_is_nobodys_fault(bench: Bench) -> None:
    def ended(_: Line) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    bench.trial.run(SOURCE, [Line(0, b"a")], ended)
    assert not bench.in_flight.is_careful
    assert not bench.in_flight.is_poison(SOURCE, 0)


def test_a_stop_ends_the_child_and_blames_no_line(tmp_path: Path) -> None:
    class Stopped(BaseException):
        pass

    def stop() -> None:
        raise Stopped

    bench = Bench(tmp_path)
    trial = Trial(bench.in_flight, stop, line_seconds=60.0)
    with pytest.raises(Stopped):
        trial.run(SOURCE, [Line(0, b"hangs")], bench.take_apart)
    assert bench.in_flight.count_death() is None
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_care_is_taken_for_a_while_and_outlives_the_process(tmp_path: Path) -> None:
    first = InFlight(tmp_path)
    assert not first.is_careful
    first.mark(SOURCE, 0)
    assert InFlight(tmp_path).is_careful
    assert InFlight(tmp_path).is_careful, "whatever the process after it died of"
    assert not InFlight(tmp_path, careful_seconds=0.0).is_careful
