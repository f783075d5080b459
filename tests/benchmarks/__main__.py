"""Measures the watcher beside pgbench and rsyslog: deploy/benchmark [options].

It makes a Postgres of its own, with the durability that every Postgres has by default, and removes
it at the end. Nothing is judged: the figures are one machine's, and only those of one run can be
compared with each other.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import arrival, capturing, fleet, footprint, growth, page, viewers
from benchmarks.bench import FULL, QUICK, Bench, Row, Scale
from benchmarks.figures import Result, table
from benchmarks.machine import condition, describe
from benchmarks.rivals import find_rivals
from benchmarks.server import NotReachedError, durable_server
from benchmarks.versions import Version, of_commit
from benchmarks.watching import compile_package
from servers import temporary_state

ROWS = (
    Row("backlog", "turns of 1,000 bytes that wait in 4 files", capturing.backlog),
    Row("transcripts", "realistic transcripts that wait", capturing.transcripts),
    Row("live", "append to commit, 100 lines/s over 4 files", capturing.live),
    Row("burst", "append to commit, 1,000 lines/s over 4 files", capturing.burst),
    Row("memory", "resident memory of the watcher", footprint.memory),
    Row("idle", "processor time of the watcher while nobody writes", footprint.idle),
    Row("start", 'from the watcher\'s start to "ready"', footprint.start),
    Row("line", "memory for one line of the longest allowed length", footprint.longest_line),
    Row("growth", "a large log: cost of an event, time of a question", growth.growth),
    Row("page", "the page and the API over a million turns", page.page),
    Row("arrival", "from an append until it is seen", arrival.arrival),
    Row("watched", "the watcher with pages open and a search a second", page.watched),
    Row("fleet", "1 to 100 watchers on one server", fleet.fleet),
    Row("distance", "a server that is far away, with and without forwarding", fleet.distance),
    Row("viewers", "the same transcripts in this and in agentsview", viewers.viewers),
)
ROUNDS = 5
QUICK_ROUNDS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the JSON."""
    options = _parse(arguments)
    chosen = [row for row in ROWS if not options.only or row.name in options.only]
    scale = _scale(options)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    compile_package()
    with temporary_state() as state, durable_server(state) as server:
        directory = state.parent / "runs"
        directory.mkdir()
        directory.chmod(0o755)
        versions = [Version()]
        if options.against:
            versions.insert(0, of_commit(options.against, directory, server))
        bench = Bench(server, find_rivals(), scale, rounds, directory, versions)
        machine = describe(state) | {"postgres": server.version} | bench.rivals.describe()
        results = _measure(bench, chosen, options.json, machine)
        machine |= condition(state, "after")
    if options.json is not None:
        _write_json(options.json, machine, results)
    print(_head(machine))
    print(table(results))
    return 0


def _measure(
    bench: Bench, rows: Sequence[Row], file: Path | None, machine: dict[str, str]
) -> list[Result]:
    results = []
    for row in rows:
        print(f"{row.name}: {row.title}", file=sys.stderr, flush=True)
        result = Result(row.name, row.title)
        began = time.monotonic()
        try:
            row.measure(bench, result)
        except NotReachedError as error:
            result.note(f"given up: {error}")
        result.details["taken, s"] = round(time.monotonic() - began, 1)
        results.append(result)
        if file is not None:  # the run is long: nothing of it is to be lost
            _write_json(file, machine, results)
    return results


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="deploy/benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="rows:\n" + "\n".join(f"  {row.name:<12} {row.title}" for row in ROWS),
    )
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default: {ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="everything small: to try it out")
    parser.add_argument("--only", type=_names, metavar="ROW,ROW", help="only these rows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures of all rounds")
    parser.add_argument("--against", metavar="COMMIT", help="measure that version too, in turns")
    parser.add_argument("--events", type=int, metavar="N", help="events of the large log")
    parser.add_argument("--turns", type=int, metavar="N", help="turns of the page's log")
    parser.add_argument("--bytes", type=int, metavar="N", help="bytes of realistic transcripts")
    return parser.parse_args(arguments)


def _names(value: str) -> list[str]:
    names = value.split(",")
    for name in names:
        if name not in [row.name for row in ROWS]:
            raise argparse.ArgumentTypeError(f"{name!r} is no row")
    return names


def _scale(options: argparse.Namespace) -> Scale:
    scale = QUICK if options.quick else FULL
    return replace(
        scale,
        grown_rows=options.events or scale.grown_rows,
        realistic_bytes=options.bytes or scale.realistic_bytes,
        page_turns=options.turns or scale.page_turns,
    )


def _head(machine: dict[str, str]) -> str:
    command = " ".join(["deploy/benchmark", *sys.argv[1:]])
    rows = [f"{name}: {value}" for name, value in machine.items()]
    return "\n".join([f"command: {command}", *rows, ""])


def _write_json(file: Path, machine: dict[str, str], results: Sequence[Result]) -> None:
    content = {
        "command": ["deploy/benchmark", *sys.argv[1:]],
        "finished_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine,
        "rows": [result.as_json() for result in results],
    }
    file.write_text(json.dumps(content, indent=1, default=str) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
