"""Whatever a log's files go through between two runs: each line is read once and in its order, or a loss is told."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from logscan.reading.reads import SourceRead
from logscan.sources.finding import discover
from logscan.sources.losses import Loss
from logscan.store.cursors import continued
from logscan.store.model import Cursor
from logscan.store.recent import LEAST

START = datetime(2026, 11, 20, tzinfo=UTC)


@dataclass
class World:
    """A log as its writer, its rotation and its reader see it."""

    folder: Path
    copytruncate: bool
    dated: bool
    packed: str
    """never, at once, or when the next one is rotated."""
    written: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    cursors: list[Cursor] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    half: str = ""
    """The beginning of a line that lacks its newline."""
    rotations: int = 0
    copied: bool = False

    @property
    def backup(self) -> Path:
        return self.folder.parent / f"{self.folder.name}.backup"

    @property
    def log(self) -> Path:
        return self.folder / "mail.log"

    def rotated(self) -> list[Path]:
        """Return the rotated files, newest first."""
        return sorted(
            (each for each in self.folder.iterdir() if each.name != "mail.log"),
            key=lambda each: int(each.name.removesuffix(".gz")[9:]) * (-1 if self.dated else 1),
        )

    def write(self, count: int, *, half: bool = False, same: bool = False) -> None:
        """Append lines: the last one's end may come later, all may be the same as the one before in the file.

        (Two files of which one is how the other begins are taken for copies, so none begins with a line of another.)
        """
        same = same and self.log.exists() and self.log.stat().st_size > 0
        with self.log.open("a") as file:
            for number in range(count):
                if self.half:
                    file.write(self.half)
                    self.half = ""
                    continue
                at = START + timedelta(seconds=len(self.written))
                text = f"{at:%Y-%m-%dT%H:%M:%S}+00:00 mx1 postfix/qmgr[7]: {len(self.written):05X}0A1B2: removed"
                text = self.written[-1] if same else text
                self.written.append(text)
                if half and number == count - 1:
                    file.write(text[:30])
                    self.half = text[30:] + "\n"
                else:
                    file.write(f"{text}\n")

    def rotate(self) -> None:
        """Rotate as logrotate does; the writer ends its line before."""
        if self.half:
            self.write(1)
        if not self.log.exists():
            return
        self.rotations += 1
        if self.dated:
            new = self.folder / f"mail.log-202611{self.rotations:02}"
        else:
            for old in self.rotated()[::-1]:
                number, dot, end = old.name[9:].partition(".")
                old.rename(self.folder / f"mail.log.{int(number) + 1}{dot}{end}")
            new = self.folder / "mail.log.1"
        if self.copytruncate:
            shutil.copy2(self.log, new)
            os.truncate(self.log, 0)
        else:
            self.log.rename(new)
            self.log.touch()
        waits = self.packed == "later"
        for each in self.rotated()[waits:] if self.packed != "never" else ():
            if each.suffix != ".gz":
                self.pack(each)

    def pack(self, path: Path) -> None:
        """Pack a file."""
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()

    def remove(self) -> None:
        """Remove the oldest rotated file, once there is one of which the reader knows: what it never saw, it can't miss."""
        if any(each.live and each.offset for each in self.cursors):
            for oldest in self.rotated()[-1:]:
                oldest.unlink()

    def copy(self) -> None:
        """Copy the log to where it is found too. It isn't written anew after that: its lines would be real in both."""
        if self.log.exists():
            shutil.copy2(self.log, self.folder / "mail.log.99")
            self.copied = True

    def known(self) -> list[str]:
        """Return the lines of the log that were read: what is lost of a log that the reader never saw, it can't miss."""
        lines = self.log.read_text().splitlines(keepends=True) if self.log.exists() else []
        if len({*lines}) < len(lines):
            return []  # which of the same lines is gone can't be told
        read = set(self.read)
        return [each for each in lines if each.rstrip("\n") in read]

    def rewrite(self) -> None:
        """Write the log anew without the older half of what was read, as dspam_logrotate does."""
        if len(known := self.known()) >= 2 * LEAST and not self.copied:
            new = self.folder.parent / f"{self.folder.name}.new"
            new.write_text("".join(self.log.read_text().splitlines(keepends=True)[len(known) // 2 :]))
            new.rename(self.log)

    def back_up(self) -> None:
        """Copy the log to where nobody looks; whole lines."""
        if len(self.known()) >= LEAST and not self.half:
            shutil.copy2(self.log, self.backup)

    def restore(self) -> None:
        """Put the backup back, once all was read: of one that ends where the reader was, nobody can tell what it overwrote."""
        known = self.known()
        if self.backup.exists() and not self.half and known and len(known) == self.log.read_text().count("\n"):
            shutil.copy2(self.backup, self.log)

    def cut(self) -> None:
        """Cut the log to nothing; with a copy of it, that would be copytruncate, of whose window nobody can tell."""
        if self.known() and not self.half and not self.copied:
            os.truncate(self.log, 0)

    def run(self) -> None:
        """Read what is new."""
        found = continued(discover([str(self.folder)]).sources, self.cursors)
        reads = []
        for source in found.sources:
            text = b"".join(source.chunks()).decode()
            lines = text.splitlines()
            index = [] if source.compression else [(source.before, source.start, len(text))]
            stop = source.start + len(text)
            reads.append(SourceRead(source, source.label, source.kind, len(lines), index=index, reached=stop))
            self.read += lines
        self.cursors = found.after(reads)
        self.losses += found.losses


STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from([1, 2, 3, 40, 100])),
    st.just(("half",)),
    st.just(("same",)),
    st.just(("rotate",)),
    st.just(("run",)),
    st.just(("remove",)),
    st.just(("copy",)),
    st.just(("rewrite",)),
    st.just(("back_up",)),
    st.just(("restore",)),
    st.just(("cut",)),
)


@settings(max_examples=200, deadline=None)
@example(copytruncate=False, dated=False, packed="never", steps=[("half",), ("copy",), ("run",)])
@example(
    copytruncate=False,
    dated=False,
    packed="at once",
    steps=[("half",), ("rotate",), ("same",), ("copy",), ("rotate",), ("rotate",)],
)
@example(
    copytruncate=False,
    dated=False,
    packed="never",
    steps=[("write", "2"), ("half",), ("write", "1"), ("run",), ("rewrite",), ("copy",)],
)
@given(
    copytruncate=st.booleans(),
    dated=st.booleans(),
    packed=st.sampled_from(["never", "at once", "later"]),
    steps=st.lists(STEPS, max_size=25),
)
def test_each_line_is_read_once_or_a_loss_is_told(
    copytruncate: bool, dated: bool, packed: str, steps: list[tuple[str, ...]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), copytruncate, dated, packed)
        for name, *count in steps:
            match name:
                case "write":
                    world.write(int(count[0]))
                case "half":
                    world.write(2, half=True)
                case "same":
                    world.write(2, same=True)
                case _:
                    getattr(world, name)()
        if world.half:
            world.write(1)
        world.run()
        world.write(1)
        world.run()
        world.backup.unlink(missing_ok=True)
        if not world.losses:
            assert world.read == world.written
        else:
            left = iter(world.written)
            assert all(each in left for each in world.read)
