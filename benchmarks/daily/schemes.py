"""The rotation schemes: each a story that stops wherever the daily run is to come."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

from benchmarks.daily.journal import Journal
from benchmarks.daily.world import World

Story = Callable[[World], Iterator[None]]


def create(world: World) -> Iterator[None]:
    """Renamed, a new one made; syslog writes to the old one until it is told, and a run comes in between."""
    world.write()
    yield
    world.write()
    world.rotate("create", reopen=False)
    late = world.next()
    world.write(late[:20])
    yield
    world.write(late[20:30])
    world.reopen()
    world.write(late[30:])
    yield
    world.write()
    world.rotate("create")
    world.write()
    yield


def copytruncate(world: World) -> Iterator[None]:
    """Copied, then cut; once with lines written in between, which nobody can have."""
    world.write()
    yield
    world.write()
    world.rotate("copytruncate")
    world.write()
    yield
    world.write()
    between = world.next()
    world.copied_and_cut(between[:10])
    world.write(between[10:])
    yield
    world.write()
    yield


def dateext(world: World) -> Iterator[None]:
    """Renamed to a name with the day."""
    world.write()
    yield
    for _ in range(2):
        world.write()
        world.rotate("dateext", "create")
        world.write()
        yield
    world.write()
    yield


def compress(world: World) -> Iterator[None]:
    """Renamed and compressed at once: the continuation stands in a .gz."""
    world.write()
    yield
    for _ in range(3):
        world.write()
        world.rotate("compress", "create")
        world.write()
        yield


def delaycompress(world: World) -> Iterator[None]:
    """Renamed, compressed a rotation later: what was read already comes again under another name and as other bytes."""
    world.write()
    yield
    for _ in range(4):
        world.write()
        world.rotate("compress", "delaycompress", "create")
        yield


def two_rotations(world: World) -> Iterator[None]:
    """Two between two runs; then three of which only the last is kept: one file is gone unread."""
    world.write()
    yield
    world.write()
    world.rotate("compress", "create")
    world.write()
    world.rotate("compress", "create")
    world.write()
    yield
    before = len(world.lines)
    world.write()
    world.rotate("compress", "create", keep=1)
    world.destroyed += world.lines[before:]
    del world.lines[before:]
    world.write()
    world.rotate("compress", "create", keep=1)
    world.write()
    yield
    world.write()
    yield


def restored_backup(world: World) -> Iterator[None]:
    """Old logs come back from a backup, beside what they became and in its place: other inodes, other times, the same content."""
    world.write()
    yield
    world.write()
    world.rotate("create")
    shutil.copyfile(world.path.with_name("mail.log.1"), world.folder.parent / "backup")
    world.write()
    yield
    world.rotate("create")
    world.write()
    shutil.copyfile(world.folder.parent / "backup", world.path.with_name("mail.log.restored"))
    shutil.copyfile(world.path.with_name("mail.log.2"), world.folder.parent / "second")
    (world.folder.parent / "second").replace(world.path.with_name("mail.log.2"))
    yield
    world.write()
    yield


def clock_step(world: World) -> Iterator[None]:
    """The clock is set back an hour, a rotation comes, and it is set forward again."""
    world.write()
    yield
    world.shift = -3_600_000
    world.write()
    world.rotate("create")
    yield
    world.write()
    world.shift = 0
    world.write()
    yield
    world.write()
    yield


def disk_full(world: World) -> Iterator[None]:
    """The log's disk is full in the middle of a line: what is logged then is nowhere, the next line stands behind the half."""
    world.write()
    yield
    lines = world.next()
    world.write(lines[:20])
    world.half(lines[20])
    world.full = True
    world.write(lines[21:30])
    yield
    world.full = False
    world.write(lines[30:])
    yield
    world.rotate("create")
    world.write()
    yield


def half_line(world: World) -> Iterator[None]:
    """The run comes while a line is being written; once it is rotated away before it is written to its end."""
    lines = world.next()
    world.write(lines[:-1])
    rest = world.half(lines[-1])
    yield
    world.write([rest])
    world.write()
    yield
    lines = world.next()
    world.write(lines[:-1])
    rest = world.half(lines[-1])
    world.rotate("create", reopen=False)
    yield
    world.write([rest])
    world.reopen()
    world.write()
    yield


def inode_reused(world: World) -> Iterator[None]:
    """The old log is compressed, and the new one gets its inode; it is longer than the old one was when it was read."""
    world.write()
    yield
    for _ in range(2):
        inode = world.path.stat().st_ino
        world.rotate("compress", "create", reopen=False)
        world.path.unlink()
        world.reused = world.same_inode(inode)
        world.write()
        world.write()
        yield
    world.write()
    yield


def journal_vacuumed(world: World) -> Iterator[None]:
    """The journal in place of files; it lets go of its oldest records, once of some that nobody has read."""
    journal = world.journal = Journal(world.folder / "journal")
    for number in range(4):
        journal.add(world.next(), world)
        if number == 1:
            journal.vacuum(1)
        if number == 2:
            before = len(world.lines)
            journal.add(world.next(), world)
            journal.vacuum(1)
            unread = journal.sizes[-2]
            world.destroyed += world.lines[before - unread : before]
            del world.lines[before - unread : before]
        yield


SCHEMES: dict[str, Story] = {
    "create": create,
    "copytruncate": copytruncate,
    "dateext": dateext,
    "compress": compress,
    "delaycompress": delaycompress,
    "two rotations": two_rotations,
    "restored backup": restored_backup,
    "clock step": clock_step,
    "disk full": disk_full,
    "half line": half_line,
    "inode reused": inode_reused,
    "journal vacuumed": journal_vacuumed,
}
