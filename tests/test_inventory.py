"""The DSPAM home: users of paths, owners of signatures, listings in every form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logscan.pipeline.configuration import configuration
from logscan.scan.options import Options
from logscan.settings.dspam_home import (
    Inventory,
    Item,
    layout_of_path,
    read_home,
    read_listing,
    recognise,
    user_of_path,
)
from logscan.sources.finding import Discovery

LISTING = (
    "d\t4096\t2026-11-23T06:25:01.1695795050\t.\n"
    "f\t99\t2026-11-23T06:25:01.1695795050\t./system.log\n"
    "d\t4096\t2026-11-23T06:25:01.1695795050\t./data/example.com/alice\n"
    "f\t2359688\t2026-11-23T06:25:12.5\t./data/example.com/alice/alice.css\n"
    "f\t7943\t2026-11-23T06:25:12\t./data/example.com/alice/alice.log\n"
    "d\t4096\t2026-11-23T06:25:12\t./data/example.com/alice/alice.sig\n"
    "f\t3648\t2026-11-23T06:25:12\t./data/example.com/alice/alice.sig/6b03dc4875733769421422.sig\n"
    "f\t2359688\t2026-11-23T06:26:12\t./data/local/alice/alice.css\n"
    "f\t12\t2026-11-23T06:26:12\t./data/example.com/a,b c+ü/a,b c+ü.stats\n"
)


@pytest.mark.parametrize(
    ("path", "user", "layout"),
    [
        ("/var/lib/dspam/data/local/alice/alice.sig/6b033c60.sig", "alice", "domain-scale"),
        ("/var/lib/dspam/data/example.com/alice/alice.sig/6b033c60.sig", "alice@example.com", "domain-scale"),
        ("/data/spool/dspam/data/example.com/data/data.css", "data@example.com", "domain-scale"),
        ("./data/example.com/a,b c+ü/a,b c+ü.css", "a,b c+ü@example.com", "domain-scale"),
        ("example.com/alice/alice.css", "alice@example.com", "domain-scale"),
        ("/v/data/example.com/alice.smith/alice.smith.log", "alice.smith@example.com", "domain-scale"),
        ("/v/data/a/l/alice@example.com/alice@example.com.css", "alice@example.com", "large-scale"),
        ("/v/data/a/l/alice/alice.sig/x.sig", "alice", "large-scale"),
        ("/v/data/x/x/x.css", "x", "large-scale"),
        ("/v/data/alice/alice.css", "alice", "default"),
        ("/v/data/alice@example.com/alice@example.com.sig/6b.sig", "alice@example.com", "default"),
        ("/v/data/a.sig/a.sig.sig/6b.sig", "a.sig", "default"),
        ("/home/alice/.dspam/alice.sig/6b033c60.sig", "alice", "homedir"),
        ("/var/lib/dspam/system.log", None, "unknown"),
        ("/var/lib/dspam/data/example.com/alice/bob.css", None, "unknown"),
        ("/etc/passwd", None, "unknown"),
        ("", None, "unknown"),
        ("/", None, "unknown"),
    ],
)
def test_the_user_and_layout_of_a_path(path: str, user: str | None, layout: str) -> None:
    assert user_of_path(path) == user
    assert layout_of_path(path) == layout


@given(
    st.text(alphabet=st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
        lambda name: name not in {".", ".."}
    )
)
def test_any_name_comes_back_from_its_own_path(name: str) -> None:
    assert user_of_path(f"/var/lib/dspam/data/example.com/{name}/{name}.sig/6b033c60.sig") == f"{name}@example.com"
    assert user_of_path(f"/var/lib/dspam/data/{name}/{name}.css") == name


@given(st.text(max_size=200))
def test_no_text_makes_the_listing_fail(text: str) -> None:
    read_listing(text)
    assert 0 <= recognise(text) <= 1


def test_a_listing_with_sizes_and_times() -> None:
    inventory = read_listing(LISTING)
    assert list(inventory.users) == ["alice@example.com", "alice", "a,b c+ü@example.com"]
    alice = inventory.users["alice@example.com"]
    assert (alice.dictionary_size, alice.signatures) == (2359688, 1)
    assert (alice.has_sig, alice.has_log, alice.has_stats) == (True, True, False)
    assert alice.dictionary_mtime == datetime(2026, 11, 23, 6, 25, 12, 500000, UTC)
    assert inventory.layout == "domain-scale"
    assert inventory.owner_of("6b03dc4875733769421422") == "alice@example.com"
    assert inventory.owner_of("other") is None


def test_times_are_local_unless_they_say_otherwise() -> None:
    east = timezone(timedelta(hours=2))
    line = "f\t1\t{}\t./data/a.b/u/u.css\n"
    for stamp in ("2026-11-23+08:25:12.5", "2026-11-23T08:25:12.5", "2026-11-23T06:25:12.5Z", "1795415112.5"):
        found = read_listing(line.format(stamp), east).users["u@a.b"].dictionary_mtime
        assert found == datetime(2026, 11, 23, 6, 25, 12, 500000, UTC)
    assert read_listing(line.format("9999-99-99T99:99:99")).users["u@a.b"].dictionary_mtime is None


@pytest.mark.parametrize(
    "text",
    [
        "./data/example.com/alice/alice.css\n./data/example.com/alice/alice.sig/6b03.sig\n",
        "/var/lib/dspam/data/example.com/alice:\nalice.css\nalice.sig\n\n"
        "/var/lib/dspam/data/example.com/alice/alice.sig:\n6b03.sig\n",
        "./data/example.com/alice:\ntotal 8\n-rw-rw---- 1 dspam dspam 2359688 Nov 23 06:25 alice.css\n\n"
        "./data/example.com/alice/alice.sig:\ntotal 4\n-rw-rw---- 1 dspam dspam 3648 Nov 23 06:25 6b03.sig\n",
        "  1234  4 -rw-rw----  1 dspam dspam  2359688 Nov 23 06:25 ./data/example.com/alice/alice.css\n"
        "  1235  4 -rw-rw----  1 dspam dspam  3648 Nov 23 06:25 ./data/example.com/alice/alice.sig/6b03.sig\n",
    ],
    ids=["find", "ls -R", "ls -lR", "find -ls"],
)
def test_listings_of_other_programs(text: str) -> None:
    inventory = read_listing(text)
    assert list(inventory.users) == ["alice@example.com"]
    assert inventory.users["alice@example.com"].dictionary
    assert inventory.owner_of("6b03") == "alice@example.com"
    assert recognise(text) >= 0.5


def test_a_signature_may_lie_under_several_users() -> None:
    text = "./data/a.b/u/u.sig/6b.sig\n./data/a.b/v/v.sig/6b.sig\n"
    inventory = read_listing(text)
    assert inventory.signatures["6b"] == {"u@a.b", "v@a.b"}
    assert inventory.owner_of("6b") is None


def test_a_home_on_disk(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "example.com" / "alice"
    (folder / "alice.sig").mkdir(parents=True)
    (folder / "alice.css").write_bytes(b"12345")
    (folder / "alice.sig" / "6b03.sig").touch()
    inventory = read_home(tmp_path)
    assert inventory.users["alice@example.com"].dictionary_size == 5
    assert inventory.owner_of("6b03") == "alice@example.com"
    assert read_home(tmp_path / "missing").problems


def test_two_listings_are_joined() -> None:
    one = read_listing("./data/a.b/u/u.css\n./data/a.b/u/u.sig/1.sig\n")
    one.merge(read_listing(LISTING + "f\t7\t1\t./data/a.b/u/u.css\nf\t7\t1\t./data/a.b/u/u.sig/1.sig\n"))
    assert one.users["u@a.b"].dictionary_size == 7
    assert one.users["u@a.b"].signatures == 1
    assert len(one.users) == 4


def test_frames() -> None:
    inventory = read_listing(LISTING)
    frame = inventory.frame()
    assert frame["domain"].tolist() == ["example.com", "", "example.com"]
    assert frame["dictionary_size"].dropna().tolist() == [2359688, 2359688]
    assert inventory.signatures == {"6b03dc4875733769421422": {"alice@example.com"}}
    assert read_listing("").frame().empty


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Nov 22 19:01:48 mx1 dspam[1]: Unable to open file for reading: /v/data/local/alice/alice.sig/6b.sig: No\n",
        "smtp inet n - n - - smtpd\n",
        "/etc/passwd\n/etc/group\n",
        "\0",
    ],
)
def test_what_lists_no_dspam_home(text: str) -> None:
    assert recognise(text) == 0


def test_the_listing_is_recognised() -> None:
    assert recognise(LISTING) > 0.9


def test_a_home_that_nobody_was_let_to_see_is_not_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account of the daily run may be shut out: then nothing is known of it, and a few of the places are named."""
    shut = Inventory(problems=[f"{tmp_path}/{number}: Permission denied" for number in range(5000)])
    monkeypatch.setattr("logscan.settings.dspam_home.read_home", lambda home: shut)
    _, inventory, notes = configuration(Discovery(), (), tmp_path, Options())
    assert inventory is None
    assert len(notes) < 12
    assert "and 4,992 more places in DSPAM's home that can't be read" in notes
    shut.take(Item("./data/example.org/kim/kim.css", "f", 5))
    assert configuration(Discovery(), (), tmp_path, Options())[1] is shut


def test_a_home_that_is_not_there_is_an_error_and_no_fault(tmp_path: Path) -> None:
    found = Discovery()
    assert configuration(found, (), tmp_path / "none", Options())[1] is None
    assert [path for path, _ in found.errors] == [str(tmp_path / "none")]
