"""Carries an installation out: files written whole, what was there kept beside them, commands run one by one."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from logscan import writing
from logscan.installing.plan import Aside, CantInstall, Command, File, Step

LONGEST = 120.0
"""Seconds that a command may take."""

MOST_OLD = 100
"""Earlier versions that are kept of a file."""


def applied(steps: Sequence[Step], root: Path) -> Iterator[str]:
    """Carry out the steps below ``root``, and say after each what was done. Commands are run on this machine itself only.

    Raises :class:`logscan.installing.plan.CantInstall`, which says what has been done no more than the lines before it.
    """
    for step in steps:
        if not isinstance(step, Command):
            _within(root, step.path)
        try:
            yield from _done(step, root)
        except OSError as error:
            what = step.path if not isinstance(step, Command) else str(step)
            raise CantInstall(f"{what}: {error.strerror or error}") from error


def _within(root: Path, path: str) -> None:
    """Raise :class:`CantInstall` where links of an image lead out of it: what is written then would be this machine's."""
    place, inside = (root / path.lstrip("/")).parent.resolve(), root.resolve()
    if not place.is_relative_to(inside):
        raise CantInstall(f"{path} leads out of {root}, to {place}: a link there is absolute")


def _done(step: Step, root: Path) -> Iterator[str]:
    if isinstance(step, File):
        yield from _written(step, root)
    elif isinstance(step, Aside):
        path = root / step.path.lstrip("/")
        if path.exists() or path.is_symlink():
            yield f"{step.path} is now {_kept(path).name}: {step.why}"
            path.unlink()
    elif root != Path("/"):
        yield f"not run, since --root is another system: {step}"
    else:
        _run(step)
        yield f"ran {step}"


def _written(file: File, root: Path) -> Iterator[str]:
    path = root / file.path.lstrip("/")
    if path.is_symlink():
        raise CantInstall(
            f"{file.path} is a link, to {path.readlink()}: a unit that is masked stays so; remove the link first"
        )
    content = file.content.encode("utf-8")
    if path.exists():
        if not stat.S_ISREG(path.stat().st_mode):
            raise CantInstall(f"{file.path} is no file")
        if not file.ours:
            yield f"{file.path} is there, and stays as it is"
            return
        if path.read_bytes() == content:
            path.chmod(0o644)
            yield f"{file.path} is as it should be"
            return
        if file.kept:
            yield f"{file.path} was another: it is kept as {_kept(path).name}"
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True)
        path.parent.chmod(0o755)
    writing.save(content, path)
    path.chmod(0o644)
    yield f"wrote {file.path}"


def _kept(path: Path) -> Path:
    """Copy a file beside itself under a name that nothing reads: neither cron nor systemd takes one that ends so."""
    content = path.read_bytes()
    for number in range(1, MOST_OLD):
        old = path.with_name(f"{path.name}.old{number if number > 1 else ''}")
        try:
            fd = os.open(old, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, stat.S_IMODE(path.stat().st_mode))
        except FileExistsError:
            if old.is_file() and not old.is_symlink() and old.read_bytes() == content:
                return old
            continue
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        return old
    raise CantInstall(f"{path} has {MOST_OLD} earlier versions beside it: remove those that aren't needed")


def _run(command: Command) -> None:
    try:
        done = subprocess.run(
            command.words, capture_output=True, timeout=LONGEST, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise CantInstall(f"`{command}` did not end within {LONGEST:g} s") from None
    except OSError as error:
        raise CantInstall(f"`{command}` can't be started: {error.strerror}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "backslashreplace").strip().splitlines()
        raise CantInstall(f"`{command}` ended with status {done.returncode}" + (f": {said[-1][:300]}" if said else ""))
