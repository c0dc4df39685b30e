#!/usr/bin/env python3
"""Kills ``logscan daily`` at a thousand points, over twelve ways of rotating logs, and cuts its power; logtail2 beside it.

    python benchmarks/daily_kills.py [--scheme create ...] [--points 40] [--cuts 6] [--only daily|logtail2]

For each scheme a server's log of some days is written and rotated (by Debian's logrotate, where it is installed), with a run
now and then. At the first three runs of each, every call of a recorded run is a point (``--points`` of them spread evenly; 0:
all): the run is killed right before it, or its disk is full from there on, or the power is cut and what was not synced is gone;
then it is run again, at once or only after the next rotation, and the state must hold what an undisturbed run would have left:
lines, counts, rows of the tables, findings, cursors, no files that no row names. At the end all runs are compared with one
``analyse`` over all lines. Needs a C compiler, and strace nowhere (see ``daily_strace.py``). Prints tables in Markdown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.daily import journal
from benchmarks.daily.daily import Daily
from benchmarks.daily.driving import Stable, shim
from benchmarks.daily.logtail import PROGRAM, Logtail
from benchmarks.daily.schemes import SCHEMES
from benchmarks.daily.smtp import Post
from benchmarks.daily.sweeping import Sweep, Tally, logtail
from benchmarks.daily.world import LOGROTATE, World

FEW = ("log-gap", "duplicate-delivery")
"""Checks that run: with a past, with what two mails tell together. All of them take twice the time."""


BY_SMTP = ("clock step", "half line")
"""Schemes whose mails go to a server by SMTP; the others' go to a program in sendmail's place."""


def swept(
    stable: Stable, name: str, folder: Path, *, most: int, cuts: int, checks: Sequence[str] = FEW, seed: int = 1
) -> Tally:
    """Return what a scheme comes to under ``logscan daily``."""
    with ExitStack() as held:
        world = held.enter_context(closing(World(folder / "logs", seed=seed)))
        options = [word for check in checks for word in ("--check", check)]
        if name in BY_SMTP:
            post = held.enter_context(Post(folder / "states" / "live" / "spool"))
            options += [*post.options, "--mail-from", "logscan@example.com"]
        sweep = Sweep(
            Daily(stable, folder, *options), world, folder / "states", most=most, cuts=cuts, starve=name == "disk full"
        )
        return sweep.play(SCHEMES[name])


def beside(library: Path, name: str, folder: Path, *, most: int, seed: int = 1) -> Tally:
    """Return what it comes to under logtail2."""
    with closing(World(folder / "logs", seed=seed)) as world:
        return logtail(Logtail(library), world, folder / "states", SCHEMES[name], most=most)


def row(name: str, tally: Tally) -> str:
    """Return a line of the table."""
    cells = [
        name,
        tally.runs,
        tally.lines,
        tally.points.total(),
        tally.lost,
        tally.doubled,
        tally.lost_after,
        tally.doubled_after,
    ]
    cells += [tally.destroyed, tally.named, len(tally.wrong)]
    return "| " + " | ".join(map(str, cells)) + " |"


HEAD = """
| scheme | runs | lines | points | lost | doubled | lost after kills | doubled after kills | destroyed | losses named | faults |
|---|---|---|---|---|---|---|---|---|---|---|"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill logscan daily at a thousand points.")
    parser.add_argument("--scheme", action="append", choices=list(SCHEMES), help="only these; default: all")
    parser.add_argument("--points", type=int, default=40, help="kills a run; 0: every call")
    parser.add_argument("--cuts", type=int, default=6, help="places a run where the power is cut, in four ways each")
    parser.add_argument("--only", choices=("daily", "logtail2"))
    parser.add_argument("--all-checks", action="store_true", help="run all checks, not three of them")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    most, names = args.points or 10**9, args.scheme or list(SCHEMES)
    if not journal.available():
        names = [name for name in names if name != "journal vacuumed"]
        print("no systemd-journal-remote here: the scheme 'journal vacuumed' is left out")
    print(f"rotation: {'logrotate' if LOGROTATE else 'as logrotate does it (it is not installed)'}")
    bad = 0
    with tempfile.TemporaryDirectory(prefix="kills.") as folder:
        base = Path(folder).resolve()
        library = shim(base)
        if args.only != "logtail2":
            bad = _daily(base, library, names, most, args)
        if args.only != "daily" and PROGRAM:
            _logtail(base, library, names, args)
    return 1 if bad else 0


def _daily(base: Path, library: Path, names: list[str], most: int, args: argparse.Namespace) -> int:
    print("\nlogscan daily" + HEAD)
    began, every, kinds = time.monotonic(), [], Tally()
    with Stable(library) as stable:
        for name in names:
            (folder := base / f"daily {name}".replace(" ", "-")).mkdir()
            tally = swept(
                stable, name, folder, most=most, cuts=args.cuts, checks=() if args.all_checks else FEW, seed=args.seed
            )
            print(row(name, tally), flush=True)
            print("\n".join(tally.wrong), file=sys.stderr, flush=True)
            every += [f"{name}: {each}" for each in tally.wrong]
            kinds.points += tally.points
            kinds.resent += tally.resent
    print(
        f"\n{kinds.points.total()} points in {time.monotonic() - began:.0f} s; {kinds.resent} mails sent twice (same Message-ID)"
    )
    print(", ".join(f"{kind} {number}" for kind, number in kinds.points.most_common()))
    print("\n".join(every))
    return len(every)


def _logtail(base: Path, library: Path, names: list[str], args: argparse.Namespace) -> None:
    print("\nlogtail2" + HEAD)
    for name in names:
        if name == "journal vacuumed":
            print(f"| {name} | it reads no journal |" + " |" * 9)
            continue
        (folder := base / f"logtail {name}".replace(" ", "-")).mkdir()
        print(row(name, beside(library, name, folder, most=10**9, seed=args.seed)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
