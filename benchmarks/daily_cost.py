#!/usr/bin/env python3
"""What ``logscan daily`` costs: a day of 100,000 lines on top of 90 days of state.

    python benchmarks/daily_cost.py [--days 90] [--before 2000] [--lines 100000] [--keep FOLDER]

The state is made by runs over ``--together`` days each, of ``--before`` lines a day, with a report a day (``--catch-up``);
``--together 1 --before 100000`` is the real thing and takes half an hour. Then comes the day that is measured, in a process of
its own: seconds, memory, and what a mail takes on the disk.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.generate import START, Server, stamper

DAY = 86_400


def days(count: int, sizes: list[int], seed: int = 1) -> list[list[str]]:
    """Return the lines of ``count`` days, about ``sizes`` of them each, in the order of time."""
    server = Server(seed, long_ids=True, verdicts=False)
    stories = [server.inbound] * 40 + [server.outbound] * 12 + [server.sendmail] * 2 + [server.refused] * 15
    stories += [server.probe] * 14 + [server.imap] * 16 + [server.anvil]
    stamp, found = stamper("iso"), []
    for number, size in zip(range(count), sizes, strict=True):
        begin = (START // DAY + number) * DAY * 1000
        server.now, between = begin, DAY * 1000 * 12.4 / size
        while server.now < begin + DAY * 1000:
            server.random.choice(stories)()
            server.now += int(server.random.expovariate(1 / between)) + 1
        end = begin + DAY * 1000
        server.lines.sort(key=lambda line: line[0])
        found.append([f"{stamp(at)}{text}\n" for at, text in server.lines if at < end])
        server.lines = [line for line in server.lines if line[0] >= end]
    return found


def run(state: Path, log: Path, *options: str) -> tuple[float, float, int]:
    """Run it in a process of its own; return seconds of CPU, seconds by the clock, and most memory in bytes."""
    command = [sys.executable, "-m", "logscan", "daily", "--state", str(state), "--quiet", "--format", "json"]
    command += ["-o", str(log.parent / "report.json"), *options, str(log)]
    began = time.perf_counter()
    environment = os.environ | {"HOME": str(log.parent), "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    process = subprocess.Popen(command, env=environment, cwd=log.parent)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.returncode
    return used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss * 1024


def size(folder: Path) -> int:
    """Return the bytes below a folder, as the disk gives them out."""
    return sum(size_of(path) for path in folder.rglob("*") if path.is_file())


def size_of(path: Path) -> int:
    """Return the bytes of a file, as the disk gives them out."""
    return path.stat().st_blocks * 512


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what logscan daily costs.")
    parser.add_argument("--days", type=int, default=90, help="days of state before")
    parser.add_argument("--before", type=int, default=2000, help="lines of each of these")
    parser.add_argument("--together", type=int, default=10, help="days a run")
    parser.add_argument("--lines", type=int, default=100_000, help="lines of the day that is measured")
    parser.add_argument("--keep", type=Path, help="folder for log and state, kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cost.") as folder:
        base = args.keep or Path(folder)
        base.mkdir(parents=True, exist_ok=True)
        log, state = base / "mail.log", base / "state"
        every = days(args.days + 1, [args.before] * args.days + [args.lines])
        began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        for at in range(0, args.days, args.together):
            with log.open("a") as file:
                file.writelines(line for lines in every[at : min(at + args.together, args.days)] for line in lines)
            run(state, log, "--catch-up")
        spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began
        before, mails = size(state / "partitions"), _mails(state)
        print(f"{args.days} days of {args.before} lines: {spent:.0f} s of CPU, {size(state) / 1e6:.1f} MB of state")
        with log.open("a") as file:
            file.writelines(every[-1])
        cpu, clock, memory = run(state, log)
        used = f"{cpu:.2f} s of CPU, {clock:.2f} s by the clock, {memory / 1e6:.0f} MB of memory"
        print(f"a day of {len(every[-1])} lines: {used}")
        more, grown = _mails(state) - mails, size(state / "partitions") - before
        database = size_of(state / "logscan.db") / 1e6
        print(f"its {more} mails: {grown / more:.0f} bytes each in tables; the database: {database:.1f} MB")


def _mails(state: Path) -> int:
    from logscan.store.state import State

    with State.read(state) as opened:
        return sum(each.rows for each in opened.partitions() if each.table == "mails")


if __name__ == "__main__":
    main()
