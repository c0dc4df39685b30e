"""Times at which a filter, a milter or a mailbox server took no mail: from, until, how many, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cutting import partials

import logscan
from logscan.checking.outage import Outage
from logscan.checking.outages import conclude, look, outages
from logscan.samples import story
from logscan.scan.window import Window

SOCKET = "mx1.example.com[/run/scan.sock]"
DOVECOT = "mx1.example.com[private/dovecot-lmtp]"
TOOK = "delay=0.2, delays=0.1/0/0/0.1, dsn=2.0.0, status=sent"
FAR = "mx.example.net[203.0.113.200]:25"

Found = Callable[..., list[Outage]]


@pytest.fixture
def found(tmp_path: Path) -> Found:
    """Write a log of ``HH:MM:SS tag: text`` lines, configuration beside it, and return its outages."""

    def start(log: str, **configuration: str) -> list[Outage]:
        lines = [line.strip().split(" ", 1) for line in log.strip().splitlines()]
        text = "".join(f"2026-03-04T{at}+00:00 mx1 {rest}\n" for at, rest in lines)
        (tmp_path / "mail.log").write_text(text)
        for name, content in configuration.items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        scan = logscan.read(tmp_path, jobs=1)
        whole = outages(scan, scan.settings)
        assert_the_same_in_pieces(scan, whole)
        return whole

    return start


def assert_the_same_in_pieces(scan: Window, whole: list[Outage]) -> None:
    for partial in partials(scan, lambda window: look(window, scan.settings)):
        assert conclude(partial, scan.log) == whole


def mail(queue_id: str, at: str, *, sender: str = "sam@example.org", n: int = 1) -> str:
    return f"""
        {at} postfix/smtpd[10]: {queue_id}: client=mail.example.org[203.0.113.26]
        {at} postfix/cleanup[11]: {queue_id}: message-id=<{queue_id}@example.org>
        {at} postfix/qmgr[12]: {queue_id}: from=<{sender}>, size=900, nrcpt={n} (queue active)"""


def off(
    queue_id: str, at: str, reason: str, *, to: str = "alice@example.com", relay: str = "none", delay: int = 0
) -> str:
    return f"""
        {at} postfix/lmtp[13]: {queue_id}: to=<{to}>, relay={relay}, delay={delay}.1, delays={delay}/0/0/0.1, dsn=4.4.1,
 status=deferred ({reason})""".replace(",\n ", ", ")


def judged(queue_id: str, at: str, after: str) -> str:
    """A mail that goes through the filter and comes back as ``after``."""
    return f"""{mail(queue_id, at)}
        {at} postfix/smtpd[20]: {after}: client=localhost[127.0.0.1], orig_queue_id={queue_id}, orig_client=x[203.0.113.26]
        {at} postfix/cleanup[11]: {after}: message-id=<{queue_id}@example.org>
        {at} postfix/lmtp[13]: {queue_id}: to=<alice@example.com>, relay={SOCKET}, {TOOK} (250 2.0.0 Ok: queued as {after})
        {at} postfix/qmgr[12]: {queue_id}: removed
        {at} postfix/qmgr[12]: {after}: from=<sam@example.org>, size=950, nrcpt=1 (queue active)
        {at} postfix/lmtp[14]: {after}: to=<alice@example.com>, relay={DOVECOT}, {TOOK} (250 2.0.0 <alice@example.com> S Saved)
        {at} postfix/qmgr[12]: {after}: removed"""


REFUSED = f"connect to {SOCKET}: Connection refused"
SUSPENDED = f"delivery temporarily suspended: {REFUSED}"


def test_a_filter_that_was_down_from_its_first_refusal_until_mail_went_through_again(found: Found) -> None:
    log = judged("AAAAAA1", "10:00:00", "AAAAAA2")
    log += mail("BBBBBB1", "10:01:00", n=2) + off("BBBBBB1", "10:01:00", REFUSED)
    log += off("BBBBBB1", "10:01:00", REFUSED, to="bob@example.com")
    log += mail("CCCCCC1", "10:03:00") + off("CCCCCC1", "10:03:00", SUSPENDED)
    log += off("BBBBBB1", "10:06:00", REFUSED, delay=300) + judged("DDDDDD1", "10:09:30", "DDDDDD2")
    (one,) = found(log)
    assert (one.relay, one.kind, one.reason, one.over) == (SOCKET, "filter", "Connection refused", True)
    assert (f"{one.first:%H:%M:%S}", f"{one.until:%H:%M:%S}") == ("10:01:00", "10:09:30")
    assert (one.mails, one.recipients, one.attempts, one.returned) == (2, 3, 4, 0)


def test_two_outages_with_mail_between_them_are_two(found: Found) -> None:
    log = judged("AAAAAA1", "10:00:00", "AAAAAA2") + mail("BBBBBB1", "10:01:00") + off("BBBBBB1", "10:01:00", REFUSED)
    log += judged("CCCCCC1", "10:05:00", "CCCCCC2") + mail("DDDDDD1", "10:31:00") + off("DDDDDD1", "10:31:00", REFUSED)
    first, second = found(log)
    assert (first.over, second.over) == (True, False)
    assert first.until < second.first == second.until


def test_one_mail_that_slips_through_within_two_minutes_does_not_end_an_outage(found: Found) -> None:
    log = judged("AAAAAA1", "10:00:00", "AAAAAA2") + mail("BBBBBB1", "10:01:00") + off("BBBBBB1", "10:01:00", REFUSED)
    log += judged("CCCCCC1", "10:01:30", "CCCCCC2") + mail("DDDDDD1", "10:02:00") + off("DDDDDD1", "10:02:00", REFUSED)
    (one,) = found(log)
    assert one.mails == 2


@pytest.mark.parametrize(
    "reason",
    [
        f"conversation with {SOCKET} timed out while receiving the initial server greeting",
        f"lost connection with {SOCKET} while sending end of data -- message may be sent more than once",
        f"host {SOCKET} refused to talk to me: 421 4.3.2 too busy",
    ],
)
def test_every_way_of_not_being_there_is_an_outage(found: Found, reason: str) -> None:
    log = judged("AAAAAA1", "10:00:00", "AAAAAA2") + mail("BBBBBB1", "10:01:00") + off("BBBBBB1", "10:01:00", reason)
    (one,) = found(log)
    assert (one.kind, one.mails) == ("filter", 1)


def test_what_a_filter_answers_to_one_mail_is_no_outage_what_it_answers_to_all_is(found: Found) -> None:
    busy = f"host {SOCKET} said: 451 4.3.2 engines busy (in reply to end of DATA command)"
    log = judged("AAAAAA1", "10:00:00", "AAAAAA2")
    log += mail("BBBBBB1", "10:01:00") + off("BBBBBB1", "10:01:00", busy, relay=SOCKET)
    log += off("BBBBBB1", "10:06:00", busy, relay=SOCKET, delay=300)
    assert found(log) == []
    log += mail("CCCCCC1", "10:07:00") + off("CCCCCC1", "10:07:00", busy, relay=SOCKET)
    log += mail("DDDDDD1", "10:08:00") + off("DDDDDD1", "10:08:00", busy, relay=SOCKET)
    (one,) = found(log)
    assert one.mails == 3


def test_full_mailboxes_are_their_owners_trouble_a_mailbox_server_that_is_away_is_everybodys(found: Found) -> None:
    log = judged("AAAAAA1", "10:00:00", "AAAAAA2")
    full = f"host {DOVECOT} said: 452 4.2.2 <alice@example.com> Quota exceeded (in reply to end of DATA command)"
    for number in range(4):
        log += mail(f"BBBBBB{number}", "10:01:00") + off(f"BBBBBB{number}", "10:01:00", full, relay=DOVECOT)
    assert found(log) == []
    log += mail("CCCCCC1", "10:02:00")
    log += off("CCCCCC1", "10:02:00", f"connect to {DOVECOT}: No such file or directory")
    (one,) = found(log)
    assert (one.relay, one.kind, one.over) == (DOVECOT, "mailbox", False)


def test_hosts_elsewhere_that_put_mail_off_are_no_outage_of_this_server(found: Found) -> None:
    log = mail("AAAAAA1", "10:00:00", sender="alice@example.com")
    log += off("AAAAAA1", "10:00:01", f"connect to {FAR}: Connection timed out", to="kate@example.net")
    log += off("AAAAAA1", "10:10:01", f"host {FAR} said: 450 Greylisted", to="kate@example.net", relay=FAR, delay=600)
    assert found(log) == []


def test_a_filter_that_never_took_a_mail_is_known_by_the_configuration(found: Found) -> None:
    down = "connect to scan.example.com[192.0.2.9]:10025: Connection refused"
    log = mail("AAAAAA1", "10:00:00") + off("AAAAAA1", "10:00:01", down)
    assert found(log) == []
    (one,) = found(
        log, main_cf="content_filter = scan:[scan.example.com]:10025\n", master_cf="smtp inet n - n - - smtpd\n"
    )
    assert (one.kind, one.over) == ("filter", False)


def test_a_service_on_this_host_that_is_away_counts_whatever_it_does(found: Found) -> None:
    down = "connect to 127.0.0.1[127.0.0.1]:10024: Connection refused"
    (one,) = found(mail("AAAAAA1", "10:00:00") + off("AAAAAA1", "10:00:01", down))
    assert one.kind == "service"
    (one,) = found(mail("AAAAAA1", "10:00:00") + off("AAAAAA1", "10:00:01", "mail transport unavailable"))
    assert one.relay == "mail transport unavailable"


def test_mail_that_expired_meanwhile_was_sent_back(found: Found) -> None:
    log = judged("AAAAAA1", "10:00:00", "AAAAAA2") + mail("BBBBBB1", "10:01:00") + off("BBBBBB1", "10:01:00", REFUSED)
    log += mail("CCCCCC1", "10:01:30") + off("CCCCCC1", "10:01:30", REFUSED)
    log += """
        10:40:00 postfix/qmgr[12]: BBBBBB1: from=<sam@example.org>, status=expired, returned to sender
        10:40:00 postfix/qmgr[12]: BBBBBB1: removed"""
    (one,) = found(log)
    assert (one.mails, one.recipients, one.returned) == (2, 2, 1)


def test_a_milter_out_of_reach_refuses_at_the_door_or_lets_mail_pass_unseen(found: Found) -> None:
    warning = "postfix/smtpd[10]: warning: connect to Milter service inet:127.0.0.1:11332: Connection refused"
    head = "postfix/smtpd[10]: NOQUEUE: milter-reject:"
    tail = "451 4.7.1 Service unavailable - try again later; from=<sam@example.org>"
    log = f"""
        10:00:00 {warning}
        10:00:00 {head} CONNECT from mail.example.org[203.0.113.26]: 451 4.7.1 Service unavailable - try again later; proto=SMTP
        10:00:00 {head} MAIL from mail.example.org[203.0.113.26]: {tail} proto=ESMTP helo=<x>
        10:00:00 {head} RCPT from mail.example.org[203.0.113.26]: {tail} to=<alice@example.com> proto=ESMTP helo=<x>
        10:05:00 {warning}"""
    (one,) = found(log + mail("AAAAAA1", "10:30:00"))
    assert (one.relay, one.kind, one.attempts, one.over) == ("inet:127.0.0.1:11332", "milter", 2, True)
    assert (one.mails, one.recipients) == (1, 1)


def test_a_policy_service_is_no_filter(found: Found) -> None:
    assert found("10:00:00 postfix/smtpd[10]: warning: problem talking to server private/policy-spf: timed out") == []


def test_many_failures_of_single_mails_cost_no_time_each(found: Found) -> None:
    log = judged("AAAAAA1", "10:00:00", "AAAAAA2")
    for number in range(300):
        at = f"{11 + number // 60:02d}:{number % 60:02d}:00"
        log += mail(f"B{number:06d}1", at) + off(f"B{number:06d}1", at, REFUSED)
        log += judged(f"C{number:06d}1", at[:-2] + "30", f"C{number:06d}2")
    (one,) = found(log)  # never two minutes apart
    assert (one.mails, one.attempts) == (300, 300)


def test_the_days_outages_of_a_genuine_log() -> None:
    scan = logscan.read(story("mixed-day"), jobs=1)
    down = [each for each in outages(scan, scan.settings) if "dspam.sock" in each.relay and each.mails > 3]
    assert [(each.mails, each.recipients, each.reason, each.over) for each in down] == [
        (12, 21, "No such file or directory", True),
        (12, 14, "Connection refused", True),
    ]


@pytest.mark.parametrize("name", ["healthy", "amavis-healthy", "rspamd-healthy"])
def test_a_healthy_day_has_none(name: str) -> None:
    scan = logscan.read(story(name), jobs=1)
    assert outages(scan, scan.settings) == []


def test_a_service_that_does_not_run_is_named_by_the_queue_managers_warning(found: Found) -> None:
    away = "\n        10:01:00 postfix/qmgr[12]: warning: connect to transport private/smtp-amavis: No such file or directory"
    log = judged("AAAAAA1", "10:00:00", "AAAAAA2") + mail("BBBBBB1", "10:01:00") + away
    log += off("BBBBBB1", "10:01:00", "mail transport unavailable")
    (one,) = found(log)
    assert (one.relay, one.kind, one.over) == ("smtp-amavis", "service", False)
    main = "content_filter = smtp-amavis:[127.0.0.1]:10024\n"
    (one,) = found(
        log + judged("CCCCCC1", "10:05:00", "CCCCCC2"), main_cf=main, master_cf="smtp inet n - n - - smtpd\n"
    )
    assert (one.relay, one.kind, one.over) == ("smtp-amavis", "filter", True)
