#!/usr/bin/env python3
"""Kills ``logscan daily`` by strace's fault injection, as a check on the quicker shim of ``daily_kills.py``.

    python benchmarks/daily_strace.py [--points 24]

One run over a rotated log is traced, in a process of its own: its calls below the state's folder are counted as the shim counts
them, and compared. Then some of them, of each kind, are points: ``strace --inject=CALL:signal=KILL:when=N`` kills a run there,
and the next run must come to what an undisturbed one comes to. (strace sees a few openat more: libc's own, to list folders.)
Needs strace, and the right to trace.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.daily.daily import Daily, facts
from benchmarks.daily.driving import KILLED, ROOT, Job, Stable, points, shim
from benchmarks.daily.world import World

CALLS = {
    "write": ("write", "writev"),
    "pwrite64": ("pwrite64",),
    "fsync": ("fsync",),
    "fdatasync": ("fdatasync",),
    "rename": ("rename", "renameat", "renameat2"),
    "unlink": ("unlink", "unlinkat", "rmdir"),
    "ftruncate": ("ftruncate",),
    "openat": ("openat",),
    "sendto": ("sendto",),
    "mkdir": ("mkdir", "mkdirat"),
}
KIND = {call: kind for kind, calls in CALLS.items() for call in calls}
LINE = re.compile(r"(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)")
START = "import logscan.commands.mailing as m; m.SENDMAIL = ({0!r},); from logscan.cli import main; main()"


def traced(job: Job, sendmail: Path, *options: str) -> tuple[int, list[tuple[str, str, str]]]:
    """Run under strace; return the status, and (pid, call, what follows) of all calls of :data:`CALLS`."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "trace")
        command = ["strace", "-f", "-y", "-qq", "-s", "0", "-o", str(out), "-e", f"trace={','.join(KIND)}", *options]
        command += [sys.executable, "-c", START.format(str(sendmail)), *job.arguments]
        environment = os.environ | job.environment | {"PYTHONPATH": str(ROOT), "TZ": "UTC"}
        done = subprocess.run(command, cwd=job.folder, env=environment, capture_output=True, check=False)
        found = [LINE.match(line) for line in out.read_text("utf-8", "replace").splitlines()]
        return done.returncode, [(each["pid"], each["call"], each["rest"]) for each in found if each]


def placed(calls: list[tuple[str, str, str]], watched: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return (call, which one of all of that name) of each call of the first process that counts."""
    first, numbers, found = calls[0][0], Counter[str](), []
    for pid, call, rest in calls:
        if pid != first:
            continue
        numbers[call] += 1
        outside = re.match(r"(\d+)<(pipe|socket):", rest)
        if any(folder in rest for folder in watched) or (outside and int(outside[1]) > 2):
            found.append((call, numbers[call]))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill logscan daily with strace.")
    parser.add_argument("--points", type=int, default=24)
    args = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory(prefix="strace.") as folder:
        base = Path(folder).resolve()
        with Stable(shim(base)) as stable:
            tool, state, world = Daily(stable, base), base / "live", World(base / "logs")
            world.write()
            assert tool.run(world, state).status == 0
            world.write()
            world.rotate("create")
            world.write()
            shutil.copytree(state, base / "before")
            counts = tool.run(world, state).counts
            first = facts(state)
            tool.run(world, state)
            expected = [first, facts(state)]

            def again() -> None:
                shutil.rmtree(state)
                shutil.copytree(base / "before", state)

            again()
            job = tool.job(world, state)
            status, calls = traced(job, tool.sendmail)
            assert status == 0
            assert facts(state) == first, facts(state).differences(first)
            every = placed(calls, job.watched)
            seen = Counter(KIND[call] for call, _ in every)
            print(f"calls as the shim counts them: {counts}")
            print(f"calls as strace shows them:    { {kind: seen[kind] for kind in counts} }")
            of_kind = {kind: [each for each in every if KIND[each[0]] == kind] for kind in seen}
            chosen = [of_kind[fault.kind][fault.number - 1] for fault in points(seen, args.points)]
            for call, number in chosen:
                again()
                status, _ = traced(job, tool.sendmail, f"--inject={call}:signal=KILL:when={number}")
                killed = status in (KILLED, 128 - KILLED)
                tool.run(world, state)
                found = facts(state)
                same = found in expected
                print(
                    f"{call} {number}: {'killed' if killed else f'status {status}'}, {'the same' if same else 'DIFFERS'}",
                    flush=True,
                )
                if not killed or not same:
                    wrong.append(f"{call} {number}: {min((found.differences(each) for each in expected), key=len)}")
            world.close()
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
