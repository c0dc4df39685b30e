"""What trace reads of a large log comes to the same as reading all of it; where it might not, all is read."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from conftest import Run
from hypothesis import given, settings
from hypothesis import strategies as st

import logscan
from benchmarks.generate import generate
from logscan.pipeline.excerpts import MESSAGE_ID, QUEUE_ID, Excerpt, Sizes, suited
from logscan.pipeline.quick import numbered, read_for
from logscan.report.trace_finding import find
from logscan.report.trace_texts import as_json
from logscan.report.tracing import traces
from logscan.samples import story
from logscan.scan.scan import Scan
from logscan.sources import contents
from logscan.sources.contents import Content

KIB = 1 << 10
SMALL = Sizes(around=24 * KIB, head=48 * KIB, tail=16 * KIB, stretch=8 * KIB, stretches=4)
"""Small logs are cut down as large ones are."""


KWDEFAULTS = read_for.__kwdefaults__ or {}


def way(scan: Scan, what: str, excerpts: tuple[Excerpt, ...] = ()) -> str:
    found = traces(scan, find(scan, what), lines=True, whole=True)
    numbered(found, excerpts)
    return as_json(found)


def chosen(names: list[str], count: int) -> list[str]:
    """Some of the names, the same in each run."""
    some = sorted(set(names))
    random.Random(4).shuffle(some)
    return some[:count]


@pytest.mark.parametrize("name", ["mixed-day", "amavis-double-alias-expansion", "rspamd-healthy"])
def test_a_trace_of_an_excerpt_is_the_trace_of_all(name: str) -> None:
    folder = story(name)
    scan = logscan.read(folder, jobs=1)
    cut = 0
    for what in chosen(scan.entries["queue_id"].astype(str).tolist(), 4):
        found, excerpts = read_for(folder, what=what, sizes=SMALL, least=0)
        cut += bool(excerpts)
        assert way(found, what, excerpts) == way(scan, what), what
    assert cut


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a busy server, 4 MB."""
    path = tmp_path_factory.mktemp("busy") / "mail.log"
    generate(path, 30_000, stamps="bsd", long_ids=False, seed=7, system_log=None)
    return path


@pytest.fixture(scope="module")
def whole(busy: Path) -> Scan:
    return logscan.read(busy, jobs=1)


def test_queue_ids_and_message_ids_of_a_busy_log_are_traced_as_in_all_of_it(busy: Path, whole: Scan) -> None:
    scan, entries = whole, whole.entries
    inside = chosen(entries["queue_id"].astype(str).tolist(), 6)
    messages = chosen(entries["message_id"].dropna().astype(str).tolist(), 3)
    cut = 0
    for what in (*inside, *messages):
        found, excerpts = read_for(busy, what=what, sizes=SMALL, least=0)
        cut += bool(excerpts)
        assert sum(each.size or 0 for each in excerpts) < busy.stat().st_size
        assert way(found, what, excerpts) == way(scan, what), what
    assert cut >= 7


def test_compressed_logs_are_searched_too(busy: Path, tmp_path: Path) -> None:
    packed = tmp_path / "mail.log.gz"
    packed.write_bytes(gzip.compress(busy.read_bytes(), 1))
    scan = logscan.read(packed, jobs=1)
    (what,) = chosen(scan.entries["queue_id"].astype(str).tolist(), 1)
    found, excerpts = read_for(packed, what=what, sizes=SMALL, least=0)
    assert excerpts
    assert way(found, what, excerpts) == way(scan, what)


def test_all_is_read_where_a_search_for_the_string_is_not_enough(busy: Path) -> None:
    text = busy.read_text()
    address = text.partition("to=<")[2].partition(">")[0]
    for what in (address, "mail.example.org", "203.0.113.5", "0badcafe", "ABCDEF0123456"):
        assert read_for(busy, what=what, sizes=SMALL, least=0)[1] == (), what
    assert not suited("mail.example.org")
    assert read_for(busy, what="4AB1C2D3E4F")[1] == ()


def test_a_file_that_is_taken_away_meanwhile_ends_nothing(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> int:
        raise OSError("gone")

    monkeypatch.setattr(Content, "find", gone)
    scan, excerpts = read_for(busy, what="4AB1C2D3E4F", sizes=SMALL, least=0)
    assert (excerpts, len(scan.entries) > 100) == ((), True)


def test_a_mail_that_begins_where_filters_hand_back_is_not_taken_for_whole(tmp_path: Path) -> None:
    lines = [
        "smtpd[9]: 4AB1C2D3E: client=localhost[127.0.0.1]",
        "cleanup[9]: 4AB1C2D3E: message-id=<m@x.example>",
        "qmgr[9]: 4AB1C2D3E: from=<k@x.example>, size=900, nrcpt=1 (queue active)",
        "lmtp[9]: 4AB1C2D3E: to=<a@b.example>, relay=mx1[private/dovecot-lmtp], delay=1, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
        "qmgr[9]: 4AB1C2D3E: removed",
    ]
    path = tmp_path / "mail.log"
    path.write_text("".join(f"2026-11-22T07:00:00+00:00 mx1 postfix/{line}\n" for line in lines))
    assert read_for(path, what="4AB1C2D3E", least=0)[1] == ()
    path.write_text(path.read_text().replace("localhost[127.0.0.1]", "x.example[203.0.113.5]"))
    assert read_for(path, what="4AB1C2D3E", least=0)[1] != ()


def test_the_command_shows_the_same_with_the_numbers_of_the_whole_log(
    run: Run, busy: Path, whole: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    (what,) = chosen(whole.entries["queue_id"].astype(str).tolist(), 1)
    slow = run("trace", what, busy, "-v")
    monkeypatch.setitem(KWDEFAULTS, "least", 0)
    monkeypatch.setitem(KWDEFAULTS, "sizes", SMALL)
    fast = run("trace", what, busy, "-v")
    assert (fast.returncode, fast.stdout) == (slow.returncode, slow.stdout)
    assert what in slow.stdout


def test_what_looks_like_a_queue_id_or_a_message_id() -> None:
    for what in ("4AB1C2D3E", "3Xq9TB0Rz1z1rR", "5D9312B87D7"):
        assert QUEUE_ID.fullmatch(what), what
    for what in ("0badcafe", "mx1", "alice", "203.0.113.5"):
        assert not QUEUE_ID.fullmatch(what), what
    assert MESSAGE_ID.fullmatch("<20261122.4AB@mx1.example.com>")


# -- searching ---------------------------------------------------------------------------------------------------------


class Held:
    """Bytes in the place of a file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def pread(self, size: int, offset: int) -> bytes:
        return self.data[offset : offset + size]


BYTES = st.lists(st.sampled_from([b"a", b"b", b"\n", b"ab", b"aab"]), max_size=40).map(b"".join)


@settings(deadline=None, max_examples=150)
@given(
    BYTES,
    st.sampled_from([b"a", b"ab", b"aab", b"b\n", b"\n"]),
    st.integers(0, 90),
    st.integers(0, 90),
    st.integers(3, 9),
)
def test_bytes_are_found_wherever_blocks_end(data: bytes, needle: bytes, begin: int, end: int, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents, "BLOCK", block)
        patch.setattr(contents, "OVER", 3)
        found = Content(Held(data))
        begin, end = min(begin, len(data)), min(end, len(data))
        assert found.find(needle, begin, end) == data.find(needle, begin, end)
        assert found.rfind(needle, begin, end) == data.rfind(needle, begin, end)
        assert found.read(begin, end) == data[begin:end]
        assert found.lines_before(begin) == data[:begin].count(b"\n")
        lines = [line for line in data.splitlines(keepends=True) if needle in line]
        if b"\n" not in needle:
            assert [found.read(*each) for each in found.lines(needle, 0, len(data))] == lines
            assert [found.read(*each) for each in found.lines_back(needle, len(data))] == lines[::-1]
