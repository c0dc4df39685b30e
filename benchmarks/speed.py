#!/usr/bin/env python3
"""Measures ``logscan analyse`` against pflogsumm on the same log, run by run in turn, and shows where time goes.

    python benchmarks/generate.py mail.log
    python benchmarks/speed.py mail.log --rounds 5
    python benchmarks/speed.py mail.log --stages
    python benchmarks/speed.py --growth 100000 --growth 1000000 --growth 10000000 --rounds 1

Wall and CPU seconds and peak memory are those of the whole process with its children. Each round runs every command
once, so that what else the machine does meets all of them; the ratio is the median of the ratios of the pairs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Run:
    """What one process cost: seconds, and the largest resident set of it or a child, in MB."""

    wall: float
    cpu: float
    peak: float


def run(command: list[str]) -> Run:
    """Run a command to its end; exits when it fails."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path}) as process:
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit status {process.returncode}")
    # Linux counts in kilobytes, macOS in bytes.
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2))


def commands(log: Path, out: Path, formats: list[str]) -> dict[str, list[str]]:
    """Return what is measured, by name."""
    start = [sys.executable, "-m", "logscan", "analyse", str(log), "--quiet"]
    found = {}
    for name in formats:
        for jobs in ((), ("--jobs", "1")):
            title = f"logscan {name}" + (", one process" if jobs else "")
            found[title] = [*start, *jobs, "--format", name, "-o", str(out / f"report.{name}")]
    return found


def compare(log: Path, rounds: int, formats: list[str]) -> None:
    """Print medians, and ratios pair by pair (above 1: quicker than pflogsumm)."""
    summary = shutil.which("pflogsumm", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin")))
    if summary is None:
        print(
            "pflogsumm isn't here: install the package pflogsumm (Debian, Ubuntu), postfix-perl-scripts (Fedora), "
            "or get it from https://jimsun.linxnet.com/postfix_contrib.html",
            file=sys.stderr,
        )
        sys.exit(2)
    with tempfile.TemporaryDirectory() as folder:
        measured = {"pflogsumm": [summary, str(log)], **commands(log, Path(folder), formats)}
        log.read_bytes()  # into the page cache, for all alike
        runs: dict[str, list[Run]] = {name: [] for name in measured}
        for number in range(rounds):
            for name, command in measured.items():
                runs[name].append(run(command))
                print(f"round {number + 1}: {name}: {runs[name][-1].wall:.1f} s", file=sys.stderr)
    print(
        "ratio: pflogsumm's time by this one's, above 1 is quicker; on a busy machine only CPU seconds mean something"
    )
    print(f"{'':28} {'wall s':>8} {'CPU s':>8} {'peak MB':>8} {'CPU':>6} {'wall':>6}  wall pair by pair")
    for name, some in runs.items():
        pairs = [theirs.wall / mine.wall for theirs, mine in zip(runs["pflogsumm"], some, strict=True)]
        wall, cpu, peak = (statistics.median(getattr(each, key) for each in some) for key in ("wall", "cpu", "peak"))
        ratios = " ".join(f"{each:.2f}" for each in pairs)
        spent = statistics.median(theirs.cpu / mine.cpu for theirs, mine in zip(runs["pflogsumm"], some, strict=True))
        shown = f"{wall:8.2f} {cpu:8.2f} {peak:8.0f} {spent:6.2f} {statistics.median(pairs):6.2f}"
        print(f"{name:28} {shown}  {ratios}")


def helping(rounds: int) -> None:
    """Print how long ``logscan --help`` takes."""
    walls = [run([sys.executable, "-m", "logscan", "--help"]).wall for _ in range(max(5, rounds))]
    print(f"{'logscan --help':28} {statistics.median(walls):8.2f}")


def stages(log: Path) -> None:
    """Print the CPU seconds of each stage in this one process."""
    sys.path.insert(0, str(ROOT))
    start = time.process_time()
    spent: dict[str, float] = {}

    def timed(name: str, do: Callable[[], Any]) -> Any:
        before = time.process_time()
        done = do()
        spent[name] = spent.get(name, 0.0) + time.process_time() - before
        return done

    def imported() -> None:
        warm()
        for program in {name for fmt in log_formats() for name in fmt.programs}:
            _ = pattern_for(program).match

    from logscan.grammar.programs import log_formats, pattern_for
    from logscan.pipeline.opening import Opened, warm
    from logscan.pipeline.pieces import Looking
    from logscan.pipeline.running import render
    from logscan.pipeline.streaming import Stream
    from logscan.scan.options import Options

    spent["imports"] = time.process_time() - start
    timed("imports, grammars", imported)
    opened = timed("finding", lambda: Opened([str(log)], (), None, Options(), None))
    arguments = {"jobs": 1, "year": None, "timezone": None, "progress": None, "window": None}
    stream = timed("survey", lambda: Stream(opened, **arguments))
    looking = Looking(stream.log)
    feed = stream._windows.feed
    stream._windows.feed = lambda tables: timed("correlate", lambda: feed(tables))
    windows = iter(stream)
    while (window := timed("read", lambda: next(windows, None))) is not None:
        timed("look", lambda: looking.add(window))
    spent["read"] -= spent.get("correlate", 0.0)
    report = timed("conclude", looking.conclude)
    for name in ("json", "text", "html"):
        timed(f"render {name}", lambda: render(report, name))  # noqa: B023
    total = sum(spent.values())
    lines = sum(each.lines for each in stream.log.read.sources)
    for name, seconds in spent.items():
        print(f"{name:18} {seconds:7.2f} s  {100 * seconds / total:5.1f} %")
    print(f"{'all':18} {total:7.2f} s  {total / lines * 1e6:5.2f} µs a line")


def growth(sizes: list[int], rounds: int) -> None:
    """Print time and peak memory of ever larger logs, and what a second process saves."""
    generate = Path(__file__).with_name("generate.py")
    print(f"{'lines':>10} {'jobs':>5} {'wall s':>8} {'CPU s':>8} {'peak MB':>8}  one process' wall by this one's")
    with tempfile.TemporaryDirectory() as folder:
        for lines in sizes:
            log = Path(folder) / "mail.log"
            subprocess.run([sys.executable, str(generate), str(log), "--lines", str(lines)], check=True)
            start = [
                sys.executable,
                "-m",
                "logscan",
                "analyse",
                str(log),
                "--quiet",
                "--format",
                "json",
                "-o",
                os.devnull,
            ]
            one: list[Run] = []
            for jobs in (1, 2):
                some = [run([*start, "--jobs", str(jobs)]) for _ in range(rounds)]
                one = one or some
                wall, cpu, peak = (
                    statistics.median(getattr(each, key) for each in some) for key in ("wall", "cpu", "peak")
                )
                ratio = statistics.median(a.wall / b.wall for a, b in zip(one, some, strict=True))
                print(f"{lines:10,} {jobs:5} {wall:8.2f} {cpu:8.2f} {peak:8.0f}  {ratio:5.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure logscan against pflogsumm.")
    parser.add_argument("log", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--format", dest="formats", action="append", help="default: json, text and html")
    parser.add_argument("--stages", action="store_true", help="show where time goes instead, in one process")
    parser.add_argument(
        "--growth", action="append", type=int, metavar="LINES", help="show time and memory of a generated log instead"
    )
    args = parser.parse_args()
    if args.growth:
        growth(args.growth, args.rounds)
        return
    if args.log is None:
        parser.error("name a log, or --growth LINES")
    if args.stages:
        stages(args.log)
        return
    compare(args.log, args.rounds, args.formats or ["json", "text", "html"])
    helping(args.rounds)


if __name__ == "__main__":
    main()
