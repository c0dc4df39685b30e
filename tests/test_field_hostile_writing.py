"""Files that are written: whole or as they were, never through a stranger's link, never readable by more people."""

from __future__ import annotations

import errno
import os
import resource
import stat
from pathlib import Path
from typing import BinaryIO

import pytest
from conftest import Run

from logscan.samples import story
from logscan.writing import EVERYBODY, made, readers, save

LOG = story("healthy") / "mail.log"
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def entries(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.mark.parametrize(
    "content", ["text", b"bytes", lambda file: file.write(b"written")], ids=["str", "bytes", "writer"]
)
def test_a_file_is_written_whole(tmp_path: Path, content: str) -> None:
    save(content, tmp_path / "x")
    assert (tmp_path / "x").read_text() in ("text", "bytes", "written")
    assert entries(tmp_path) == ["x"]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("before")

    def fails(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        save(fails, tmp_path / "x")
    assert (tmp_path / "x").read_text() == "before"
    assert entries(tmp_path) == ["x"]


def test_an_existing_file_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("before")
    (tmp_path / "x").chmod(0o604)
    save("after", tmp_path / "x")
    assert (mode(tmp_path / "x"), (tmp_path / "x").read_text()) == (0o604, "after")


@ROOT_ONLY
def test_an_existing_file_keeps_its_owner(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("before")
    os.chown(tmp_path / "x", 1234, 2345)
    (tmp_path / "x").chmod(0o640)
    save("after", tmp_path / "x")
    status = (tmp_path / "x").stat()
    assert (status.st_uid, status.st_gid, mode(tmp_path / "x")) == (1234, 2345, 0o640)


def test_our_own_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "x").symlink_to("www/page")
    save("page", tmp_path / "x")
    assert (tmp_path / "x").is_symlink()
    assert (tmp_path / "www" / "page").read_text() == "page"


@ROOT_ONLY
@pytest.mark.parametrize("where", ["file", "folder"])
def test_a_stranger_s_link_is_not_followed(tmp_path: Path, where: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "x").write_text("precious")
    folder = tmp_path / "folder"
    if where == "file":
        folder.mkdir()
        (folder / "x").symlink_to(target / "x")
        os.lchown(folder / "x", 1234, 1234)
    else:
        folder.symlink_to(target)
        os.lchown(folder, 1234, 1234)
    with pytest.raises(OSError, match="link that belongs to another user"):
        save("report", folder / "x")
    with pytest.raises(OSError, match="link that belongs to another user"):
        save({"x": "report"}, folder)
    assert (target / "x").read_text() == "precious"


@ROOT_ONLY
def test_a_file_that_a_stranger_laid_ready_in_a_shared_folder_is_not_filled(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / "x").write_text("")
    os.chown(tmp_path / "x", 1234, 1234)
    with pytest.raises(PermissionError, match="another user's file"):
        save("report", tmp_path / "x")


@ROOT_ONLY
def test_tables_follow_no_link(run: Run, tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("precious")
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "entries.parquet").symlink_to(tmp_path / "passwd")
    os.lchown(folder / "entries.parquet", 1234, 1234)
    done = run("analyse", LOG, "--tables", folder)
    assert done.returncode == 2
    assert "entries.parquet is a link that belongs to another user" in done.stderr
    assert (tmp_path / "passwd").read_text() == "precious"


def test_a_device_is_written_to(tmp_path: Path) -> None:
    save("x", Path("/dev/null"))
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="No space"):
        save("x", Path("/dev/full"))
    os.mkfifo(tmp_path / "pipe")
    read_end = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    save("through the pipe", tmp_path / "pipe")
    assert os.read(read_end, 100) == b"through the pipe"
    os.close(read_end)


@pytest.mark.parametrize(
    ("logs", "expected"),
    [
        ([], 0o666),
        ([(0o644, 0)], 0o666),
        ([(0o640, os.getegid())], 0o660),
        ([(0o640, os.getegid() + 1)], 0o600),
        ([(0o600, os.getegid())], 0o600),
        ([(0o644, 0), (0o640, os.getegid())], 0o660),
        ([(0o604, 0)], 0o666),
    ],
)
def test_a_report_is_read_by_nobody_who_can_t_read_every_log(logs: list[tuple[int, int]], expected: int) -> None:
    assert readers(logs) == expected


def test_a_new_file_has_no_more_readers_than_it_may(tmp_path: Path) -> None:
    save("x", tmp_path / "everybody", EVERYBODY)
    save("x", tmp_path / "nobody", 0o600)
    made(tmp_path / "folder" / "inner", 0o600)
    assert mode(tmp_path / "everybody") == 0o666 & ~umask()
    assert mode(tmp_path / "nobody") == 0o600
    assert mode(tmp_path / "folder" / "inner") == 0o700


def umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def test_a_full_disk_leaves_no_cut_tables(run: Run, tmp_path: Path) -> None:
    """A limit of the size of files stands for the disk: the write fails the same way."""
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    heeded = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, before[1]))
    try:
        done = run("analyse", LOG, "--tables", tmp_path / "tables", "-o", tmp_path / "x.html")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, heeded)
    assert done.returncode == 2
    assert "File too large" in done.stderr
    import pyarrow.parquet as pq

    for each in (tmp_path / "tables").glob("*"):
        pq.read_table(each)
    assert not (tmp_path / "x.html").exists()
    assert not [name for name in entries(tmp_path) if name.startswith(".")]
