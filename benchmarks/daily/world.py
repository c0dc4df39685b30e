"""A server that logs, and whose logs are rotated: by Debian's logrotate where it is installed, else by what its source does."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.daily.journal import Journal
from benchmarks.generate import START, Server, stamper

DAY = 86_400
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
"""Gives logrotate the day of the story, for its dateext."""
LOGROTATE = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def told(days: int, chunks: int, size: int, seed: int) -> list[list[tuple[int, str]]]:
    """Return what a server says: ``chunks`` a day of about ``size`` lines (ms since 1970, text), in the order of time.

    Mails that are put off are tried again hours later, so that some are open whenever somebody looks.
    """
    server = Server(seed, long_ids=True, verdicts=False)
    stories = (
        [server.inbound] * 8 + [server.outbound] * 8 + [server.sendmail, server.refused, server.probe, server.imap]
    )
    found = []
    for number in range(days * chunks):
        begin = (START // DAY * DAY + number * DAY // chunks) * 1000
        server.now = max(server.now, begin)
        while sum(at < server.now for at, _ in server.lines) < size:
            server.now += int(server.random.expovariate(1 / 60_000))
            server.random.choice(stories)()
        end = begin + DAY * 1000 // chunks
        server.lines.sort(key=lambda line: line[0])
        found.append([line for line in server.lines if line[0] < end])
        server.lines = [line for line in server.lines if line[0] >= end]
    return found


class World:
    """A folder of logs, what is written to it, and what became of it."""

    def __init__(self, folder: Path, *, seed: int = 1, days: int = 6, size: int = 50, real: bool = True) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "mail.log"
        self.chunks = told(days, 2, size, seed)
        self.stamp = stamper("iso")
        self.shift = 0
        """ms that the clock is wrong by."""
        self.now = START
        self.lines: list[bytes] = []
        """Each line as it stands in a file that can be read by somebody who comes in time, with its line end."""
        self.destroyed: list[bytes] = []
        """Lines that the scheme itself took away before anybody could read them."""
        self.rest = b""
        """Beginning of a line that isn't written to its end."""
        self.full = False
        self.journal: Journal | None = None
        """What is read in place of the files, where a scheme has it."""
        self.reused = True
        """Whether the file system gave a new file the inode of an old one, where a scheme wants it."""
        self.logrotate = LOGROTATE if real else None
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)

    # --- the logger ---

    def next(self) -> list[bytes]:
        """Return the next half day's lines, not written yet."""
        chunk = self.chunks.pop(0)
        self.now = chunk[-1][0] // 1000
        return [f"{self.stamp(at + self.shift)}{text}\n".encode() for at, text in chunk]

    def write(self, lines: Sequence[bytes] | None = None, *, lost: bool = False) -> None:
        """Write lines (the next half day's where none are given); ``lost``: nobody will be able to read them."""
        for line in self.next() if lines is None else lines:
            if self.full:
                self.destroyed.append(line)
                continue
            os.write(self._fd, line)
            whole, self.rest = self.rest + line, b""
            (self.destroyed if lost else self.lines).append(whole)

    def half(self, line: bytes) -> bytes:
        """Write the first half of a line; return the rest."""
        cut = len(line) // 2
        os.write(self._fd, line[:cut])
        self.rest += line[:cut]
        return line[cut:]

    def reopen(self) -> None:
        """As syslog does when it is told that its log was rotated."""
        os.close(self._fd)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)

    def close(self) -> None:
        os.close(self._fd)

    # --- rotation ---

    def rotate(self, *options: str, keep: int = 7, reopen: bool = True) -> None:
        """Rotate as logrotate does with these directives; syslog is told, unless ``copytruncate`` makes that needless."""
        if self.logrotate and ("dateext" not in options or FAKETIME.exists()):
            self._rotated(options, keep)
        else:
            self._emulated(options, keep)
        if reopen and "copytruncate" not in options:
            self.reopen()

    def _rotated(self, options: Sequence[str], keep: int) -> None:
        assert self.logrotate
        configuration = self.folder.parent / "logrotate.conf"
        lines = [f"{self.path} {{", f"rotate {keep}", "size 1", "missingok", "nomail", *options, "}"]
        configuration.write_text("\n".join(lines) + "\n")
        configuration.chmod(0o644)
        environment = dict(os.environ)
        if FAKETIME.exists():
            environment |= {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME": time.strftime("@%Y-%m-%d %H:%M:%S", time.gmtime(self.now)),
            }
            environment["TZ"] = "UTC"
        state = str(self.folder.parent / "logrotate.state")
        command = [self.logrotate, "-f", "-s", state, str(configuration)]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr

    def _emulated(self, options: Sequence[str], keep: int) -> None:
        """Do what rotateSingleLog of logrotate.c does: the oldest goes, the others move on, then the log itself."""
        compressed, delayed = "compress" in options, "delaycompress" in options
        if "dateext" in options:
            first = self.path.with_name(time.strftime("mail.log-%Y%m%d", time.gmtime(self.now)))
            old = sorted(self.folder.glob("mail.log-*"))
            for path in old[: max(0, len(old) - keep + 1)]:
                path.unlink()
            previous = old[-1] if old else None
        else:
            for number in range(keep, 0, -1):
                for end in ("", ".gz"):
                    path = self.path.with_name(f"mail.log.{number}{end}")
                    if path.exists():
                        path.rename(path.with_name(f"mail.log.{number + 1}{end}"))
            for end in ("", ".gz"):
                path = self.path.with_name(f"mail.log.{keep + 1}{end}")
                path.unlink(missing_ok=True)
            first, previous = self.path.with_name("mail.log.1"), self.path.with_name("mail.log.2")
        if "copytruncate" in options:
            shutil.copyfile(self.path, first)
            os.truncate(self.path, 0)
        else:
            self.path.rename(first)
            if any(option.startswith("create") for option in options):
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o640))
        if compressed and not delayed:
            _packed(first)
        elif delayed and previous and previous.exists() and previous.suffix != ".gz":
            _packed(previous)

    # --- accidents ---

    def copied_and_cut(self, between: Sequence[bytes]) -> None:
        """Rotate by copytruncate while lines are written behind the copy's end: they are cut away with the rest."""
        shutil.copyfile(self.path, self.path.with_name("mail.log.1"))
        self.write(between, lost=True)
        os.truncate(self.path, 0)

    def same_inode(self, inode: int) -> bool:
        """Begin a new log in the inode that an old one had; False where the file system doesn't reuse them."""
        os.close(self._fd)
        tries = []
        for number in range(200):
            path = self.folder.parent / f"try.{number}"
            path.touch(0o640)
            tries.append(path)
            if path.stat().st_ino == inode:
                path.rename(self.path)
                break
        for path in tries:
            path.unlink(missing_ok=True)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        return self.path.stat().st_ino == inode

    def everything(self) -> bytes:
        """Return all lines that could be read, one behind the other: what one undisturbed pass reads."""
        return b"".join(self.lines)


def _packed(path: Path) -> None:
    """Compress as gzip does: beside it, with its time; then the other goes."""
    target = path.with_name(path.name + ".gz")
    status = path.stat()
    with gzip.open(target, "wb") as file:
        file.write(path.read_bytes())
    os.utime(target, (status.st_atime, status.st_mtime))
    path.unlink()
