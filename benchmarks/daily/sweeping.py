"""Plays a scheme's story, and at each of its runs kills, starves and cuts the power at one point after another.

After each of these the next run must give what an undisturbed one would have given: one that followed a run that never was
(killed before its commit), or one that followed a whole run (killed after it).
"""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.daily.daily import Daily, Facts, facts, mails
from benchmarks.daily.driving import KILLED, Fault, points
from benchmarks.daily.logtail import Logtail
from benchmarks.daily.replaying import MODES, Disk, operations
from benchmarks.daily.schemes import Story
from benchmarks.daily.world import World


@dataclass
class Tally:
    """What a scheme came to."""

    runs: int = 0
    lines: int = 0
    """Lines that could be read."""
    destroyed: int = 0
    """Lines that the scheme took away before anybody could read them, and whether that was said."""
    named: int = 0
    """Losses that were named in the undisturbed runs."""
    points: Counter[str] = field(default_factory=Counter)
    """Tries by kind of call, or ``power: MODE``."""
    lost: int = 0
    doubled: int = 0
    """Lines, all undisturbed runs together."""
    lost_after: int = 0
    doubled_after: int = 0
    """Lines, summed over all points."""
    read_after: int = 0
    """Lines that could be read, summed over all points."""
    resent: int = 0
    """Mails that were sent once more, with the same Message-ID."""
    wrong: list[str] = field(default_factory=list)


@dataclass
class Place:
    """A folder for one scheme: ``live`` has the state and what was mailed, others are copies of it."""

    folder: Path

    @property
    def live(self) -> Path:
        return self.folder / "live"

    def keep(self, name: str) -> None:
        """Keep what is live under a name."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(self.live, self.folder / name)

    def back(self, name: str) -> None:
        """Make what was kept live."""
        shutil.rmtree(self.live, ignore_errors=True)
        shutil.copytree(self.folder / name, self.live)


class Sweep:
    """One scheme under ``logscan daily``."""

    def __init__(
        self,
        tool: Daily,
        world: World,
        folder: Path,
        *,
        most: int,
        cuts: int,
        swept: Iterable[int] = (0, 1, 2),
        starve: bool = False,
    ) -> None:
        self.tool, self.world, self.place = tool, world, Place(folder)
        self.most, self.cuts, self.swept = most, cuts, frozenset(swept)
        """Kills and power cuts a run, and the runs (from 0) that are swept."""
        self.starve = starve
        """Whether the state's disk is full at every second point, in place of a kill."""
        self.tally = Tally()
        self._later: list[tuple[str, str]] = []

    def play(self, story: Story) -> Tally:
        """Play it to its end."""
        self.place.live.mkdir(parents=True)
        for number, _ in enumerate(story(self.world)):
            self.place.keep("before")
            self._recover_later()
            self._run(number)
            self.tally.runs += 1
            shutil.rmtree(self.place.folder / "earlier", ignore_errors=True)
            (self.place.folder / "before").rename(self.place.folder / "earlier")
        self._judged()
        return self.tally

    def _run(self, number: int) -> None:
        """The undisturbed run, and the points of it."""
        place, world = self.place, self.world
        place.back("before")
        record = place.folder / "record"
        record.unlink(missing_ok=True)
        done = self.tool.run(world, place.live, record=str(record))
        if done.status != 0:
            self.tally.wrong.append(f"run {number}: status {done.status}: {done.err.strip()[-300:]}")
        place.keep("after")
        first = facts(place.live)
        if first.lines != len(world.lines) or first.leftovers or first.waiting or first.notes:
            said = f"{first.leftovers} {first.waiting} {first.notes}"
            self.tally.wrong.append(f"run {number}, undisturbed: {first.lines} of {len(world.lines)} lines; {said}")
        if number not in self.swept:
            return
        sent = mails(place.live)[0]
        self.tool.run(world, place.live)
        expected = [first, facts(place.live)]
        for at, fault in enumerate(points(done.counts, self.most)):
            place.back("before")
            self._disturbed(fault, f"run {number}", expected, later=at % 3 == 2, sent=sent)
        self._power(number, record, expected)
        place.back("after")

    def _disturbed(self, fault: Fault, where: str, expected: list[Facts], *, later: bool, sent: Counter[str]) -> None:
        if self.starve and fault.number % 2 and fault.kind in ("write", "pwrite64", "ftruncate", "openat", "fsync"):
            fault = Fault(fault.kind, fault.number, errno.ENOSPC)
        what = f"{where}, {fault.kind} {fault.number}{' fails' if fault.error else ''}"
        (self.tool.folder / "out" / "report.json").unlink(missing_ok=True)
        done = self.tool.run(self.world, self.place.live, fault)
        self.tally.points[f"{fault.kind}{', disk full' if fault.error else ''}"] += 1
        if fault.error:
            self._starved(what, done.status, done.err)
        elif done.status != KILLED:
            self.tally.wrong.append(f"{what}: it wasn't killed, but ended with status {done.status}")
        if later:
            self._later.append((f"later{len(self._later)}", what))
            self.place.keep(self._later[-1][0])
        else:
            self._recovered(what, expected, sent)

    def _starved(self, what: str, status: int, said: str) -> None:
        report = self.tool.folder / "out" / "report.json"
        if "Traceback" in said or status < 0:
            self.tally.wrong.append(f"{what}: {said.strip()[-300:]}")
        elif status and not said.strip():
            self.tally.wrong.append(f"{what}: status {status}, and nothing was said")
        if not report.exists():
            self.tally.wrong.append(f"{what}: no report")

    def _recovered(self, what: str, expected: list[Facts], sent: Counter[str]) -> None:
        """Run again, undisturbed, and compare."""
        done = self.tool.run(self.world, self.place.live)
        if done.status != 0:
            self.tally.wrong.append(f"{what}: the next run ended with status {done.status}: {done.err.strip()[-300:]}")
        found = facts(self.place.live)
        wanted = sorted(each.lines for each in expected)
        self.tally.read_after += wanted[0]
        self.tally.lost_after += max(0, wanted[0] - found.lines)
        self.tally.doubled_after += max(0, found.lines - wanted[-1])
        if found not in expected:
            close = min((found.differences(each) for each in expected), key=len)
            self.tally.wrong.append(f"{what}: {'; '.join(close)}")
        got, faults = mails(self.place.live)
        self.tally.wrong += [f"{what}: {fault}" for fault in faults]
        self.tally.resent += sum(number - 1 for number in got.values())
        if missing := sent - got:
            self.tally.wrong.append(f"{what}: {missing.total()} of {sent.total()} mails never sent")

    def _recover_later(self) -> None:
        """What was killed at the run before: the next one comes only now, when logs have grown and were rotated again."""
        if not self._later:
            return
        allowed = []
        for name in ("before", "earlier"):
            self.place.back(name)
            self.tool.run(self.world, self.place.live)
            allowed.append(facts(self.place.live))
        sent: Counter[str] = Counter()
        for name, what in self._later:
            self.place.back(name)
            self._recovered(f"{what}, after the next rotation", allowed, sent)
            shutil.rmtree(self.place.folder / name)
        self._later = []

    def _power(self, number: int, record: Path, expected: list[Facts]) -> None:
        """Cut the power at points spread over the run, in each way that bytes and names can be lost."""
        every = list(operations(record))
        if not every:
            return
        seen: set[tuple[tuple[str, int], ...]] = set()
        chosen = sorted({(i + 1) * len(every) // self.cuts for i in range(self.cuts)})
        state = self.place.live / "state"
        self.place.back("before")
        state.mkdir(exist_ok=True, mode=0o700)
        disk, done = Disk(state), 0
        for at in chosen:
            for each in every[done:at]:
                disk.apply(each)
            done = at
            for mode in MODES:
                files = disk.left(mode, seed=at)
                key = tuple(sorted((path, hash(content)) for path, content in files.items()))
                self.tally.points[f"power: {mode}"] += 1
                if key in seen:
                    continue  # the same disk as at an earlier point: it comes to the same
                seen.add(key)
                self._cut(
                    f"run {number}, power cut after operation {at} of {len(every)} ({mode})", disk, files, expected
                )

    def _cut(self, what: str, disk: Disk, files: dict[str, bytes], expected: list[Facts]) -> None:
        self.place.back("before")
        shutil.rmtree(self.place.live / "state", ignore_errors=True)
        (self.place.live / "state").mkdir(mode=0o700)
        disk.lay(files)
        # Whether a mail had gone out by then isn't asked here: what was marked as sent was.
        self._recovered(what, expected, Counter())

    def _judged(self) -> None:
        """Compare the undisturbed runs with one pass over all lines that could be read."""
        tally, world = self.tally, self.world
        found = facts(self.place.live)
        tally.lines, tally.destroyed = len(world.lines), len(world.destroyed)
        tally.named = len(found.losses) + found.cuts
        if tally.destroyed and not tally.named and not self.starve:
            tally.wrong.append(f"{tally.destroyed} lines were destroyed, and nothing was said")
        whole = self.tool.analysed(world.everything())
        if wrong := {name: (found.sums[name], whole[name]) for name in whole if found.sums[name] != whole[name]}:
            tally.wrong.append(f"all runs against one pass: {wrong}")
        tally.lost += max(0, len(world.lines) - found.lines)
        tally.doubled += max(0, found.lines - len(world.lines))


def logtail(
    tool: Logtail, world: World, folder: Path, story: Story, *, most: int, swept: Iterable[int] = (0, 1, 2)
) -> Tally:
    """Play a story with logtail2; each run that is swept is killed at each of its calls, and run again."""
    place, tally, kept = Place(folder), Tally(), frozenset(swept)
    place.live.mkdir(parents=True)
    for number, _ in enumerate(story(world)):
        place.keep("before")
        done = tool.run(world, place.live)
        place.keep("after")
        tally.runs += 1
        if number not in kept:
            continue
        for fault in points(done.counts, most):
            place.back("before")
            tool.run(world, place.live, fault)
            tool.run(world, place.live)
            tally.points[fault.kind] += 1
            now_lost, now_doubled = _compared(tool, world, place.live)
            tally.read_after += len(world.lines)
            tally.lost_after += now_lost
            tally.doubled_after += now_doubled
        place.back("after")
    tally.lines, tally.destroyed = len(world.lines), len(world.destroyed)
    tally.lost, tally.doubled = _compared(tool, world, place.live)
    return tally


def _compared(tool: Logtail, world: World, state: Path) -> tuple[int, int]:
    got, wanted = tool.lines(state), Counter(world.lines)
    return (wanted - got).total(), (got - wanted).total()
