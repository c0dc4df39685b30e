"""Verdicts that name a Message-ID and no queue ID: joined by time, recipient and sender, and not at all where in doubt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import logscan
from logscan.scan.scan import Scan

FAR = "mx.example.net[203.0.113.200]:25"
SENT = "dsn=2.0.0, status=sent (250 2.0.0 Ok)"
AMAVIS = "relay=127.0.0.1[127.0.0.1]:10024, delay=1, delays=0/0/0/1, dsn=2.7.0, status=sent"
PIPE = "dsn=2.0.0, status=sent (delivered via spamassassin service)"

Read = Callable[..., Scan]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def start(log: str) -> Scan:
        lines = [line.strip().split(" ", 1) for line in log.strip().splitlines()]
        (tmp_path / "mail.log").write_text("".join(f"2026-03-04T10:{at}+00:00 mx1 {rest}\n" for at, rest in lines))
        return logscan.read(tmp_path, jobs=1)

    return start


def opened(at: str, queue_id: str, ident: str, *, login: str = "", sender: str = "sam@example.org", n: int = 1) -> str:
    who = (
        f"p5b.isp.example[198.51.100.7], sasl_method=PLAIN, sasl_username={login}"
        if login
        else "a.example.org[192.0.2.9]"
    )
    return f"""
        {at} postfix/smtpd[10]: {queue_id}: client={who}
        {at} postfix/cleanup[11]: {queue_id}: message-id={ident}
        {at} postfix/qmgr[12]: {queue_id}: from=<{login or sender}>, size=900, nrcpt={n} (queue active)"""


def spamd(at: str, ident: str, spam: bool) -> str:
    result = "Y 8" if spam else ".  0"
    rest = "scantime=1.9,size=900,user=spam,uid=108,required_score=5.0,rhost=localhost,raddr=::1,rport=46448"
    return f"""
        {at} spamd[15]: spamd: result: {result} - HELO_DYNAMIC {rest},mid={ident},autolearn=no autolearn_force=no"""


def piped(at: str, before: str, after: str, ident: str, recipient: str, *, sender: str = "sam@example.org") -> str:
    """A mail that spamc took for two seconds and sendmail handed in again."""
    return f"""
        {at} postfix/pickup[13]: {after}: uid=108 from=<{sender}>
        {at} postfix/cleanup[11]: {after}: message-id={ident}
        {at} postfix/pipe[14]: {before}: to=<{recipient}>, relay=spamassassin, delay=2.1, delays=0.1/0/0/2, {PIPE}
        {at} postfix/qmgr[12]: {before}: removed
        {at} postfix/qmgr[12]: {after}: from=<{sender}>, size=950, nrcpt=1 (queue active)
        {at} postfix/smtp[16]: {after}: to=<{recipient}>, relay={FAR}, delay=0.1, {SENT}
        {at} postfix/qmgr[12]: {after}: removed"""


def said(scan: Scan) -> dict[str, list[Any]]:
    """Return, by queue ID, what the filter said for each delivery: True, False or None."""
    spam = scan.deliveries["spam"].astype("object").where(scan.deliveries["spam"].notna(), None)
    return {str(name): list(spam[rows.index]) for name, rows in scan.deliveries.groupby("queue_id")}


def test_spamd_behind_spamc_belongs_to_the_hand_over_in_which_it_spoke(read: Read) -> None:
    log = opened("00:12", "AAAAAA1", "<one@example.com>", login="john@example.com")
    log += spamd("00:13", "<one@example.com>", True)
    log += piped("00:14", "AAAAAA1", "AAAAAA2", "<one@example.com>", "kate@example.net", sender="john@example.com")
    assert said(read(log)) == {"AAAAAA1": [True], "AAAAAA2": [True]}


def test_mails_with_one_message_id_at_different_times_have_each_their_own_verdict(read: Read) -> None:
    log = ""
    for number, spam in ((1, True), (2, False), (3, True)):
        log += opened(f"0{number}:12", f"AAAAA{number}1", "<constant>")
        log += spamd(f"0{number}:13", "<constant>", spam)
        log += piped(f"0{number}:14", f"AAAAA{number}1", f"AAAAA{number}2", "<constant>", "kate@example.net")
    found = said(read(log))
    assert [found[f"AAAAA{number}2"] for number in (1, 2, 3)] == [[True], [False], [True]]


def test_a_stranger_who_sends_a_users_message_id_meanwhile_gives_him_no_verdict(read: Read) -> None:
    ident = "<one@example.com>"
    log = opened("00:12", "AAAAAA1", ident, login="john@example.com") + opened("00:12", "BBBBBB1", ident)
    log += spamd("00:13", ident, False) + spamd("00:13", ident, True)
    log += piped("00:14", "AAAAAA1", "AAAAAA2", ident, "kate@example.net", sender="john@example.com")
    log += piped("00:14", "BBBBBB1", "BBBBBB2", ident, "bob@example.com")
    assert said(read(log)) == {name: [None] for name in ("AAAAAA1", "AAAAAA2", "BBBBBB1", "BBBBBB2")}


def test_one_verdict_for_two_mails_alike_is_neithers_two_that_agree_are_both_s(read: Read) -> None:
    ident = "<one@example.com>"
    log = opened("00:12", "AAAAAA1", ident) + opened("00:12", "BBBBBB1", ident) + spamd("00:13", ident, True)
    log += piped("00:14", "AAAAAA1", "AAAAAA2", ident, "kate@example.net")
    log += piped("00:14", "BBBBBB1", "BBBBBB2", ident, "bob@example.com")
    assert set(map(str, said(read(log)).values())) == {"[None]"}
    assert set(map(str, said(read(log + spamd("00:13", ident, True))).values())) == {"[True]"}


def test_a_strangers_mail_in_the_filter_says_nothing_of_a_users_that_passed_it_by(read: Read) -> None:
    ident = "<one@example.com>"
    log = opened("00:11", "AAAAAA1", ident, login="john@example.com")
    log += f"""
        00:12 postfix/smtp[16]: AAAAAA1: to=<kate@example.net>, relay={FAR}, delay=1, delays=0/0/0/1, {SENT}
        00:12 postfix/qmgr[12]: AAAAAA1: removed"""
    log += opened("00:12", "BBBBBB1", ident) + spamd("00:13", ident, True)
    log += piped("00:14", "BBBBBB1", "BBBBBB2", ident, "bob@example.com")
    assert said(read(log)) == {"AAAAAA1": [None], "BBBBBB1": [True], "BBBBBB2": [True]}


def test_a_milter_that_names_no_queue_id_judges_the_mail_for_all_its_recipients(read: Read) -> None:
    log = spamd("00:12", "<one@example.com>", True).replace("00:12", "00:13")
    log = (
        """
        00:12 postfix/smtpd[10]: AAAAAA1: client=p5b.isp.example[198.51.100.7], sasl_method=PLAIN, sasl_username=john@example.com
        00:12 postfix/cleanup[11]: AAAAAA1: message-id=<one@example.com>
    """.rstrip()
        + log
    )
    log += """
        00:14 postfix/qmgr[12]: AAAAAA1: from=<john@example.com>, size=900, nrcpt=2 (queue active)"""
    for at, name, delay in (("00:15", "kate", 3), ("03:40", "leo", 208)):
        log += f"""
        {at} postfix/smtp[16]: AAAAAA1: to=<{name}@example.net>, relay={FAR}, delay={delay}, {SENT}"""
    assert said(read(log)) == {"AAAAAA1": [True, True]}


def test_a_verdict_of_another_time_is_no_verdict_on_this_mail(read: Read) -> None:
    log = opened("00:12", "AAAAAA1", "<one@example.com>") + spamd("05:00", "<one@example.com>", True)
    log += piped("00:14", "AAAAAA1", "AAAAAA2", "<one@example.com>", "kate@example.net")
    assert said(read(log)) == {"AAAAAA1": [None], "AAAAAA2": [None]}


@pytest.mark.parametrize("ident", ["(unknown)", "", "<>"])
def test_mails_without_a_message_id_are_never_joined_by_lacking_it(read: Read, ident: str) -> None:
    log = opened("00:12", "AAAAAA1", ident) + spamd("00:13", ident, True)
    log += piped("00:14", "AAAAAA1", "AAAAAA2", ident, "kate@example.net")
    assert said(read(log))["AAAAAA1"] == [None]


def test_a_verdict_that_names_people_is_for_those_people(read: Read) -> None:
    ident = "<one@example.com>"
    log = opened("00:12", "AAAAAA1", ident, n=2)
    for name, result in (("kate", "Blocked SPAM"), ("leo", "Passed CLEAN")):
        log += f"""
        00:13 amavis[20]: (00020-1) {result}, <sam@example.org> -> <{name}@example.net>, Message-ID: {ident}, Hits: 9
        00:13 postfix/smtp[16]: AAAAAA1: to=<{name}@example.net>, {AMAVIS} (250 2.7.0 Ok, discarded)"""
    assert said(read(log)) == {"AAAAAA1": [True, False]}


def test_a_verdict_for_another_sender_is_another_mail_s(read: Read) -> None:
    log = opened("00:12", "AAAAAA1", "<one@example.com>") + opened(
        "00:12", "BBBBBB1", "<two@example.com>", sender="x@example.org"
    )
    log += f"""
        00:13 amavis[20]: (00020-1) Blocked SPAM, <x@example.org> -> <kate@example.net>, Message-ID: <one@example.com>, Hits: 9
        00:13 postfix/smtp[16]: AAAAAA1: to=<kate@example.net>, {AMAVIS} (250 2.7.0 Ok)"""
    assert said(read(log)) == {"AAAAAA1": [None]}


def test_a_flood_of_one_message_id_is_joined_in_no_time_and_to_nobody_wrongly(read: Read) -> None:
    log = ""
    for number in range(1200):
        at = f"{number // 60:02d}:{number % 60:02d}"
        log += opened(at, f"A{number:05d}1", "<constant>") + spamd(at, "<constant>", number % 2 == 0)
        log += piped(at, f"A{number:05d}1", f"A{number:05d}2", "<constant>", "kate@example.net")
    found = said(read(log))
    for number in range(1200):
        assert found[f"A{number:05d}1"] in ([None], [number % 2 == 0])


def test_a_verdict_for_people_whom_no_mail_here_was_for_is_nobodys(read: Read) -> None:
    log = opened("00:12", "AAAAAA1", "<one@example.com>")
    log += """
        00:13 amavis[20]: (00020-1) Blocked SPAM, <sam@example.org> -> <x@elsewhere>, Message-ID: <one@example.com>, Hits: 9"""
    assert said(read(log)) == {}
    log += piped("00:14", "AAAAAA1", "AAAAAA2", "<one@example.com>", "kate@example.net")
    assert said(read(log)) == {"AAAAAA1": [None], "AAAAAA2": [None]}


@pytest.mark.parametrize("recipients", ["<>", "<a@b>,<>", ",", "<x@y>,<x@y>,<X@Y>", '<"a,b"@c>'])
def test_odd_recipients_of_a_verdict_break_nothing(read: Read, recipients: str) -> None:
    log = opened("00:12", "AAAAAA1", "<one@example.com>")
    log += f"""
        00:13 amavis[20]: (00020-1) Passed CLEAN, <> -> {recipients}, Message-ID: <one@example.com>, Hits: 9"""
    assert (
        read(log + piped("00:14", "AAAAAA1", "AAAAAA2", "<one@example.com>", "kate@example.net")).deliveries.shape[0]
        == 2
    )


@pytest.mark.parametrize(("name", "spam"), [("kate", True), ("leo", None)])
def test_a_verdict_at_the_door_is_for_a_mail_of_which_it_names_somebody(
    read: Read, name: str, spam: bool | None
) -> None:
    log = f"""
        00:12 postfix/smtpd[10]: AAAAAA1: client=a.example.org[192.0.2.9]
        00:12 postfix/cleanup[11]: AAAAAA1: message-id=<one@example.com>
        00:13 amavis[20]: (20-1) Blocked SPAM, <sam@example.org> -> <{name}@example.net>, Message-ID: <one@example.com>, Hits: -
        00:14 postfix/qmgr[12]: AAAAAA1: from=<sam@example.org>, size=900, nrcpt=1 (queue active)
        00:15 postfix/smtp[16]: AAAAAA1: to=<kate@example.net>, relay={FAR}, delay=3, {SENT}"""
    assert said(read(log)) == {"AAAAAA1": [spam]}


def test_rspamds_verdict_on_a_mail_without_a_message_id_is_joined_by_its_queue_id(tmp_path: Path) -> None:
    (tmp_path / "rspamd.log").write_text(
        "2026-03-04 10:01:00 #11733(normal) <2df836>; task; rspamd_task_write_log: id: <undef>, qid: <3E3C42920B3>,"
        " ip: 192.0.2.9, from: <sam@example.org>, (default: F (no action): [1.00/15.00] [X(1.00){}]), len: 900,"
        " time: 10.0ms, dns req: 0, digest: <aa>, rcpts: <bob@example.com>, mime_rcpts: <bob@example.com>\n"
    )
    lines = [line.strip().split(" ", 1) for line in opened("01:00", "3E3C42920B3", "<>").strip().splitlines()]
    (tmp_path / "mail.log").write_text("".join(f"2026-03-04T10:{at}+00:00 mx1 {rest}\n" for at, rest in lines))
    scan = logscan.read(tmp_path, jobs=1, timezone="UTC")
    assert scan.verdicts["entry"].tolist() == [0]
