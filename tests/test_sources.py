"""Sources: everything is recognised by content, nothing raises, and no line is split."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.sources import cutting
from logscan.sources import source as of_source
from logscan.sources.finding import Discovery, discover, order
from logscan.sources.naming import dspam_user
from logscan.sources.opening import local
from logscan.sources.source import Source

BSD = b"Nov 22 19:03:45 mx1 postfix/qmgr[7]: 4A97F54A7D9: removed\n"
ISO = b"2026-11-22T19:03:45.123456+00:00 mx1 postfix/qmgr[7]: 4A97F54A7D9: removed\n"
SYSTEM = b"1795374178\tC\tx0@spam.invalid\t\tPrince\t0.010189\tbob\t\t<1@x>\n"
USER = b"1795374178\tC\tx0@spam.invalid\t\tPrince\tDelivered\t<1@x>\n\n"


def whole(source: Source, size: int = 1000) -> bytes:
    return b"".join(source.chunks(size))


def kinds(found: Discovery) -> dict[str, str]:
    return {source.label: source.kind for source in found.sources}


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    """A log of 100 lines."""
    path = tmp_path / "mail.log"
    path.write_bytes(BSD * 100)
    return path


def test_a_file_is_a_source(mail: Path) -> None:
    found = discover([str(mail)])
    assert kinds(found) == {"mail.log": "syslog-bsd"}
    source = found.sources[0]
    assert (source.path, source.size, source.compression) == (str(mail), len(BSD) * 100, "")
    assert source.mtime == mail.stat().st_mtime
    assert whole(source) == mail.read_bytes()
    assert (found.configs, found.passed_over, found.errors) == ([], [], [])


def test_chunks_and_spans_never_split_a_line(mail: Path) -> None:
    source = discover([str(mail)]).sources[0]
    pieces = list(source.chunks(1000))
    assert len(pieces) > 3
    assert all(piece.endswith(b"\n") for piece in pieces)
    spans = source.spans(1000)
    assert spans is not None
    assert b"".join(source.read_span(*span) for span in spans) == mail.read_bytes()
    assert all(source.read_span(*span).endswith(b"\n") for span in spans)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line), max_size=60), st.integers(1, 200))
def test_any_lines_come_whole(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int) -> None:
    path = tmp_path_factory.mktemp("any") / "x.log"
    path.write_bytes(BSD + b"\n".join(lines))
    source = Source(str(path), "x.log", "syslog-bsd", local(path))
    assert whole(source, size) == path.read_bytes().replace(b"\0", b"")
    spans = source.spans(size)
    assert spans is not None
    assert b"".join(source.read_span(*span) for span in spans) == path.read_bytes()
    for pieces in (list(source.chunks(size)), [source.read_span(*span) for span in spans]):
        assert all(piece.endswith(b"\n") for piece in pieces[:-1])


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("packer", PACKERS)
def test_archives_are_told_by_content_not_by_name(packer: str, tmp_path: Path) -> None:
    path = tmp_path / "mail.log.1"
    path.write_bytes(PACKERS[packer](BSD * 3000) + PACKERS[packer](ISO))
    source = discover([str(path)]).sources[0]
    assert (source.kind, source.compression, source.spans()) == ("syslog-bsd", packer, None)
    assert whole(source, 50_000) == BSD * 3000 + ISO
    assert source.error == ""


@pytest.mark.parametrize("packer", PACKERS)
def test_a_cut_archive_gives_what_there_is_and_says_so(packer: str, tmp_path: Path) -> None:
    path = tmp_path / "mail.log.1.gz"
    lines = b"".join(
        b"Nov 22 19:03:45 mx1 postfix/qmgr[7]: %06X: removed\n" % (n * 7919 % 2**24) for n in range(20_000)
    )
    packed = PACKERS[packer](lines)
    path.write_bytes(packed[: len(packed) * 3 // 4])
    found = discover([str(path)])
    if not found.sources:
        assert "cut off" in found.errors[0][1]
        return
    read = whole(found.sources[0], 50_000)
    assert lines.startswith(read)
    assert "cut off" in found.sources[0].error


def test_a_damaged_archive_is_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "mail.log.1.gz"
    packed = bytearray(gzip.compress(os.urandom(50_000).hex().encode() + BSD))
    packed[30_000:30_100] = bytes(100)
    path.write_bytes(b"\x1f\x8b" + bytes(50))
    assert discover([str(path)]).sources == []
    path.write_bytes(gzip.compress(BSD * 10) + b"rubbish after the end")
    source = discover([str(path)]).sources[0]
    assert whole(source) == BSD * 10
    assert "damaged" in source.error


def test_unknown_packers_are_named(tmp_path: Path) -> None:
    (tmp_path / "mail.log.1.lz4").write_bytes(b"\x04\x22\x4d\x18" + bytes(20))
    assert "lz4" in str(discover([str(tmp_path)]).passed_over[0])


def test_a_folder_is_searched_by_content(tmp_path: Path) -> None:
    home = tmp_path / "dspam" / "data" / "example.com" / "bob"
    home.mkdir(parents=True)
    (home / "bob.log").write_bytes(USER * 3)
    (home / "bob.stats").write_text("0,8,0,0,0,0\n")
    (home / "bob.sig").mkdir()
    (home / "bob.sig" / "6b03.sig").write_bytes(b"\1\2")
    (tmp_path / "dspam" / "system.log").write_bytes(SYSTEM * 3)
    (tmp_path / "strange name").write_bytes(BSD * 3)
    (tmp_path / "main.cf").write_text("myhostname = mx1\n")
    (tmp_path / "picture").write_bytes(bytes(range(256)))
    (tmp_path / "empty.log").touch()
    (tmp_path / "nothing").touch()
    (tmp_path / ".hidden").write_bytes(BSD)
    (tmp_path / "box").write_bytes(b"From a@b Sun Nov 22 19:03:45 2026\nSubject: x\n\nx\n")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "again").symlink_to(tmp_path / "strange name")
    (tmp_path / "broken").symlink_to(tmp_path / "missing")
    os.mkfifo(tmp_path / "pipe")
    found = discover([str(tmp_path)])
    assert sorted(kinds(found).values()) == ["dspam-system-log", "dspam-user-log", "empty", "syslog-bsd"]
    user = next(source for source in found.sources if source.kind == "dspam-user-log")
    assert (user.label, user.context) == ("dspam/data/example.com/bob/bob.log", {"user": "bob@example.com"})
    assert {config.label: config.head for config in found.configs} == {
        "dspam/data/example.com/bob/bob.stats": b"0,8,0,0,0,0\n",
        "main.cf": b"myhostname = mx1\n",
    }
    assert sorted(map(str, found.passed_over)) == [
        "box: a mailbox",
        "nothing: empty",
        "picture: not a text file",
        "pipe: not a regular file",
    ]
    assert found.errors == []


def test_the_same_file_is_read_once(mail: Path) -> None:
    assert len(discover([str(mail), str(mail.parent), str(mail.parent / "*.log")]).sources) == 1


def test_what_cannot_be_read_is_an_error_with_advice(tmp_path: Path) -> None:
    missing = discover([str(tmp_path / "no.log"), str(tmp_path / "*.gone")])
    assert [why for _, why in missing.errors] == [
        "there is no such file or folder; check the path",
        "no file matches this pattern; check the folder, and quote it for the shell",
    ]
    locked = tmp_path / "mail.log"
    locked.write_bytes(BSD)
    locked.chmod(0)
    if not os.access(locked, os.R_OK):
        assert "group adm" in discover([str(locked)]).errors[0][1]
    locked.chmod(stat.S_IRUSR)


def test_a_file_that_vanishes_is_read_all_the_same(mail: Path) -> None:
    source, content = discover([str(mail)]).sources[0], mail.read_bytes()
    mail.unlink()
    assert b"".join(source.chunks()) == content
    assert source.read_span(0, 10) == content[:10]
    assert source.spans() == [(0, len(content))]
    assert source.error == ""


def test_standard_input_is_recognised_unpacked_and_read_once() -> None:
    content = b"".join(ISO[:-1] + b" %x\n" % (n**5 % 2**64) for n in range(20_000))
    found = discover(["-"], stdin=io.BytesIO(gzip.compress(content)))
    source = found.sources[0]
    assert (source.kind, source.compression, source.label) == ("syslog-iso", "gzip", "standard input")
    assert pickle.loads(pickle.dumps(source)).kind == "syslog-iso"
    assert whole(source) == content
    assert whole(source) == b""


def test_a_url_is_read_through_fsspec() -> None:
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.pipe("/logs/mail.log", BSD * 2)
    fs.pipe("/logs/mail.log.1.gz", gzip.compress(ISO * 2))
    found = discover(["memory://logs"])
    assert kinds(found) == {"mail.log": "syslog-bsd", "mail.log.1.gz": "syslog-iso"}
    assert {whole(source) for source in found.sources} == {BSD * 2, ISO * 2}
    assert discover(["memory://logs/none"]).errors[0][1].startswith("there is no such file")
    assert discover(["nonsense://x"]).errors


def test_a_tar_archive_is_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in (("b/mail.log", BSD), ("b/mail.log.1.gz", gzip.compress(ISO)), ("b/main.cf", b"a = b\n")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    found = discover([str(path)])
    assert kinds(found) == {"bundle.tar.gz/b/mail.log.1.gz": "syslog-iso", "bundle.tar.gz/b/mail.log": "syslog-bsd"}
    assert [whole(source) for source in found.sources] == [ISO, BSD]
    assert found.configs[0].read() == b"a = b\n"
    path.write_bytes(path.read_bytes()[:-40])
    assert "cut off" in discover([str(path)]).errors[0][1]


def test_labels_are_unique(tmp_path: Path) -> None:
    for host in ("mx1", "mx2"):
        (tmp_path / host).mkdir()
        (tmp_path / host / "mail.log").write_bytes(BSD)
    found = discover([str(tmp_path / "mx1" / "mail.log"), str(tmp_path / "mx2")])
    assert sorted(kinds(found)) == ["mx1/mail.log", "mx2/mail.log"]


def test_rotated_sets_are_put_in_order(tmp_path: Path) -> None:
    for name in ("mail.log", "mail.log.1", "mail.log.2.gz", "mail.log.10.gz"):
        (tmp_path / name).write_bytes(gzip.compress(BSD) if name.endswith("gz") else BSD)
    found = discover([str(tmp_path)])
    assert [source.label for source in found.sources] == ["mail.log.10.gz", "mail.log.2.gz", "mail.log.1", "mail.log"]


def test_times_in_the_lines_beat_the_names(tmp_path: Path) -> None:
    (tmp_path / "mail.log.1").write_bytes(ISO)
    (tmp_path / "mail.log.2").write_bytes(ISO.replace(b"11-22", b"11-29"))
    found = discover([str(tmp_path)])
    assert [source.label for source in found.sources] == ["mail.log.1", "mail.log.2"]
    assert [source.label for source in order(found.sources[::-1])] == ["mail.log.1", "mail.log.2"]


def test_a_line_without_end_fills_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "LONGEST", 5000)
    monkeypatch.setattr(of_source, "BLOCK", 1000)
    path = tmp_path / "mail.log"
    path.write_bytes(BSD + b"x" * 100_000 + b"\n" + BSD)
    source = discover([str(path)]).sources[0]
    pieces = list(source.chunks(1000))
    assert max(map(len, pieces)) < 10_000
    assert b"".join(pieces).startswith(BSD)
    assert b"".join(pieces).endswith(b"\n" + BSD)
    assert b"".join(pieces).count(b"\n") == 3
    assert source.spans(1000) is None


def test_a_run_of_nuls_before_the_first_line_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(bytes(3 << 20) + BSD * 2)
    (tmp_path / "lastlog").write_bytes(bytes(200_000))
    found = discover([str(tmp_path)])
    assert [whole(source) for source in found.sources] == [BSD * 2]
    assert found.sources[0].spans(1 << 20) is None
    assert list(map(str, found.passed_over)) == ["lastlog: not a text file"]


def test_journal_entries_are_not_split(tmp_path: Path) -> None:
    entry = b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795374225060843\nMESSAGE=x\n\n"
    path = tmp_path / "journal.export"
    path.write_bytes(entry * 50)
    source = discover([str(path)]).sources[0]
    assert (source.kind, source.spans()) == ("journal-export", None)
    pieces = list(source.chunks(300))
    assert len(pieces) == 1 or all(len(piece) % len(entry) == 0 for piece in pieces)
    assert b"".join(pieces) == entry * 50


def test_a_journal_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "journalctl" in discover(["journal:"]).errors[0][1]


@pytest.mark.parametrize(
    ("path", "user"),
    [
        ("/var/spool/dspam/data/example.com/alice/alice.log", "alice@example.com"),
        ("/var/spool/dspam/data/local/alice/alice.log", "alice"),
        ("/var/spool/dspam/data/alice/alice.log", "alice"),
        ("/var/spool/dspam/data/a/l/alice/alice.log", "alice"),
        ("/var/spool/dspam/data/a/a/a.log", "a"),
        ("data/example.com/first.last/first.last.log.1.gz", "first.last@example.com"),
        ("data/example.com/user-2024/user-2024.log", "user-2024@example.com"),
        ("copy/example.com/alice/alice.log", "alice@example.com"),
        ("copy/alice/alice.log", "alice"),
        ("/home/alice/.dspam/alice.log", "alice"),
        ("alice.log", "alice"),
        ("data/al/alice/alice.log", "alice@al"),
    ],
)
def test_a_user_log_s_path_names_the_user(path: str, user: str) -> None:
    assert dspam_user(path) == user


@pytest.mark.parametrize("size", [1, 60, 400, 3000])
@pytest.mark.parametrize("packed", [False, True])
def test_what_goes_on_in_the_next_line_stays_in_one_piece(size: int, packed: bool, tmp_path: Path) -> None:
    """A folded record of DSPAM's, and amavis's texts in several lines with others' between them."""
    lines = []
    for n in range(300):
        lines.append(f"Nov 22 18:44:26 mx1 postfix/qmgr[7]: {n:X}: removed\n")
        if n % 5 == 0:
            first = f"Nov 22 18:44:26 mx1 amavis[9]: ({n}-1) Passed CLEAN {'x' * 50}...\n"
            last = f"Nov 22 18:44:26 mx1 amavis[9]: ({n}-1) ...and so on\n"
            lines += [first, "Nov 22 18:44:26 mx1 postfix/qmgr[7]: AB: removed\n", last]
        if n % 7 == 0:
            lines += ["1795374827\tI\tsam@example.org\tabc\t<folded\n", "\t message-id>\n"]
    data = "".join(lines).encode()
    path = tmp_path / ("mail.log.gz" if packed else "mail.log")
    path.write_bytes(gzip.compress(data) if packed else data)
    (source,) = discover([str(path)]).sources
    spans = source.spans(size)
    pieces = [source.read_span(*span) for span in spans] if spans is not None else list(source.chunks(size))
    assert (spans is None) == packed
    assert b"".join(pieces) == data
    assert len(pieces) > 1
    assert not any(piece.startswith((b" ", b"\t")) for piece in pieces)
    assert all(piece.count(b"...\n") == piece.count(b" ...and") for piece in pieces)
