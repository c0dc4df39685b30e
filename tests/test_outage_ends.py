"""When an outage ends and another begins, and which of two sides that tell of it names what was down."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_outages import REFUSED, SOCKET, Found, found, judged, mail, off

import logscan
from logscan.checking.outage import Outage
from logscan.checking.outages import outages
from logscan.samples import story

__all__ = ["found"]

MILTER = "warning: connect to Milter service inet:127.0.0.1:11332: Connection refused"


def clock(one: Outage) -> tuple[str, str]:
    return f"{one.first:%H:%M:%S}", f"{one.until:%H:%M:%S}"


def session(at: str, pid: int, queue_id: str, *warnings: str, tag: str = "postfix/smtpd") -> str:
    """An SMTP session that takes a mail, with warnings in between."""
    client = "mail.example.org[203.0.113.26]"
    said = "".join(f"\n        {at} {tag}[{pid}]: {each}" for each in warnings)
    return f"""
        {at} {tag}[{pid}]: connect from {client}{said}
        {at} {tag}[{pid}]: {queue_id}: client={client}
        {at} postfix/cleanup[11]: {queue_id}: message-id=<{queue_id}@example.org>
        {at} postfix/qmgr[12]: {queue_id}: from=<sam@example.org>, size=900, nrcpt=1 (queue active)
        {at} {tag}[{pid}]: disconnect from {client} ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"""


def test_three_mails_that_get_through_end_an_outage_however_soon_the_next_begins(found: Found) -> None:
    log = judged("AAAAAA1", "10:00:00", "AAAAAA2") + mail("BBBBBB1", "10:01:00") + off("BBBBBB1", "10:01:00", REFUSED)
    for number in range(3):
        log += judged(f"CCCCCC{number}", f"10:01:2{number}", f"DDDDDD{number}")
    log += mail("EEEEEE1", "10:01:30") + off("EEEEEE1", "10:01:30", REFUSED)
    first, second = found(log)
    assert (clock(first), first.over, second.over) == (("10:01:00", "10:01:20"), True, False)


def test_a_way_back_that_is_closed_is_one_outage_named_by_what_was_down(found: Found) -> None:
    said = f"host {SOCKET} said: 421 4.3.0 <alice@example.com> Unable to connect to server (in reply to end of DATA command)"
    log = judged("AAAAAA1", "10:00:00", "AAAAAA2")
    for queue_id, at in (("BBBBBB1", "10:01:01"), ("CCCCCC1", "10:02:01")):
        log += f"""
        {at[:-1]}0 dspam[77]: Connection to 127.0.0.1:10999 failed: Connection refused
        {at[:-1]}0 dspam[77]: Unable to connect to server"""
        log += mail(queue_id, at) + off(queue_id, at, said, relay=SOCKET)
    log += judged("DDDDDD1", "10:09:00", "DDDDDD2")
    (one,) = found(log)
    assert (one.kind, one.relay, one.reason) == ("re-injection", "127.0.0.1:10999", "Connection refused")
    assert (clock(one), one.over) == (("10:01:00", "10:09:00"), True)
    assert (one.mails, one.recipients, one.attempts) == (2, 2, 2)


@pytest.mark.parametrize(
    "answer",
    [
        "451 4.4.1 Can't connect to 127.0.0.1 port 10025, Connection refused, id=08463-01",
        "451 4.5.0 From MTA() during fwd-connect (Error in connecting: Connection refused): id=08463-01",
        "421 4.3.0 Unable to connect to server",
    ],
)
def test_a_filters_answer_alone_tells_that_the_way_back_was_closed(found: Found, answer: str) -> None:
    log = judged("AAAAAA1", "10:00:00", "AAAAAA2") + mail("BBBBBB1", "10:01:00")
    log += off("BBBBBB1", "10:01:00", f"host {SOCKET} said: {answer} (in reply to end of DATA command)", relay=SOCKET)
    (one,) = found(log + judged("CCCCCC1", "10:05:00", "CCCCCC2"))
    assert (one.kind, one.mails, one.over) == ("re-injection", 1, True)


def test_a_scanner_that_the_filter_can_not_reach_is_the_filters_own_trouble(found: Found) -> None:
    said = (
        f"host {SOCKET} said: 451 4.5.0 ClamAV-clamd: Can't connect to UNIX socket /run/clamd.sock (in reply to DATA)"
    )
    log = judged("AAAAAA1", "10:00:00", "AAAAAA2")
    for number in range(3):
        log += mail(f"BBBBBB{number}", f"10:01:0{number}")
        log += off(f"BBBBBB{number}", f"10:01:0{number}", said, relay=SOCKET)
    (one,) = found(log)
    assert one.kind == "filter"


def test_a_client_that_does_not_reach_its_own_daemon_tells_of_no_closed_way_back(found: Found) -> None:
    log = """
        10:01:00 dspam[90]: Connection to 127.0.0.1:2424 failed: Connection refused
        10:01:00 dspam[90]: Unable to connect to server
        10:01:00 dspam[90]: Client exited with error -5"""
    assert found(log) == []


def test_sessions_without_a_warning_part_two_outages_of_a_milter(found: Found) -> None:
    log = session("10:00:00", 10, "AAAAAA1") + session("10:05:00", 10, "BBBBBB1", MILTER)
    log += session("10:06:00", 10, "CCCCCC1", MILTER) + session("10:08:00", 10, "DDDDDD1")
    log += session("10:14:00", 11, "EEEEEE1", MILTER) + session("10:15:00", 10, "ABCDEF1")
    first, second = found(log)
    assert [clock(each) for each in (first, second)] == [("10:05:00", "10:08:00"), ("10:14:00", "10:15:00")]
    assert (first.over, second.over, first.attempts, second.attempts) == (True, True, 2, 1)


def test_mail_that_a_milter_never_saw_does_not_end_its_outage(found: Found) -> None:
    log = session("10:05:00", 10, "BBBBBB1", MILTER) + session("10:06:00", 10, "CCCCCC1", MILTER)
    log += session("10:06:30", 20, "DDDDDD1", tag="postfix/submission/smtpd")
    (one,) = found(log)
    assert (clock(one), one.over) == (("10:05:00", "10:06:00"), False)


def test_mails_that_a_milter_hangs_up_on_are_no_outage(found: Found) -> None:
    log = ""
    for number in range(4):
        log += (
            session(f"10:0{number}:00", 10, f"AAAAAA{number}")
            + f"""
        10:0{number}:01 postfix/cleanup[11]: warning: milter inet:127.0.0.1:11332: can't read SMFIC_BODYEOB reply packet\
 header: Application error"""
        )
    assert found(log) == []


def test_a_milter_that_answers_no_mail_at_all_is_an_outage(found: Found) -> None:
    log = "".join(
        f"""
        10:0{number}:01 postfix/cleanup[11]: warning: milter inet:127.0.0.1:11332: can't read SMFIC_BODYEOB reply packet\
 header: Connection timed out"""
        for number in range(3)
    )
    (one,) = found(log)
    assert (one.kind, one.attempts) == ("milter", 3)


def test_refusals_at_the_door_belong_to_the_outage_of_their_time(found: Found) -> None:
    refused = """
        {at} postfix/smtpd[10]: NOQUEUE: milter-reject: MAIL from mail.example.org[203.0.113.26]: 451 4.7.1 Service\
 unavailable - try again later; from=<sam@example.org> proto=ESMTP helo=<x>"""
    log = session("10:05:00", 10, "BBBBBB1", MILTER) + session("10:07:00", 10, "CCCCCC1")
    log += f"\n        10:08:00 postfix/smtpd[12]: {MILTER}" + refused.format(at="10:08:00")
    first, second = found(log)
    assert (first.mails, second.mails, second.over) == (0, 1, False)


def test_the_closed_way_back_of_a_genuine_day() -> None:
    scan = logscan.read(story("mixed-day"), jobs=1)
    (one,) = [each for each in outages(scan, scan.settings) if each.kind == "re-injection"]
    assert (one.relay, one.mails, one.recipients, one.over) == ("127.0.0.1:10026", 3, 3, True)


def test_a_proxy_filters_outage_ends_with_the_next_mail_that_is_taken(found: Found) -> None:
    proxy = "warning: connect to proxy filter 127.0.0.1:10030: Connection refused"
    log = f"""
        10:01:00 postfix/smtpd[10]: connect from mail.example.org[203.0.113.26]
        10:01:00 postfix/smtpd[10]: NOQUEUE: client=mail.example.org[203.0.113.26]
        10:01:01 postfix/smtpd[10]: {proxy}"""
    (one,) = found(log + session("10:04:00", 10, "AAAAAA1"))
    assert (one.kind, one.mails, clock(one), one.over) == ("filter", 1, ("10:01:01", "10:04:00"), True)


def test_the_milters_own_log_tells_that_it_works_again(tmp_path: Path) -> None:
    day = "2026-03-04"
    (tmp_path / "mail.log").write_text(f"{day}T10:05:00+00:00 mx1 postfix/smtpd[10]: {MILTER}\n")
    (tmp_path / "rspamd.log").write_text(
        f"{day} 10:07:00 #11733(normal) <2df836>; task; rspamd_task_write_log: id: <a@example.org>, qid: <3E3C42920B3>,"
        " ip: 203.0.113.77, from: <sam@example.org>, (default: F (no action): [1.00/15.00] [X(1.00){}]), len: 900,"
        " time: 10.0ms, dns req: 1, digest: <aa>, rcpts: <alice@example.com>, mime_rcpts: <alice@example.com>\n"
    )
    scan = logscan.read(tmp_path, jobs=1, timezone="UTC")
    (one,) = outages(scan, scan.settings)
    assert (clock(one), one.over) == (("10:05:00", "10:07:00"), True)


def test_warnings_without_a_time_are_no_outage_and_break_nothing(tmp_path: Path) -> None:
    lines = [
        f"mx1 postfix/smtpd[10]: {MILTER}",
        "mx1 dspam[77]: Connection to 127.0.0.1:10999 failed: Connection refused",
    ]
    (tmp_path / "mail.log").write_text("".join(f"{line}\n" for line in lines))
    scan = logscan.read(tmp_path, jobs=1)
    assert outages(scan, scan.settings) == []
