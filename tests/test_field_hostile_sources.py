"""Sources that change, bite or lie: rotated while they are read, bombs, devices, strange names, addresses with secrets."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import resource
import signal
import subprocess
import sys
import tarfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import zstandard
from conftest import Run

import logscan
from logscan.reading import line_texts as linetext
from logscan.reading import parsing as parse
from logscan.reading import working as reading
from logscan.reading.parsed import Parsed
from logscan.reading.whole import read_sources
from logscan.scan.options import Options
from logscan.sources import opening as sources_open
from logscan.sources import pinned, unpacking
from logscan.sources.finding import discover
from logscan.sources.opening import shown

HEAD = "Nov 22 18:44:26 mx1 "
LINES = 3000
PORTS = Options(services={"postfix/smtpd": 25})


def lines(user: str = "bob", count: int = LINES) -> bytes:
    """Return a log in which ``user`` logs in on port 25: a finding, whose evidence is looked up at the end."""
    login = f"client=x[198.51.100.102], sasl_method=PLAIN, sasl_username={user}@example.com"
    queued = f"from=<{user}@example.com>, size=1383, nrcpt=1 (queue active)"
    out = []
    for n in range((count + 1) // 2):
        out.append(f"{HEAD}postfix/smtpd[9701]: {0xA0000000 + n:X}: {login}\n")
        out.append(f"{HEAD}postfix/qmgr[9484]: {0xA0000000 + n:X}: {queued}\n")
    return "".join(out[:count]).encode()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reading, "CHUNK", 20_000)
    path = tmp_path / "mail.log"
    path.write_bytes(lines())
    return path


Change = Callable[[Path], None]


def renamed(path: Path) -> None:
    path.rename(f"{path}.1")
    path.write_bytes(lines("mallory"))


def removed(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    (path.parent / "new").write_bytes(lines("mallory"))
    (path.parent / "new").rename(path)


def cut(path: Path) -> None:
    os.truncate(path, 50_000)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(lines("mallory"))
        file.truncate()


def scanned(path: Path, change: Change, jobs: int) -> logscan.scan.scan.Scan:
    """Read a log that changes after its first piece."""
    done: list[bool] = []

    def once(*_: int) -> None:
        if not done:
            done.append(True)
            change(path)

    return logscan.read(path, jobs=jobs, progress=once, options=PORTS)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("change", [renamed, removed, replaced])
def test_what_was_opened_is_what_is_read(log: Path, change: Change, jobs: int) -> None:
    scan = scanned(log, change, jobs)
    assert (scan.errors, scan.sources[0].lines) == ([], LINES)
    report = logscan.analyse(scan)
    texts = [item.text for finding in report.found for item in finding.evidence]
    assert texts
    assert all("sasl_username=bob@" in text for text in texts)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("change", [cut, emptied])
def test_a_log_that_becomes_shorter_is_an_error_that_says_how_much_was_read(
    log: Path, change: Change, jobs: int
) -> None:
    size = log.stat().st_size
    scan = scanned(log, change, jobs)
    assert len(scan.errors) == 1
    assert f"of {size:,} bytes were read" in scan.errors[0][1]
    assert scan.sources[0].lines < LINES


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_log_that_is_written_anew_in_its_place_is_an_error_and_proves_nothing(log: Path, jobs: int) -> None:
    scan = scanned(log, overwritten, jobs)
    assert len(scan.errors) == 1
    report = logscan.analyse(scan)
    bob = next(finding for finding in report.found if finding.subject == "bob@example.com")
    assert {item.text for item in bob.evidence} == {linetext.GONE}


def in_the_middle(path: Path) -> None:
    """Write other lines over some in the middle; neither the size nor the beginning changes."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size * 3 // 4)
        file.write(b"x" * 20_000)


def in_the_middle_with_its_stamp_put_back(path: Path) -> None:
    then = path.stat()
    in_the_middle(path)
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(
    ("change", "words"),
    [(in_the_middle, "overwritten while"), (in_the_middle_with_its_stamp_put_back, "time stamps were set while")],
)
def test_a_log_changed_in_its_place_is_an_error_that_says_it(log: Path, change: Change, words: str, jobs: int) -> None:
    time.sleep(0.02)  # the stamps of a file have the grain of the kernel's clock
    scan = scanned(log, change, jobs)
    assert [words in text for _, text in scan.errors] == [True]


@pytest.mark.parametrize("change", [lambda path: path.chmod(0o600), lambda path: os.link(path, f"{path}.2")])
def test_another_name_or_mode_changes_no_line(log: Path, change: Change) -> None:
    time.sleep(0.02)
    log.chmod(0o644)
    assert scanned(log, change, 1).errors == []


def test_a_log_that_grows_is_read_up_to_where_it_was(log: Path) -> None:
    def grow(path: Path) -> None:
        with path.open("ab") as file:
            file.write(lines("later"))

    scan = scanned(log, grow, 1)
    assert (scan.errors, scan.sources[0].lines) == ([], LINES)


def test_a_packed_log_is_pinned_too(tmp_path: Path) -> None:
    path = tmp_path / "mail.log.gz"
    path.write_bytes(gzip.compress(lines()))
    found = discover([str(path)])
    path.write_bytes(gzip.compress(lines("mallory", 5)))
    read = read_sources(found.sources, jobs=1)
    assert "was cut while it was read" in read.sources[0].error
    assert read.sources[0].lines < LINES


def test_the_command_ends_with_3_and_says_it(run: Run, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cutting(data: bytes, kind: str, context: dict[str, Any]) -> Parsed:
        os.truncate(log, 100)
        return parse.parse(data, kind, context)

    monkeypatch.setattr(reading, "parse", cutting)
    done = run("analyse", log, "-f", "json")
    assert done.returncode == 3
    assert "it was cut while it was read: " in done.stderr
    assert '"error": "it was cut' in done.stdout


def test_more_files_than_may_be_open_are_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned, "MOST_OPEN", 3)
    for number in range(8):
        (tmp_path / f"mail.log.{number}").write_bytes(lines(f"u{number}", 5))
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir())) if descriptors.exists() else 0
    found = discover([str(tmp_path)])
    opened = len(list(descriptors.iterdir())) if before else 0
    assert opened - before <= 4
    (tmp_path / "mail.log.2").write_bytes(lines("mallory", 500))
    (tmp_path / "mail.log.3").unlink()
    read = read_sources(found.sources, jobs=1)
    wrong = {each.label: each.error for each in read.sources if each.error}
    assert set(wrong) <= {"mail.log.2", "mail.log.3"}
    assert "overwritten" in wrong["mail.log.2"]
    assert "removed or renamed" in wrong["mail.log.3"]


def test_a_line_of_a_pipe_can_t_be_shown_again_and_that_is_said(tmp_path: Path) -> None:
    import threading

    os.mkfifo(tmp_path / "pipe.log")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe.log").write_bytes(lines()))
    writer.start()
    report = logscan.analyse(logscan.read(tmp_path / "pipe.log", jobs=1, options=PORTS))
    writer.join()
    assert {item.text for finding in report.found for item in finding.evidence} == {linetext.GONE}


def test_a_journal_that_breaks_off_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "journalctl").write_text(
        '#!/bin/sh\necho \'{"__REALTIME_TIMESTAMP":"1795374118000000","_HOSTNAME":"mx1",'
        '"SYSLOG_IDENTIFIER":"postfix/qmgr","_PID":"7","MESSAGE":"4A97F54A7D9: removed"}\'\nexit 3\n'
    )
    (tmp_path / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    scan = logscan.read("journal:", jobs=1)
    assert "journalctl ended with status 3" in scan.errors[0][1]
    assert scan.sources[0].understood == 1


# -- workers ----------------------------------------------------------------------------------------------------------------

WORKERS = """
import os, signal, sys, time
from logscan.reading import survey, workers, working as reading
survey.WHOLE = int(os.environ.get("WHOLE", survey.WHOLE))
workers.ATTEMPTS = int(os.environ.get("ATTEMPTS", 3))
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
reading.PARALLEL_FROM, reading.CHUNK = 1, 20_000
parse = reading.parse
def slow(*args):
    print("working", flush=True)
    {act}
    return parse(*args)
reading.parse = slow
from logscan.cli import main
sys.argv = ["logscan", "analyse", "--jobs", "2", "-f", "nagios", *sys.argv[1:]]
main()
"""


def started(act: str, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WORKERS.format(act=act), str(log)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def process(request: pytest.FixtureRequest, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    running = started(request.param, log)
    yield running
    running.kill()
    running.communicate()


@pytest.mark.parametrize("process", ["time.sleep(20)"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_workers_end_with_their_master(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"working")
    process.send_signal(number)
    start = time.monotonic()
    # The pipe ends when nobody holds it any more: neither the main process nor a worker.
    left, said = process.communicate(timeout=60)
    assert time.monotonic() - start < 15, "they sleep for 20 s"
    assert process.returncode == (-number if number == signal.SIGKILL else 3)
    assert b"Traceback" not in said
    if number != signal.SIGKILL:
        assert left.endswith(b"LOGSCAN UNKNOWN - stopped\n")


@pytest.mark.parametrize("whole", ["0", "1000000000"])
def test_a_worker_that_is_killed_is_replaced(whole: str, run: Run, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOLE", whole)
    with started("os.kill(os.getpid(), signal.SIGKILL)", log) as process:
        left, said = process.communicate(timeout=120)
    undisturbed = run("analyse", "-f", "nagios", log)
    assert process.returncode == undisturbed.returncode
    assert left.decode().splitlines()[-1:] == undisturbed.stdout.splitlines()
    assert b"Traceback" not in said


@pytest.mark.parametrize("whole", ["0", "1000000000"])
def test_lines_on_which_workers_die_are_told(whole: str, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTEMPTS", "1")
    monkeypatch.setenv("WHOLE", whole)
    with started("args[0].startswith(b'Nov') and os.kill(os.getpid(), signal.SIGKILL)", log) as process:
        left, said = process.communicate(timeout=120)
    assert process.returncode == 3
    assert b"LOGSCAN UNKNOWN - " in left
    assert b"lines were not read: the workers that parsed them were ended from outside" in said
    assert b"Traceback" not in said


@pytest.mark.parametrize("process", ["raise MemoryError"], indirect=True)
def test_a_worker_without_memory_is_told(process: subprocess.Popen[bytes]) -> None:
    left, said = process.communicate(timeout=60)
    assert process.returncode == 3
    assert b"LOGSCAN UNKNOWN - " in left
    assert b"not enough memory" in said


@pytest.mark.parametrize("megabytes", [100, 300, 520, 700, 1400])
def test_too_little_memory_is_one_line_and_a_status(megabytes: int, tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(lines(count=150_000))
    limit = megabytes << 20
    done = subprocess.run(
        [sys.executable, "-m", "logscan", "analyse", "-f", "nagios", str(path), "--jobs", "1"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.startswith((b"LOGSCAN UNKNOWN - ", b"LOGSCAN OK - mx1: nothing found"))
    # At some limits a native library falls over what it can't have (SIGSEGV), seldom, and after the line was said.
    assert done.returncode in ((3, -11) if b"UNKNOWN" in done.stdout else (0,))
    assert b"Traceback" not in done.stderr


# -- what is named is meant --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/dev/full"])
def test_a_device_is_no_log(run: Run, name: str) -> None:
    done = run("analyse", name)
    assert done.returncode == 3
    assert f"{name}: " in done.stderr


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress, bytes])
def test_zeros_that_were_named_are_no_log(run: Run, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "mail.log").write_bytes(pack(bytes(200_000)))
    done = run("analyse", tmp_path / "mail.log")
    assert done.returncode == 3
    assert "mail.log: not a text file" in done.stderr


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/urandom"])
def test_standard_input_without_end_ends(name: str) -> None:
    with Path(name).open("rb") as endless:
        done = subprocess.run(
            [sys.executable, "-m", "logscan", "analyse", "-"],
            stdin=endless,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/etc/passwd"])
def test_a_configuration_that_was_named_is_meant(run: Run, log: Path, name: str) -> None:
    done = run("analyse", log, "--config", name)
    assert done.returncode == 3
    assert f"{name}: no configuration that is known" in done.stderr


def test_a_configuration_may_come_through_a_pipe(run: Run, log: Path, tmp_path: Path) -> None:
    import threading

    os.mkfifo(tmp_path / "main.cf")
    text = b"myhostname = mx1.example.com\nmydestination = example.com\n"
    writer = threading.Thread(target=lambda: (tmp_path / "main.cf").write_bytes(text))
    writer.start()
    assert run("analyse", log, "--config", tmp_path / "main.cf").returncode == 0
    writer.join()


def test_formats_tells_a_file_that_it_can_t_read_with_3(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mail.log.gz").write_bytes(gzip.compress(lines(count=50))[:-20])
    for name in (tmp_path / "missing", tmp_path / "mail.log.gz", Path("/dev/zero")):
        assert run("formats", "--check", name).returncode == 3


def test_nothing_to_look_at_is_3_and_says_what_there_is(run: Run, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    done = run("analyse", tmp_path / "log")
    assert (done.returncode, "no mail log among what was named, which is empty" in done.stderr) == (3, True)
    (tmp_path / "log" / "core").write_bytes(bytes(range(256)) * 40)
    done = run("analyse", tmp_path / "log")
    assert (done.returncode, "core: not a text file" in done.stderr) == (3, True)
    done = run("analyse", "-", stdin=b"")
    assert (done.returncode, "standard input is empty" in done.stderr) == (3, True)
    (tmp_path / "log" / "mail.log").write_bytes(b"")
    assert run("analyse", tmp_path / "log").returncode == 0


def test_no_line_in_the_time_that_was_asked_for_is_3(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_bytes(lines(count=5).replace(b"Nov 22 18:44:26", b"2026-11-22T18:44:26+01:00"))
    done = run("analyse", tmp_path / "mail.log", "--since", "2026-11-23", "--until", "2026-11-24")
    assert done.returncode == 3
    assert "no line between 2026-11-23 00:00 and 2026-11-24 00:00; the logs reach from 2026-11-22" in done.stderr
    assert "no line before 2020-01-01" in run("analyse", tmp_path / "mail.log", "--until", "2020-01-01").stderr
    assert run("analyse", tmp_path / "mail.log", "--since", "2026-11-22").returncode == 0


# -- archives -----------------------------------------------------------------------------------------------------------------

NAMES = ["a!b.log", "!", "x!y!z.log", "-rf.log", "a\nb.log", "a b/\u202egol.log", "ö.log", "d/../e.log", "C:\\x.log"]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_member_is_read_whatever_it_is_called(tmp_path: Path, mode: Literal["w:gz"]) -> None:
    path = tmp_path / "a!b.tar"
    with tarfile.open(path, mode) as tar:
        for number, name in enumerate(NAMES):
            content = lines(f"u{number}", 3)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    found = discover([str(path)])
    assert found.errors == []
    got = {b"".join(each.chunks()) for each in found.sources}
    assert got == {lines(f"u{number}", 3) for number in range(len(NAMES))}
    assert len({each.label for each in found.sources}) == len(NAMES)
    report = logscan.analyse(logscan.read(path, jobs=1, options=PORTS))
    assert report.found
    assert all("sasl_username=u" in item.text for finding in report.found for item in finding.evidence)


def test_a_tar_packed_by_zstandard_is_read(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        info = tarfile.TarInfo("mail.log")
        info.size = len(lines(count=5))
        tar.addfile(info, io.BytesIO(lines(count=5)))
    (tmp_path / "logs.tar.zst").write_bytes(zstandard.compress(inner.getvalue()))
    assert [each.label for each in discover([str(tmp_path / "logs.tar.zst")]).sources] == ["logs.tar.zst/mail.log"]


def zstd_bomb(size: int) -> bytes:
    packer = zstandard.ZstdCompressor(level=3).compressobj()
    return bytes(b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush())


def xz_bomb(size: int) -> bytes:
    packer = lzma.LZMACompressor(preset=0)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()


def bz2_bomb(size: int) -> bytes:
    packer = bz2.BZ2Compressor()
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()


def gzip_bomb(size: int) -> bytes:
    return gzip.compress(bytes(size), 9, mtime=0)


BOMBS = {"zstd": zstd_bomb, "xz": xz_bomb, "bzip2": bz2_bomb, "gzip": gzip_bomb}


@pytest.mark.parametrize("packer", BOMBS)
def test_a_bomb_is_stopped_in_bounded_memory(packer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "BOMB_FROM", 32 << 20)
    path = tmp_path / "mail.log"
    start = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstandard.compress}[packer]
    path.write_bytes(start(lines(count=20)) + BOMBS[packer](200 << 20))
    tracemalloc.start()
    try:
        scan = logscan.read(path, jobs=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "unpacks to more than 500 times its size" in scan.errors[0][1]
    assert scan.sources[0].understood == 20
    assert peak < 120 << 20


def test_an_archive_that_asks_for_all_memory_is_refused(tmp_path: Path) -> None:
    # The header of the old lzma format: properties, a dictionary of 4 GB, an unknown size.
    (tmp_path / "x.lzma").write_bytes(b"]\x00\x00" + (0xFFFF_FFFF).to_bytes(4, "little")[1:] + b"\xff" * 9 + bytes(99))
    big = b"]" + (0x8000_0000).to_bytes(4, "little") + b"\xff" * 8 + bytes(99)
    (tmp_path / "y.lzma").write_bytes(big)
    assert discover([str(tmp_path)]).sources == []
    errors: list[str] = []
    assert list(unpacking.unpack(iter([big]), errors)) == []
    assert "emory" in errors[0]


def test_a_tar_of_bombs_and_a_bomb_of_a_tar_come_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "BOMB_FROM", 8 << 20)
    path = tmp_path / "x.tar.xz"
    with tarfile.open(path, "w:xz") as tar:
        for number in range(3):
            content = lines(count=3) if number == 1 else xz_bomb(64 << 20)
            info = tarfile.TarInfo(f"mail.log.{number}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    scan = logscan.read(path, jobs=1)
    assert sum(each.understood for each in scan.sources) == 3
    bomb = tmp_path / "y.tar.gz"
    with tarfile.open(bomb, "w:gz") as tar:
        info = tarfile.TarInfo("mail.log")
        info.size = 64 << 20
        tar.addfile(info, io.BytesIO(bytes(64 << 20)))
    assert "500 times its size" in logscan.read(bomb, jobs=1).errors[0][1]


def test_a_tar_whose_header_claims_gigabytes_is_damaged(tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 3 << 30
    path = tmp_path / "x.tar"
    path.write_bytes(info.tobuf() + bytes(1 << 20))
    os.truncate(path, 4 << 30)
    tracemalloc.start()
    try:
        found = discover([str(path)])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "damaged" in found.errors[0][1]
    assert peak < 64 << 20


def test_a_tar_of_very_many_members_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from logscan.sources import archives

    monkeypatch.setattr(archives, "MOST_MEMBERS", 20)
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        for number in range(50):
            tar.addfile(tarfile.TarInfo(f"{number}"))
    assert "more than 20 members" in discover([str(path)]).errors[0][1]


# -- addresses --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ftp://user:secret@host/logs/mail.log", "ftp://host/logs/mail.log"),
        ("ftp://user:sec@ret@host/x", "ftp://host/x"),
        ("ftp://user:sec/ret@host/x", "ftp://host/x"),
        ("https://host/x?token=secret#secret", "https://host/x"),
        ("https://secret@host:8080/x", "https://host:8080/x"),
        ("https://host:8080/x@y", "https://host:8080/x@y"),
        ("simplecache::sftp://u:secret@host/x", "simplecache::sftp://host/x"),
        ("zip://a.log::https://u:secret@host/x.zip?sig=secret", "zip://a.log::https://host/x.zip"),
        ("s3://bucket/logs/*.gz", "s3://bucket/logs/*.gz"),
        ("https://[2001:db8::1]:80/x", "https://[2001:db8::1]:80/x"),
    ],
)
def test_what_is_shown_of_an_address_holds_no_secret(url: str, expected: str) -> None:
    assert shown(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "ftp://user:s3cr%21et@127.0.0.1:1/mail.log",
        "http://user:s3cr%21et@127.0.0.1:1/mail.log?token=s3cr!et",
        "nonsense://user:s3cr!et@host/",
        "http://user:s3cr!et@[bad/",
        "file:///none/s3cr?x=s3cr!et",
    ],
)
@pytest.mark.parametrize("form", ["text", "json", "nagios"])
def test_a_secret_in_an_address_is_in_no_output(run: Run, url: str, form: str, tmp_path: Path) -> None:
    done = run("analyse", url, "-f", form, "--tables", tmp_path / "tables")
    assert done.returncode == 3
    for text in (done.stdout, done.stderr):
        assert "s3cr!et" not in text
        assert "s3cr%21et" not in text
        assert "user:" not in text


def test_a_report_of_an_address_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.pipe("/s3cret@x/mail.log", lines(count=9))
    opened = sources_open.remote

    def secret(url: str) -> Iterator[tuple[sources_open.Opener, str]]:
        for opener, _ in opened("memory://s3cret@x/mail.log"):
            path = shown("ftp://u:s3cret@host/mail.log")
            yield sources_open.Opener("remote", path, extra=opener.extra), "mail.log"

    monkeypatch.setattr("logscan.sources.finding.remote", secret)
    report = logscan.analyse(logscan.read("ftp://u:s3cret@host/mail.log", jobs=1))
    for form in ("text", "json", "html"):
        assert "s3cret" not in str(logscan.render(report, form))
