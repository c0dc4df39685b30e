"""A small part of ``benchmarks/daily_kills.py``: runs that are killed or starved, power that is cut; and the harness itself."""

from __future__ import annotations

import gzip
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.daily import world
from benchmarks.daily.daily import Daily, facts
from benchmarks.daily.driving import KILLED, Fault, Stable, points, shim
from benchmarks.daily.logtail import PROGRAM, Logtail
from benchmarks.daily.replaying import Disk, Operation
from benchmarks.daily.schemes import SCHEMES
from benchmarks.daily.sweeping import Sweep
from benchmarks.daily.sweeping import logtail as beside
from benchmarks.daily.world import World

compiled = pytest.mark.skipif(shutil.which("cc") is None, reason="a C compiler makes what kills runs")
FILES = [name for name in SCHEMES if name != "journal vacuumed"]
FEW = ("--check", "log-gap", "--check", "duplicate-delivery")


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stable]:
    """A process that has all imported, and forks runs."""
    with Stable(shim(tmp_path_factory.mktemp("shim"))) as found:
        yield found


@compiled
@pytest.mark.parametrize(("name", "most", "cuts"), [("compress", 8, 1), ("disk full", 4, 0)])
def test_the_next_run_gives_what_an_undisturbed_one_would_have_given(
    stable: Stable, tmp_path: Path, name: str, most: int, cuts: int
) -> None:
    with closing(World(tmp_path / "logs", real=False)) as server:
        tool = Daily(stable, tmp_path, *FEW)
        sweep = Sweep(tool, server, tmp_path / "states", most=most, cuts=cuts, swept=(1,), starve=name == "disk full")
        found = sweep.play(SCHEMES[name])
    assert not found.wrong, "\n".join(found.wrong)
    assert (found.lost, found.doubled, found.lost_after, found.doubled_after) == (0, 0, 0, 0)
    assert found.points.total() == most + 4 * cuts


@compiled
def test_the_harness_sees_a_line_that_was_read_twice(stable: Stable, tmp_path: Path) -> None:
    with closing(World(tmp_path / "logs", real=False)) as server:
        tool = Daily(stable, tmp_path, *FEW)
        sweep = Sweep(tool, server, tmp_path / "states", most=0, cuts=0, swept=())
        sweep.place.live.mkdir(parents=True)
        server.write()
        assert tool.run(server, sweep.place.live).status == 0
        found = facts(sweep.place.live)
        # One that had read a line more before it was killed, and lost a finding.
        sweep._recovered(
            "a trial", [replace(found, lines=found.lines - 1, findings={"x": "lost"})], Counter(["a mail"])
        )
    assert (sweep.tally.lost_after, sweep.tally.doubled_after) == (0, 1)
    assert any("findings" in each for each in sweep.tally.wrong)
    assert any("1 of 1 mails never sent" in each for each in sweep.tally.wrong)


@compiled
def test_a_run_dies_before_the_call_it_was_told_to_and_lives_where_there_is_none(
    stable: Stable, tmp_path: Path
) -> None:
    with closing(World(tmp_path / "logs", real=False)) as server:
        server.write()
        tool, state = Daily(stable, tmp_path, *FEW), tmp_path / "state"
        assert tool.run(server, state, Fault("mkdir", 1)).status == KILLED
        assert not (state / "state").exists()
        done = tool.run(server, state, Fault("rename", 1000))
        assert done.status == 0
        assert done.counts["fdatasync"] > 0
        assert done.counts["fsync"] > 0


def test_points_are_spread_over_all_kinds_of_calls() -> None:
    counts = {"write": 300, "rename": 1, "fsync": 4, "openat": 0}
    every = points(counts, 10**9)
    assert len(set(every)) == len(every) == 305
    assert all(1 <= each.number <= counts[each.kind] for each in every)
    assert Counter(each.kind for each in points(counts, 7)) == {"write": 3, "fsync": 3, "rename": 1}
    assert points(counts, 0) == []


def done(what: str, path: Path, other: Path | str = "", data: bytes = b"", offset: int = 0) -> Operation:
    return Operation(what, str(path), str(other), offset, data)


def test_a_power_cut_takes_what_was_not_synced(tmp_path: Path) -> None:
    old, new, aside = tmp_path / "old", tmp_path / "new", tmp_path / "aside"
    old.write_bytes(b"old content")
    disk = Disk(tmp_path)
    disk.apply(done("w", old, data=b"OLD"))
    disk.apply(done("c", aside))
    disk.apply(done("w", aside, data=b"new content"))
    assert disk.left("data") == {str(old): b"old content", str(aside): b""}
    assert disk.left("names") == {str(old): b"OLD content"}
    disk.apply(done("s", aside))
    disk.apply(done("r", aside, new))
    disk.apply(done("u", old))
    assert disk.left("data") == {str(new): b"new content"}
    assert disk.left("both") == {str(old): b"old content", str(aside): b"new content"}
    disk.apply(done("s", tmp_path))
    assert disk.left("both") == {str(new): b"new content"}


def test_a_power_cut_may_keep_any_of_the_sectors(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * 2048)
    disk = Disk(tmp_path)
    disk.apply(done("w", path, data=b"b" * 2048))
    seen = {disk.left("torn", seed)[str(path)] for seed in range(40)}
    assert len(seen) > 4
    assert all(content[i : i + 512] in (b"a" * 512, b"b" * 512) for content in seen for i in range(0, 2048, 512))


@pytest.mark.skipif(
    world.LOGROTATE is None or not world.FAKETIME.exists(), reason="there is no logrotate, or no faketime"
)
@pytest.mark.parametrize("name", FILES)
def test_rotation_without_logrotate_does_what_logrotate_does(tmp_path: Path, name: str) -> None:
    assert told(tmp_path / "real", name, real=True) == told(tmp_path / "made", name, real=False)


def told(folder: Path, name: str, *, real: bool) -> list[dict[str, bytes]]:
    """Return by name what lies in the logs' folder at each run."""
    with closing(World(folder / "logs", real=real)) as server:
        return [{path.name: content(path) for path in server.folder.iterdir()} for _ in SCHEMES[name](server)]


def content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_each_scheme_keeps_all_lines_somewhere_that_it_does_not_destroy(tmp_path: Path, name: str) -> None:
    seen: set[bytes] = set()
    with closing(World(tmp_path / "logs", real=False)) as server:
        for _ in SCHEMES[name](server):
            for path in server.folder.iterdir():
                seen.update(content(path).splitlines(keepends=True))
        assert len(set(server.lines)) == len(server.lines)
        assert set(server.lines) <= seen


@compiled
@pytest.mark.skipif(PROGRAM is None, reason="there is no logtail2")
def test_logtail2_loses_and_doubles_lines_under_the_same_harness(tmp_path: Path) -> None:
    library = shim(tmp_path)
    with closing(World(tmp_path / "logs", real=False)) as server:
        found = beside(Logtail(library), server, tmp_path / "states", SCHEMES["two rotations"], most=100)
    assert found.lost
    assert found.doubled_after
