"""What the output of `postqueue -j` tells beside a log: what waits, what is on hold, and what vanished."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_field_correlation import ends
from test_pitfalls import DAY, Read, inbound, iso, opened, read, to
from test_simulated import check_accounts

import logscan
from logscan.correlate.queue_listing import read_listing, recognise
from logscan.scan.scan import Scan

__all__ = ["read"]

RELAY = "mx.far.example[198.51.100.77]:25"
OUT = "connect to mx.far.example[198.51.100.77]:25: Connection timed out"


def lines(queue_id: str, at: str, *, tries: tuple[str, ...] = (), ident: str = "") -> str:
    """Return a mail that was taken at a time and put off at each of some others."""
    text = f"""
        {at} postfix/smtpd[10]: {queue_id}: client=mail.example.org[203.0.113.26]
        {at} postfix/cleanup[11]: {queue_id}: message-id=<{ident or queue_id}@example.org>
        {at} postfix/qmgr[12]: {queue_id}: from=<sam@example.org>, size=1000, nrcpt=1 (queue active)
    """
    for each in tries:
        delay = (stamp(each) - stamp(at)).seconds
        text += f"{each} postfix/smtp[15]: {queue_id}: {to('bob@far.example', 'none', OUT, delay=delay, status='deferred')}\n"
    return text


def stamp(time: str) -> datetime:
    return datetime.fromisoformat(f"{DAY}T{time}+00:00")


def queue_file(queue_id: str, at: str, *, queue: str = "deferred", n: int = 1, **more: Any) -> str:
    recipients = [{"address": f"r{k}@far.example", "delay_reason": OUT} for k in range(n)]
    record = {
        "queue_name": queue, "queue_id": queue_id, "arrival_time": int(stamp(at).timestamp()), "message_size": 1000,
        "forced_expire": False, "sender": "sam@example.org", "recipients": recipients,
    }  # fmt: skip
    return json.dumps(record | more) + "\n"


CLOCK = "".join(
    f"1{h}:{m:02d}:30 postfix/anvil[30]: statistics: max cache size 1 at Mar  4 09:00:00\n"
    for h in (0, 1)
    for m in range(60)
)
"""A host that goes on writing."""


def listed(tmp_path: Path, log: str, *listings: str) -> Scan:
    folder = tmp_path / "case"
    folder.mkdir(exist_ok=True)
    (folder / "mail.log").write_text("".join(sorted(iso(log).splitlines(keepends=True))))
    for number, text in enumerate(listings):
        (folder / f"q{number}.json").write_text(text)
    return logscan.read(folder, jobs=1)


def endings(scan: Scan) -> dict[str, str]:
    return dict(zip(scan.entries["queue_id"], scan.entries["ending"].astype("str"), strict=True))


GONE = lines("1A00000C11", "10:00:00", tries=("10:00:30", "10:10:00"))
KEPT = lines("1A00000C22", "10:40:00", tries=("10:40:30", "10:50:00"))


def test_a_mail_that_its_queue_lacks_though_nothing_ended_it_vanished(tmp_path: Path) -> None:
    scan = listed(tmp_path, GONE + KEPT + CLOCK, queue_file("1A00000C22", "10:40:00"))
    assert endings(scan) == {"1A00000C11": "vanished", "1A00000C22": "queued"}
    assert ends(scan) == {"deferred": 1, "discarded": 1}
    assert scan.entries["listed"].fillna(0).tolist() == [0, 1]
    assert any(note.startswith("q0.json: a queue with 1 mail; 1 of them") for note in scan.notes)
    check_accounts(scan)


def test_a_listing_of_another_time_doesn_t_mislead(tmp_path: Path) -> None:
    """Older than the mail's last line; or the log ends before the next attempt, so that it may have been delivered since."""
    old = lines("1A00000C33", "09:00:00", tries=("09:00:30",))
    scan = listed(tmp_path, old + GONE + CLOCK, queue_file("1A00000C33", "09:00:00"))
    assert endings(scan)["1A00000C11"] == "queued"
    short = "".join(CLOCK.splitlines(keepends=True)[:15])
    scan = listed(tmp_path, GONE + short + lines("1A00000C22", "10:14:00"), queue_file("1A00000C22", "10:14:00"))
    assert endings(scan) == {"1A00000C11": "queued", "1A00000C22": "queued"}
    ended = "11:00:00 postfix/smtp[15]: 1A00000C22: " + to("bob@far.example", RELAY, "250 ok", delay=1200)
    ended += "\n11:00:00 postfix/qmgr[12]: 1A00000C22: removed\n"
    scan = listed(tmp_path, KEPT + ended + CLOCK, queue_file("1A00000C22", "10:40:00"))
    assert (endings(scan), ends(scan)) == ({"1A00000C22": "removed"}, {"delivered": 1})


def test_a_listing_of_another_host_doesn_t_mislead(tmp_path: Path) -> None:
    scan = listed(tmp_path, GONE + CLOCK, queue_file("2F00000C99", "10:40:00"))
    assert endings(scan) == {"1A00000C11": "queued"}
    assert any("none of them waits by these logs" in note for note in scan.notes)


def test_where_lines_were_lost_no_mail_vanished(tmp_path: Path) -> None:
    lost = "10:12:00 rsyslogd: imuxsock[pid: 12, name: qmgr] from <mx1:postfix>: begin to drop messages due to rate-limiting\n"
    scan = listed(tmp_path, GONE + KEPT + CLOCK + lost, queue_file("1A00000C22", "10:40:00"))
    assert endings(scan)["1A00000C11"] == "queued"


def test_how_often_postfix_tries_again_is_taken_from_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "main.cf").write_text(
        "myhostname = mx1.example.com\nminimal_backoff_time = 5h\nmaximal_backoff_time = 5h\n"
    )
    scan = listed(tmp_path, GONE + KEPT + CLOCK, queue_file("1A00000C22", "10:40:00"))
    assert endings(scan)["1A00000C11"] == "queued"


def test_a_listing_tells_what_is_left_of_mail_from_before_the_log_and_what_is_on_hold(tmp_path: Path) -> None:
    before = (
        f"10:05:00 postfix/smtp[15]: 1A00000C44: {to('r0@far.example', 'none', OUT, delay=90000, status='deferred')}\n"
    )
    listing = queue_file("1A00000C44", "09:00:00", n=3, sender="ann@nest.example").replace("1772614800", "1772524800")
    listing += queue_file("1A00000C22", "10:40:00", queue="hold") + queue_file(
        "1A00000C55", "11:30:00", queue="incoming"
    )
    scan = listed(tmp_path, before + KEPT + lines("1A00000C55", "11:30:00") + CLOCK, listing)
    assert endings(scan) == {"1A00000C44": "queued", "1A00000C22": "held", "1A00000C55": "queued"}
    mail = scan.mails.set_index("queue_id")
    assert (mail.loc["1A00000C44", "sender"], mail.loc["1A00000C44", "deferred"]) == ("ann@nest.example", 3)
    assert (mail.loc["1A00000C22", "held"], mail.loc["1A00000C55", "deferred"]) == (1, 1)
    check_accounts(scan)


def test_a_mail_queued_again_keeps_its_time_in_the_listing(tmp_path: Path) -> None:
    again = """
        10:20:00 postfix/postsuper[40]: 1A00000C11: requeued
        10:21:00 postfix/pickup[9]: 1A00000C77: uid=110 from=<sam@example.org> orig_id=1A00000C11
        10:21:00 postfix/cleanup[11]: 1A00000C77: message-id=<1A00000C11@example.org>
        10:21:00 postfix/qmgr[12]: 1A00000C77: from=<sam@example.org>, size=1000, nrcpt=1 (queue active)
    """
    scan = listed(
        tmp_path,
        GONE + again + KEPT + CLOCK,
        queue_file("1A00000C77", "10:00:00") + queue_file("1A00000C22", "10:40:00"),
    )
    assert endings(scan) == {"1A00000C11": "requeued", "1A00000C77": "queued", "1A00000C22": "queued"}
    assert (len(scan.mails), ends(scan)) == (2, {"deferred": 2})


def test_what_a_start_of_postfix_didn_t_find_in_the_queue_is_lost(read: Read) -> None:
    taken = "\n".join(opened("1E24012D687").strip().splitlines()[:2])
    start = "10:04:00 postfix/master[1]: daemon started -- version 3.7.11, configuration /etc/postfix"
    for text, ending in (
        (f"{taken}\n{start}\n{inbound('1A00000C11', 400, ident='<two@example.org>')}", "vanished"),
        # The queue manager said nothing since, or found it.
        (f"{taken}\n{start}", "unseen"),
        (
            f"{taken}\n{start}\n10:04:02 postfix/qmgr[12]: 1E24012D687: from=<sam@example.org>, size=9, nrcpt=1 (queue active)",
            "queued",
        ),
        (f"{taken}\n{inbound('1A00000C11', 400, ident='<two@example.org>')}", "unseen"),
        # Another instance's start.
        (
            f"{taken}\n{start.replace('postfix/', 'postfix-edge/')}\n{inbound('1A00000C11', 400, ident='<two@example.org>')}",
            "unseen",
        ),
    ):
        assert endings(read(text))["1E24012D687"] == ending, text


# -- the listing's text is anybody's -------------------------------------------------------------------------------------

SOME = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "queue_name": SOME | st.just("hold"), "queue_id": SOME | st.just("1A00000C11"),
                "arrival_time": SOME | st.just(1772618400), "recipients": SOME, "sender": SOME,
            }
        ),
        min_size=1,
        max_size=4,
    )
)  # fmt: skip
def test_whatever_a_listing_holds_it_is_read(records: list[dict[str, Any]]) -> None:
    text = "\n".join(json.dumps(each) for each in records)
    assert recognise(text)
    found = read_listing("q", text)
    assert len(found) == len(found.arrival) == len(found.recipients) == len(set(found.queue_id))
    assert all(datetime.fromtimestamp(min(int(at), 2**33), UTC) for at in found.arrival)


def test_a_listing_that_is_no_json_or_never_ends_is_passed_over(tmp_path: Path) -> None:
    bad = queue_file("1A00000C22", "10:40:00") + "[" * 100_000 + "\n{\n" + '{"queue_id": 1' + "9" * 5000 + "}\n"
    bad += queue_file("1A00000C23", "10:41:00", sender="\ud800@x")
    scan = listed(tmp_path, GONE + KEPT + CLOCK, bad)
    assert endings(scan) == {"1A00000C11": "vanished", "1A00000C22": "queued"}


def test_the_report_says_that_a_mail_vanished_and_which_were_deleted(tmp_path: Path) -> None:
    deleted = (
        lines("1A00000C66", "10:20:00", tries=("10:20:30",)) + "10:21:00 postfix/postsuper[40]: 1A00000C66: removed\n"
    )
    scan = listed(tmp_path, GONE + KEPT + deleted + CLOCK, queue_file("1A00000C22", "10:40:00"))
    report = logscan.analyse(scan)
    (discarded,) = (each for each in report.traffic.listings if each.key == "discarded")
    assert {(row[0], row[2]) for row in discarded.rows} == {
        ("in no queue any more, though no line says why", 1),
        ("deleted by hand while it waited", 1),
    }


@pytest.mark.parametrize(
    ("hours", "mails", "ending"),
    [(5.5, 1, "vanished"), (-8, 1, "vanished"), (8760, 2, "vanished"), (8760, 1, "queued")],
)
def test_a_listing_tells_by_its_mails_how_wrong_the_log_s_clock_was_guessed(
    tmp_path: Path, hours: float, mails: int, ending: str
) -> None:
    """Arrivals are in UTC, a log's zone and year may be a guess: two mails that agree are enough for any difference."""
    shift = int(hours * 3600)
    listing = "".join(
        queue_file(name, at, arrival_time=int(stamp(at).timestamp()) + shift)
        for name, at in (("1A00000C22", "10:40:00"), ("1A00000C88", "10:45:00"))[:mails]
    )
    scan = listed(tmp_path, GONE + KEPT + lines("1A00000C88", "10:45:00", tries=("10:45:30",)) + CLOCK, listing)
    assert endings(scan)["1A00000C11"] == ending


def test_two_instances_may_use_one_queue_id_and_have_a_queue_each(tmp_path: Path) -> None:
    """The same ID in both, and a listing of either: what waits in one isn't looked for in the other."""
    way = to("bob@far.example", "127.0.0.1[127.0.0.1]:2525", "250 2.0.0 Ok: queued as 1A00000C11")
    edge = lines("1A00000C11", "10:00:00", tries=("10:00:30", "10:10:00"), ident="one").replace("postfix/", "edge/")
    edge = edge.replace("mail.example.org[203.0.113.26]", "localhost[127.0.0.1]")
    log = f"""
        {lines("1A00000C11", "10:00:00", ident="one")}
        10:00:00 postfix/smtp[15]: 1A00000C11: {way}
        10:00:00 postfix/qmgr[12]: 1A00000C11: removed
        {edge}
        {lines("1A00000C99", "10:01:00", tries=("10:01:30", "10:11:00"))}
    """
    listing_of_edge = queue_file("1A00000C11", "10:00:00")
    scan = listed(tmp_path, log + KEPT + CLOCK, listing_of_edge, queue_file("1A00000C22", "10:40:00"))
    assert list(scan.legs["kind"]) == ["relay"]
    found = {(str(row.instance), row.queue_id): str(row.ending) for row in scan.entries.itertuples()}
    assert found == {
        ("postfix", "1A00000C11"): "removed", ("edge", "1A00000C11"): "queued",
        ("postfix", "1A00000C99"): "vanished", ("postfix", "1A00000C22"): "queued",
    }  # fmt: skip
    assert (len(scan.mails), ends(scan)) == (3, {"deferred": 2, "discarded": 1})
