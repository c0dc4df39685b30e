"""The state's folder: whether it can be trusted, its lock, and files below it, reached through no link."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from logscan import trust

DATABASE, LOCK, PARTITIONS = "logscan.db", "lock", "partitions"

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite writes beside a database."""

BUILT, RESTORED = "logscan.db.new", "logscan.db.restored"
"""A database while it is saved from a broken one, and when that is done but not yet in its place."""

BROKEN = ".broken-"
"""Behind this stands when a file was set aside."""

BETWEEN_TRIES = 0.1
"""Seconds after which a lock is tried again."""


class StateError(Exception):
    """The state can't be used; the message says what is wrong, where, and what to do."""


class BusyError(StateError):
    """Another run is at work on the state."""


def own_name(name: str) -> bool:
    """Whether a name at the top of the folder is one that logscan gives."""
    return name in (LOCK, PARTITIONS) or name.startswith((DATABASE, f".{DATABASE}", f"{PARTITIONS}{BROKEN}"))


def own_file(name: str) -> bool:
    """Whether a file among the partitions has a name that logscan gives, also while it is being written."""
    return name.removeprefix(".").partition(".")[2].partition(".")[0] == "parquet"


def prepared(folder: Path) -> list[str]:
    """See to it that the folder is there, ours and shut to others; return what had to be changed. Raises StateError."""
    try:
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        trusted(folder)
        return _shut(folder)
    except OSError as error:
        raise StateError(f"the state's folder {folder} can't be used: {error.strerror or error}") from error


def trusted(folder: Path) -> None:
    """Raise StateError where the folder, or one above it, is another user's or one that others can write."""
    try:
        status = folder.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise StateError(f"{folder} is no folder: the state needs one of its own (--state DIR)")
        if status.st_uid != os.geteuid():
            owner = _user(status.st_uid)
            raise StateError(
                f"the state's folder {folder} belongs to {owner}: run logscan as that user"
                f" (runuser -u {owner} -- logscan …), or name another folder (--state DIR)"
            )
        if trust.writable(status):
            raise StateError(
                f"others can write the state's folder {folder}, so that what it says can't be trusted:"
                f" look at what it holds, then chmod 700 {folder}"
            )
        for above in {*folder.absolute().parents, *folder.resolve().parents}:
            _walkable(folder, above)
        if (link := _stranger(folder)) is not None:
            raise StateError(f"the state's folder {folder} is reached by {link}, a link that belongs to another user")
    except OSError as error:
        raise StateError(f"the state's folder {folder} can't be read: {error.strerror or error}") from error


def _walkable(folder: Path, above: Path) -> None:
    status = above.stat()
    if not trust.ours(status):
        raise StateError(
            f"the state's folder {folder} lies in {above}, which belongs to {_user(status.st_uid)}, who could put another"
            " in its place: name another folder (--state DIR)"
        )
    # A user's own group may write where only he is in it, as with umask 002; nobody removes what isn't his where it is sticky.
    own_group = os.geteuid() != 0 and status.st_gid == os.getegid() and not status.st_mode & stat.S_IWOTH
    if trust.writable(status) and not status.st_mode & stat.S_ISVTX and not own_group:
        raise StateError(
            f"the state's folder {folder} lies in {above}, which others can write: they could put another in its place;"
            " name another folder (--state DIR)"
        )


def _stranger(folder: Path) -> Path | None:
    for part in (*reversed(folder.absolute().parents), folder.absolute()):
        status = part.lstat()
        if stat.S_ISLNK(status.st_mode) and not trust.ours(status):
            return part
    return None


def _shut(folder: Path) -> list[str]:
    """Let nobody else look into the folder, where it is logscan's alone."""
    if not folder.stat().st_mode & 0o077:
        return []
    names = {each.name for each in folder.iterdir()}
    if foreign := sorted(name for name in names if not own_name(name)):
        raise StateError(
            f"{folder} holds other files ({foreign[0]!r}) and others can read it: the state needs a folder of its own"
            " (--state DIR)"
        )
    folder.chmod(0o700)
    if folder.stat().st_mode & 0o077:
        return [f"{folder} can't be shut to others (chmod 700 has no effect there): they can read the state"]
    return [f"{folder} was open to others: it is 0700 now"]


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def regular(folder: Path) -> None:
    """Raise StateError where something lies in the database's place that is no file of ours."""
    for name in (DATABASE, *(DATABASE + each for each in BESIDE), LOCK, BUILT, RESTORED):
        with suppress(FileNotFoundError):
            status = (folder / name).lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                raise StateError(f"{folder / name} is no file of this user: look at what it is, and take it away")


_held: set[int] = set()
"""Descriptors of the locks that this process has."""


def _forked() -> None:
    """Let go of the locks in a worker: it may outlive a run that was killed, and must not hold the next one up."""
    for fd in _held:
        with suppress(OSError):
            os.close(fd)
    _held.clear()


os.register_at_fork(after_in_child=_forked)


class Lock:
    """An exclusive lock on the folder: of two runs at once, the second waits or says so. Who holds it writes so in it."""

    def __init__(self, folder: Path, wait: float) -> None:
        self._path = folder / LOCK
        until = time.monotonic() + wait
        try:
            while not self._tried():
                if time.monotonic() >= until:
                    raise BusyError(f"another run ({self._holder()}: wait for it ({self._path} is locked)")
                time.sleep(BETWEEN_TRIES)
        except OSError as error:
            raise StateError(f"{self._path} can't be locked: {error.strerror or error}") from error
        _held.add(self._fd)
        try:
            self._signed()
        except BaseException:
            self.release()
            raise

    def _tried(self) -> bool:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        self._fd = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have taken the file away (``state reset``): a lock on that is none.
            if os.path.samestat(os.fstat(self._fd), self._path.lstat()):
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            os.close(self._fd)
            raise
        os.close(self._fd)
        return False

    def _signed(self) -> None:
        """Write who holds the lock; on a full disk nobody does, and the lock holds all the same."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()} {now}\n".encode(), 0)

    def _holder(self) -> str:
        said = ""
        with suppress(OSError):
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(fd, "rb") as file:
                said = file.read(100).decode("ascii", "replace")
        pid, _, since = said.strip().partition(" ")
        return f"pid {pid}) has been at work since {since}" if pid.isdigit() and since else "unknown) is at work"

    def release(self) -> None:
        """Let the next one in; in a worker, that is the run's to do."""
        if self._fd in _held:
            _held.remove(self._fd)
            os.close(self._fd)


def below(relative: str) -> PurePosixPath:
    """Return where a partition lies; raises ValueError for a path that leads anywhere but into the folder of partitions."""
    path = PurePosixPath(relative)
    parts = relative.split("/")
    if len(parts) < 2 or parts[0] != PARTITIONS or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise ValueError(f"{relative!r} is no path of a partition")
    return path


def opened(folder: Path, relative: str) -> int:
    """Open a partition for reading and return its descriptor; no part of the way is a link. Raises OSError, ValueError."""
    *way, name = below(relative).parts
    parent = _folder(folder, way)
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=parent)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "it is no file")
        return fd
    finally:
        os.close(parent)


def removed(folder: Path, relative: str) -> bool:
    """Remove a partition, and its folder where that is empty then; whether there was one. Raises OSError, ValueError."""
    *way, name = below(relative).parts
    try:
        parent = _folder(folder, way)
    except FileNotFoundError:
        return False
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return False
    finally:
        os.close(parent)
    with suppress(OSError):
        if len(way) > 1:
            grand = _folder(folder, way[:-1])
            try:
                os.rmdir(way[-1], dir_fd=grand)
            finally:
                os.close(grand)
    return True


def _folder(folder: Path, way: list[str]) -> int:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in way:
        try:
            following = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        finally:
            os.close(fd)
        fd = following
    return fd


def files(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield each file below the folder of partitions, as it would stand in a row, with its size; links aren't followed."""
    top = folder / PARTITIONS
    if top.is_symlink() or not top.is_dir():
        return
    for here, _, names in os.walk(top, followlinks=False):
        for name in sorted(names):
            path = Path(here) / name
            with suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    yield path.relative_to(folder).as_posix(), status.st_size


def synced(folder: Path) -> None:
    """See to it that the disk has the names in a folder; raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
