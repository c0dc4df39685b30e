"""Archives, streams, options and settings as a stranger, a mistyped line or an odd program makes them."""

from __future__ import annotations

import io
import os
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from logscan import writing
from logscan.cli import asks_for_nagios
from logscan.commands.mail_options import server_of
from logscan.commands.settings_file import _defaults
from logscan.sources.finding import Discovery, discover
from logscan.sources.opening import OpenError, journal
from logscan.sources.source import MOST_NULS, Source
from logscan.visible import without_secrets

LINE = b"Nov 23 10:00:02 mx1 postfix/smtpd[7]: connect from unknown[192.0.2.7]\n"


def tar(path: Path, *files: tuple[str, bytes, dict[str, Any]]) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data, more in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in more.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return path


def lines(found: Discovery) -> list[bytes]:
    return [b"".join(source.chunks()) for source in found.sources]


@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_a_sparse_member_is_read(tmp_path: Path, form: str) -> None:
    """As GNU tar -S writes a log that was cut under its writer: a hole, then the lines."""
    log = tmp_path / "mail.log"
    with log.open("wb") as file:
        file.seek(1 << 20)
        file.write(LINE * 2000)
    archive = tmp_path / "a.tar"
    sparse = f"{len(LINE) * 2000 + (1 << 20)}"
    pairs = f"1048576,{len(LINE) * 2000}"
    headers = {"GNU.sparse.map": pairs, "GNU.sparse.size": sparse, "GNU.sparse.name": "mail.log"}
    if form == "pax":
        tar(archive, ("mail.log", LINE * 2000, {"pax_headers": headers}))
    elif os.system(f"tar -C {tmp_path} -S --format=gnu -cf {archive} mail.log 2>/dev/null"):
        pytest.skip("no GNU tar here")
    log.unlink()
    found = discover([str(archive)])
    assert (lines(found), found.errors) == ([LINE * 2000], [])


def test_what_of_an_archive_is_not_read_is_named(tmp_path: Path) -> None:
    link = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}
    archive = tar(
        tmp_path / "a.tar", ("l.log", b"", link), ("f.log", b"", {"type": tarfile.FIFOTYPE}), ("x/.m.log", LINE, {}),
        ("m.log", LINE, {}), *((f"{n}.log", b"", link) for n in range(100)),
    )  # fmt: skip
    found = discover([str(archive)])
    assert lines(found) == [LINE]
    assert [each.why for each in found.passed_over[:3]] == [
        "a link in the archive", "not a regular file", "its name begins with a dot",
    ]  # fmt: skip
    assert len(found.passed_over) == 21


@pytest.mark.parametrize("time", ["nan", "inf", "-inf", "1e999", "-1e20", str(-(1 << 40)), str(1 << 60)])
def test_a_time_that_is_none_is_not_believed(tmp_path: Path, time: str) -> None:
    found = discover([str(tar(tmp_path / "a.tar", ("m.log", LINE, {"pax_headers": {"mtime": time}})))])
    assert [source.mtime for source in found.sources] == [None]


def test_a_member_of_less_than_nothing_is_an_error(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar", ("m.log", LINE * 100, {}))
    data = bytearray(archive.read_bytes())
    data[124:136], data[148:156] = b"\xff" * 12, b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    archive.write_bytes(data)
    found = discover([str(archive)])
    assert not found.sources
    assert "damaged" in found.errors[0][1]


def test_an_archive_in_an_archive_is_named(tmp_path: Path) -> None:
    inner = tar(tmp_path / "in.tar", ("m.log", LINE, {})).read_bytes()
    found = discover([str(tar(tmp_path / "a.tar", ("in.tar", inner, {}), ("n.log", LINE, {})))])
    assert lines(found) == [LINE]
    assert "within another" in found.errors[0][1]
    found = discover(["-"], stdin=io.BytesIO(inner))
    assert not found.sources
    assert "no local file" in found.errors[0][1]


def test_zstd_may_begin_with_a_frame_to_be_skipped(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    skipped = b"\x5a\x2a\x4d\x18\x04\0\0\0abcd"
    (tmp_path / "m.zst").write_bytes(skipped + zstandard.compress(LINE) + skipped + zstandard.compress(LINE))
    found = discover([str(tmp_path / "m.zst")])
    assert (lines(found), found.sources[0].error) == ([LINE * 2], "")


class Zeros(io.RawIOBase):
    """Lines, then zeros without an end."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        self.given += size
        assert self.given < 4 * MOST_NULS, "it reads on and on"
        return (LINE * 1000).ljust(size, b"\0")[:size] if self.given == size else bytes(size)


def test_zeros_without_an_end_have_one() -> None:
    source: Source = discover(["-"], stdin=Zeros()).sources[0]  # type: ignore[arg-type]
    assert b"".join(source.chunks()).count(b"\n") >= 900
    assert "NUL" in source.error


def test_a_journal_without_a_record_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "journalctl"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(OpenError, match="systemd-journal"):
        list(journal().pieces(100))


@pytest.mark.parametrize(
    "args", ["-qf nagios", "-qfnagios", "-f nagios", "-f=nagios", "--format nagios", "--format=nagios", "--form nagios",
             "-f NAGIOS", "x.log -qf nagios --bogus", "--fo=Nagios",
             "state nagios --bogus"],
)  # fmt: skip
def test_nagios_is_asked_for_however_it_is_written(args: str) -> None:
    assert asks_for_nagios(args.split())


@pytest.mark.parametrize("args", ["-f json", "nagios", "-- -f nagios", "-o nagios", "--fail-on nagios", "-q nagios"])
def test_other_arguments_ask_for_no_nagios(args: str) -> None:
    assert not asks_for_nagios(args.split())


URLS = ["http://{}@h.example:1/x", "http:/{}@h.example/x", "http:{}@h.example/x", "HTTP://{}@h.example/x", "s3://{}@b/x?token=pw",
        "simplecache::sftp://{}@h.example/x", "x+y://{}@h.example/x#a",
        "http:///{}@h.example/x", "'ftp://{}@h.example/x': no"]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    "secret", ["u:secretpw", "secretpw", "u:a/secret", "u:secret;pw", "u:secret?pw", "u:secret#pw", "u:p@secret"]
)
def test_no_secret_of_an_address_is_shown(url: str, secret: str) -> None:
    shown = without_secrets(f"{url.format(secret)}: it could not be opened")
    assert "secret" not in shown
    assert "pw" not in shown
    assert shown.endswith("it could not be opened")


def test_an_address_without_secrets_stays() -> None:
    for text in (
        "http://h.example:8080/x/y.log: no",
        "/a/b:c@d.log: no",
        "journal: none",
        "see https://h.example/x; then",
    ):
        assert without_secrets(text) == text
    assert "pw" not in without_secrets("http://h/x;token=pw") + without_secrets("http://h/x?pw") + without_secrets(
        "http://h/x#pw"
    )


@pytest.mark.parametrize("text", ["[::1", "::1]", ":25", "[]:25", "a b:25", "[:25"])
def test_a_mail_server_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        server_of({"smtp": text})


def test_a_mail_server_may_be_written_in_each_way() -> None:
    found = [
        (each.host, each.port) for each in (server_of({"smtp": t}) for t in ("h:25", "h", "[::1]:25", "[::1]", "::1"))
    ]
    assert found == [("h", 25), ("h", 0), ("::1", 25), ("::1", 0), ("::1", 0)]


@pytest.mark.parametrize(
    "text", ["jobs = 1e400", "jobs = 2.7", "year = inf", "year = nan", "help = true", "settings = 'x'"]
)
def test_settings_that_can_t_be_are_refused(text: str) -> None:
    from logscan.commands.analyse import command

    with pytest.raises(click.UsageError):
        _defaults(click.Context(command, info_name="analyse"), Path("x.toml"), tomllib.loads(text))


def test_several_files_are_all_there_before_the_first_is_renamed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def fails(_file: Any) -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        writing.save({"a": "new", "b": fails}, tmp_path)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("a", "old")]
    writing.save({"a": "new", "b": b"also"}, tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b"]
