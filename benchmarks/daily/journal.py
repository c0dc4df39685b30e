"""A journal that systemd-journal-remote writes, and that journalctl vacuums."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.daily.world import World

REMOTE = Path("/usr/lib/systemd/systemd-journal-remote")
BOOT, MACHINE, SEQUENCE = "b" * 32, "a" * 32, "c" * 32
TEXT = re.compile(rb"\S+ (?P<host>\S+) (?P<program>[^\[:]+)(?:\[(?P<pid>\d+)\])?: (?P<text>.*)\n")


def available() -> bool:
    """Whether this machine can write and vacuum a journal."""
    return REMOTE.exists() and shutil.which("journalctl") is not None


class Journal:
    """A folder of journal files, each full and archived; ``sizes`` are their numbers of records."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.sizes: list[int] = []
        self._last = 0
        # A journalctl of our own, first in the PATH: the one that there is, over this folder.
        self.program = folder.parent.parent / "bin" / "journalctl"
        self.program.parent.mkdir(exist_ok=True)
        self.program.write_text(f'#!/bin/sh\nexec {shutil.which("journalctl")} -D {folder} "$@"\n')
        self.program.chmod(0o755)

    def add(self, lines: Sequence[bytes], world: World) -> None:
        """Write these lines (ISO stamps) as records of a new file; the world's truth gets them too."""
        from datetime import datetime

        records, first = [], 0
        for line in lines:
            found = TEXT.fullmatch(line)
            assert found, line
            when = int(datetime.fromisoformat(line.split(b" ", 1)[0].decode()).timestamp() * 1e6)
            self._last = when = max(when, self._last + 1)
            first = first or when
            fields = [
                f"__REALTIME_TIMESTAMP={when}",
                f"__MONOTONIC_TIMESTAMP={when - 1_700_000_000_000_000}",
                f"_BOOT_ID={BOOT}",
                f"_MACHINE_ID={MACHINE}",
                f"_HOSTNAME={found['host'].decode()}",
                "SYSLOG_FACILITY=2",
                "PRIORITY=6",
                f"SYSLOG_IDENTIFIER={found['program'].decode()}",
                *([f"SYSLOG_PID={found['pid'].decode()}"] if found["pid"] else []),
                f"MESSAGE={found['text'].decode()}",
            ]
            records.append("\n".join(fields) + "\n\n")
        path = self.folder / f"system@{SEQUENCE}-{len(self.sizes) + 1:016x}-{first:016x}.journal"
        command = [str(REMOTE), f"--output={path}", "-"]
        done = subprocess.run(command, input="".join(records).encode(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        self.sizes.append(len(lines))
        world.lines += lines

    def vacuum(self, keep: int) -> None:
        """Keep only the last ``keep`` files."""
        before = len(list(self.folder.iterdir()))
        subprocess.run([str(self.program), f"--vacuum-files={keep}"], check=True, capture_output=True)
        assert len(list(self.folder.iterdir())) < before
