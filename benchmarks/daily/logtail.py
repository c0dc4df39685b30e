"""Debian's logtail2 under the same harness: what it printed was taken by whoever reads its pipe, also when it was killed."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from benchmarks.daily.driving import UNDISTURBED, Done, Fault, Job, program
from benchmarks.daily.world import World

PROGRAM = shutil.which("logtail2") or shutil.which("logtail2", path="/usr/sbin")


class Logtail:
    """Reads ``mail.log`` with an offset file; all it ever printed stands in ``taken``, in the state's folder."""

    name = "logtail2"
    kinds = ("write", "openat", "rename", "unlink", "ftruncate", "fsync")

    def __init__(self, library: Path) -> None:
        self.library = library

    def run(self, world: World, state: Path, fault: Fault = UNDISTURBED, record: str = "") -> Done:
        """Run it once; what it printed is added to what was taken."""
        assert PROGRAM
        arguments = (PROGRAM, "-f", str(world.path), "-o", str(state / "offset"))
        job = Job(arguments, str(state), (str(state),), fault, record, {"SHIM_STDOUT": "1"})
        done = program(job, self.library)
        with (state / "taken").open("ab") as file:
            file.write(done.out)
        return done

    def lines(self, state: Path) -> Counter[bytes]:
        """Return the lines that were taken so far, less logtail2's own words."""
        path = state / "taken"
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        return Counter(line for line in lines if not line.startswith(b"***"))
