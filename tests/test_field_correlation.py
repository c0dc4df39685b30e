"""What administrators' set-ups do to counts, directions and delays: cases as they were posted, and others of their kind."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_pitfalls import AMAVIS, FAR, LOCAL, Read, iso, judged, opened, read, saved, to
from test_simulated import check_accounts

import logscan
from logscan.correlate.matching import match
from logscan.correlate.outcomes import ENDS
from logscan.samples import story
from logscan.scan.scan import Scan
from logscan.settings import read_settings

__all__ = ["read"]

FIELD = Path(__file__).parent / "data" / "field"


def field(name: str) -> Scan:
    return logscan.read(FIELD / name, jobs=1)


def directions(scan: Scan) -> dict[str, int]:
    return {str(name): int(n) for name, n in scan.mails["direction"].value_counts().items() if n}


def ends(scan: Scan) -> dict[str, int]:
    """Return the recipients by outcome, those there are."""
    mails = scan.mails
    assert (mails["recipients"] == mails[list(ENDS)].sum(axis=1)).all()
    return {name: int(mails[name].sum()) for name in ENDS if mails[name].sum()}


def final(scan: Scan) -> Any:
    rows = scan.deliveries[scan.deliveries["final"]]
    assert len(rows) == 1
    return rows.iloc[0]


# -- direction ---------------------------------------------------------------------------------------------------------


def test_a_pipe_that_stores_is_a_mailbox_here() -> None:
    assert directions(field("plesk")) == {"inbound": 3, "outbound": 4, "internal": 1}
    assert directions(field("plesk/mail.log")) == {"inbound": 3, "outbound": 4, "internal": 1}


def test_whatever_the_storing_pipe_is_called() -> None:
    for name in ("pipe-transports", "pipe-transports/mail.log"):
        scan = field(name)
        assert directions(scan) == {"inbound": 9}
        assert scan.deliveries.loc[scan.deliveries["final"], "mailbox"].notna().all()


@pytest.mark.parametrize(
    ("relay", "reply"),
    [
        ("store.example.com[192.0.2.40]:24", "250 2.1.5 Ok SESSIONID=<cyrus-1>"),
        ("imap1.example.com[10.1.2.3]:7025", "250 2.1.5 Delivery OK"),
        ("mx1.example.com[/var/run/cyrus/socket/lmtp]", "250 2.1.5 Ok"),
    ],
)
def test_a_mailbox_server_reached_by_lmtp_is_here_wherever_it_stands(read: Read, relay: str, reply: str) -> None:
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:01 postfix/lmtp[14]: 1E24012D687: {to("alice@example.com", relay, reply)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
        {opened("1E24012D688", 10, client="desk[198.51.100.7], sasl_method=PLAIN, sasl_username=bob", ident="<two@example.com>")}
        10:00:11 postfix/smtp[15]: 1E24012D688: {to("zoe@example.net", FAR, "250 ok")}
        10:00:11 postfix/qmgr[12]: 1E24012D688: removed
    """)
    assert directions(scan) == {"inbound": 1, "outbound": 1}
    assert scan.correlated.local_domains == {"example.com"}


def test_domains_in_a_table_that_is_not_at_hand_are_found_by_where_their_mail_went(tmp_path: Path) -> None:
    """`virtual_mailbox_domains = mysql:...`: mydestination alone isn't all."""
    for name in ("plesk",):
        text = (FIELD / name / "mail.log").read_text()
        (tmp_path / "mail.log").write_text(text)
        (tmp_path / "main.cf").write_text(
            "myhostname = server.firma.example\nmydestination = localhost\n"
            "virtual_mailbox_domains = mysql:/etc/postfix/domains.cf\n"
        )
    scan = logscan.read(tmp_path, jobs=1)
    assert directions(scan) == {"inbound": 3, "outbound": 4, "internal": 1}


def test_a_transport_that_the_configuration_names_is_a_mailbox_server_whatever_it_speaks(tmp_path: Path) -> None:
    mail = "\n".join(
        f"2026-03-04T10:00:0{n}+00:00 mx1 {line}"
        for n, line in enumerate(
            (
                "postfix/smtpd[1]: 1E24012D687: client=mail.example.org[203.0.113.26]",
                "postfix/cleanup[2]: 1E24012D687: message-id=<a@example.org>",
                "postfix/qmgr[3]: 1E24012D687: from=<sam@example.org>, size=1, nrcpt=1 (queue active)",
                "postfix/smtp[4]: 1E24012D687: "
                + to("alice@example.com", "10.0.0.5[10.0.0.5]:2525", "250 ok", delay=0.3),
                "postfix/qmgr[3]: 1E24012D687: removed",
            )
        )
    )
    (tmp_path / "mail.log").write_text(mail + "\n")
    main = "virtual_mailbox_domains = ldap:/etc/postfix/domains.cf\nvirtual_transport = smtp:[10.0.0.5]:2525\n"
    (tmp_path / "main.cf").write_text("myhostname = mx1.example.com\n" + main)
    assert directions(logscan.read(tmp_path, jobs=1)) == {"inbound": 1}
    (tmp_path / "main.cf").write_text(
        "myhostname = mx1.example.com\nvirtual_mailbox_domains = ldap:/etc/postfix/x.cf\n"
    )
    assert directions(logscan.read(tmp_path, jobs=1)) == {"forwarded": 1}


def test_root_at_localhost_and_at_the_host_s_own_names_is_ours(read: Read) -> None:
    assert directions(field("root-at-localhost")) == {"internal": 5}
    text = "".join(
        f"""
        10:00:0{n} postfix/pickup[9]: 1E24012D68{n}: uid=0 from=<root>
        10:00:0{n} postfix/cleanup[11]: 1E24012D68{n}: message-id=<{n}@mx1>
        10:00:0{n} postfix/qmgr[12]: 1E24012D68{n}: from=<root@mx1>, size=300, nrcpt=1 (queue active)
        10:00:0{n} postfix/local[13]: 1E24012D68{n}: {to(who, "local", "connection refused", status="deferred")}
        """
        for n, who in enumerate(("root@localhost", "root@mx1", "root@localhost.localdomain", "root"))
    )
    assert directions(read(text)) == {"internal": 4}


def test_a_list_s_program_is_neither_a_mailbox_nor_outside(read: Read) -> None:
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:01 postfix/local[14]: 1E24012D687:
            {to("news@example.com", "local", "delivered to command: /usr/lib/mailman/mail/mailman post news")}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
        {opened("1E24012D688", 10)}
        10:00:11 postfix/pipe[14]: 1E24012D688: {to("talk@example.com", "mailman", "delivered via mailman service")}
        10:00:11 postfix/qmgr[12]: 1E24012D688: removed
        {opened("1E24012D689", 20)}
        10:00:21 postfix/local[14]: 1E24012D689:
            {to("al@example.com", "local", 'delivered to command: /usr/bin/procmail -a "$EXTENSION"')}
        10:00:21 postfix/qmgr[12]: 1E24012D689: removed
    """)
    assert directions(scan) == {"inbound": 3}
    assert ends(scan) == {"delivered": 3}
    boxes = scan.deliveries.set_index("recipient")["mailbox"].fillna("-").to_dict()
    assert boxes == {"news@example.com": "-", "talk@example.com": "-", "al@example.com": "al@example.com"}


def test_what_goes_to_dev_null_is_thrown_away(read: Read) -> None:
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:01 postfix/local[14]: 1E24012D687: {to("void@example.com", "local", "delivered to file: /dev/null")}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert ends(scan) == {"discarded": 1}


def test_no_direction_is_invented_for_mail_that_began_before_the_log() -> None:
    scan = field("opened-before-log")
    assert directions(scan) == {"opened-before": 2, "inbound": 2}
    report = logscan.analyse(scan)
    counts = report.mails
    named = ("inbound", "outbound", "internal", "forwarded", "generated", "opened_before")
    assert counts["total"] == sum(counts[name] for name in named) == 4


def test_a_lost_client_line_makes_no_mail_the_server_s_own(read: Read) -> None:
    """Only what has no sender and a Message-ID of its own, or the double-bounce address, is made by Postfix itself."""
    text = "".join(
        f"""
        10:00:0{n} postfix/cleanup[11]: 1E24012D68{n}: message-id=<{ident}>
        10:00:0{n} postfix/qmgr[12]: 1E24012D68{n}: from=<{sender}>, size=300, nrcpt=1 (queue active)
        10:00:0{n} postfix/lmtp[13]: 1E24012D68{n}: {saved("alice@example.com", f"Session{n}")}
        10:00:0{n} postfix/qmgr[12]: 1E24012D68{n}: removed
        """
        for n, (sender, ident) in enumerate(
            (
                ("sam@example.org", "0@example.org"),
                ("", "report-1@mx.example.net"),
                ("", "20260304100002.1E24012D682@mx1.example.com"),
                ("double-bounce@mx1.example.com", "3@example.org"),
            )
        )
    )
    assert directions(read(text)) == {"opened-before": 2, "generated": 2}


# -- redirects ---------------------------------------------------------------------------------------------------------


def test_a_redirect_handed_to_sendmail_is_a_leg_and_the_mail_is_forwarded() -> None:
    scan = field("sieve-redirect-pickup")
    assert directions(scan) == {"inbound": 3, "forwarded": 1}
    assert list(scan.legs["kind"]) == ["redirect"]
    assert ends(scan) == {"delivered": 4}


def pickup(queue_id: str, second: int, recipient: str, *, ident: str = "<one@example.org>", uid: int = 5000) -> str:
    at = f"10:00:{second:02d}"
    return f"""
        {at} postfix/pickup[9]: {queue_id}: uid={uid} from=<sam@example.org>
        {at} postfix/cleanup[11]: {queue_id}: message-id={ident}
        {at} postfix/qmgr[12]: {queue_id}: from=<sam@example.org>, size=1100, nrcpt=1 (queue active)
        {at} postfix/smtp[15]: {queue_id}: {to(recipient, FAR, "250 2.0.0 ok")}
        {at} postfix/qmgr[12]: {queue_id}: removed
    """


@pytest.mark.parametrize(
    ("relay", "reply", "second", "ident", "kind"),
    [
        ("dovecot", "delivered via dovecot service", 2, "<one@example.org>", "redirect"),
        ("maildrop", "delivered via maildrop service", 2, "<one@example.org>", "redirect"),
        ("local", "delivered to command: /usr/bin/procmail", 2, "<one@example.org>", "redirect"),
        # A list's program hands mail in likewise; but nobody's mailbox was asked.
        ("local", "delivered to command: /usr/local/bin/expand news", 2, "<one@example.org>", "list"),
        ("dovecot", "delivered via dovecot service", 40, "<one@example.org>", None),
        ("dovecot", "delivered via dovecot service", 2, "<other@example.org>", None),
    ],
)
def test_a_redirect_comes_at_once_from_a_delivery_with_the_same_message_id(
    read: Read, relay: str, reply: str, second: int, ident: str, kind: str | None
) -> None:
    program = "local" if relay == "local" else "pipe"
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:01 postfix/{program}[14]: 1E24012D687: {to("bob@example.com", relay, reply, delay=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
        {pickup("1A00000C11", second, "bob@example.net", ident=ident)}
    """)
    assert list(scan.legs["kind"]) == ([kind] if kind else [])
    assert directions(scan) == ({"forwarded": 1} if kind else {"inbound": 1, "outbound": 1})


def test_what_a_script_throws_away_or_rejects_is_no_delivery(read: Read) -> None:
    """Dovecot answers `Saved` all the same."""
    scan = read(f"""
        {opened("1E24012D687", n=2)}
        10:00:01 dovecot: lmtp(al@example.com)<80><SessionA>: sieve: msgid=<one@example.org>: marked message to be discarded
            if not explicitly delivered (discard action)
        10:00:01 postfix/lmtp[14]: 1E24012D687: {saved("al@example.com", "SessionA")}
        10:00:01 dovecot: lmtp(bo@example.com)<80><SessionB>: sieve: msgid=<one@example.org>: stored mail into mailbox 'INBOX'
        10:00:01 postfix/lmtp[14]: 1E24012D687: {saved("bo@example.com", "SessionB")}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert ends(scan) == {"delivered": 1, "discarded": 1}


def lda(user: str, what: str, session: str = "<SessionL>") -> str:
    return f"10:00:01 dovecot: lda({user})<90>{session}: sieve: msgid=<one@example.org>: {what}"


def test_the_lda_s_own_lines_tell_what_became_of_a_delivery(read: Read) -> None:
    def scanned(*lines: str) -> Scan:
        pipe = to("al+x@example.com", "dovecot", "delivered via dovecot service", delay=1)
        return read(
            "\n".join(
                (
                    opened("1E24012D687"),
                    *lines,
                    f"10:00:01 postfix/pipe[14]: 1E24012D687: {pipe}",
                    "10:00:01 postfix/qmgr[12]: 1E24012D687: removed",
                )
            )
        )

    for user in ("al@example.com", "al"):
        scan = scanned(lda(user, "stored mail into mailbox 'Junk'"))
        assert (ends(scan), final(scan)["stored"], final(scan)["folder"]) == ({"delivered": 1}, 1, "Junk")
    thrown = "marked message to be discarded if not explicitly delivered (discard action)"
    assert ends(scanned(lda("al@example.com", thrown))) == {"discarded": 1}
    for other in ("al@example.net", "bo@example.com", "bo"):
        assert final(scanned(lda(other, thrown)))["stored"] == -1


def test_a_redirect_that_keeps_a_copy_delivers_twice(read: Read) -> None:
    scan = read(f"""
        {opened("1E24012D687")}
        {lda("bob@example.com", "stored mail into mailbox 'INBOX'")}
        10:00:01 postfix/pipe[14]: 1E24012D687: {to("bob@example.com", "dovecot", "delivered via dovecot service", delay=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
        {pickup("1A00000C11", 2, "bob@example.net")}
    """)
    assert (list(scan.legs["kind"]), ends(scan)) == (["redirect"], {"delivered": 2})


@pytest.mark.parametrize("second", [0, 1])
def test_what_local_forwarded_within_one_second_is_no_redirect_of_its_own_beginning(read: Read, second: int) -> None:
    """cron's mail to root: picked up, forwarded by aliases(5) and stored by Dovecot, all with one message-id."""
    scan = read(f"""
        10:00:00 postfix/pickup[9]: 1E24012D687: uid=0 from=<root@example.com>
        10:00:00 postfix/cleanup[11]: 1E24012D687: message-id=<one@example.org>
        10:00:00 postfix/qmgr[12]: 1E24012D687: from=<root@example.com>, size=1000, nrcpt=1 (queue active)
        10:00:00 postfix/cleanup[11]: 1A00000C11: message-id=<one@example.org>
        10:00:00 postfix/qmgr[12]: 1A00000C11: from=<root@example.com>, size=1100, nrcpt=2 (queue active)
        10:00:00 postfix/local[14]: 1E24012D687: {to("root@mx1.example.com", "local", "forwarded as 1A00000C11")}
        10:00:00 postfix/qmgr[12]: 1E24012D687: removed
        10:00:0{second} postfix/lmtp[15]: 1A00000C11: {saved("al@example.com", "SessionA", orig="root@mx1.example.com")}
        10:00:0{second} postfix/lmtp[15]: 1A00000C11: {saved("bo@example.com", "SessionB", orig="root@mx1.example.com")}
        10:00:0{second} postfix/qmgr[12]: 1A00000C11: removed
    """)
    assert list(scan.legs["kind"]) == ["forward"]
    assert directions(scan) == {"internal": 1}
    assert ends(scan) == {"delivered": 2}


def test_a_second_instance_of_postfix_is_no_filter(read: Read) -> None:
    reply, loop = "250 2.0.0 Ok: queued as 1A00000C11", "127.0.0.1[127.0.0.1]:8025"
    scan = read(f"""
        {opened("1E24012D687", client="desk[198.51.100.7], sasl_method=PLAIN, sasl_username=al")}
        {opened("1A00000C11", 1, client=LOCAL, tag="postfix-out/smtpd")}
        10:00:01 postfix/smtp[14]: 1E24012D687: {to("zoe@example.net", loop, reply, delay=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
        10:00:02 postfix-out/smtp[15]: 1A00000C11: {to("zoe@example.net", FAR, "250 ok", delay=1)}
        10:00:02 postfix-out/qmgr[12]: 1A00000C11: removed
    """)
    assert list(scan.legs["kind"]) == ["relay"]
    assert (len(scan.mails), ends(scan), directions(scan)) == (1, {"delivered": 1}, {"outbound": 1})


# -- outcomes ----------------------------------------------------------------------------------------------------------


def test_an_expired_mail_is_counted_once(read: Read) -> None:
    scan = read(f"""
        {opened("1E24012D687", n=2)}
        10:00:01 postfix/smtp[14]: 1E24012D687: {to("zoe@example.net", FAR, "250 ok")}
        10:00:30 postfix/smtp[15]: 1E24012D687: {to("kim@example.net", FAR, "timed out", delay=30, status="deferred")}
        10:40:00 postfix/smtp[15]: 1E24012D687: {to("kim@example.net", FAR, "timed out", delay=2400, status="deferred")}
        10:40:00 postfix/qmgr[12]: 1E24012D687: from=<sam@example.org>, status=expired, returned to sender
        10:40:00 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert ends(scan) == {"delivered": 1, "expired": 1}
    assert scan.mails["deferrals"].sum() == 2
    assert list(scan.deliveries["outcome"]) == ["delivered", "deferred", "expired"]


HELD = """
    10:00:00 postfix/smtpd[10]: 1E24012D687: client=mail.example.org[203.0.113.26]
    10:00:00 postfix/cleanup[11]: 1E24012D687: {action}: header Subject: x from mail.example.org[203.0.113.26];
        from=<sam@example.org> to=<al@example.com> proto=ESMTP helo=<mail.example.org>: why
    10:00:00 postfix/cleanup[11]: 1E24012D687: message-id=<one@example.org>
"""


def test_what_is_held_or_thrown_away_by_a_rule_is_a_mail(read: Read) -> None:
    scan = read(HELD.format(action="hold"))
    assert (ends(scan), directions(scan)) == ({"held": 1}, {"inbound": 1})
    assert ends(read(HELD.format(action="discard"))) == {"discarded": 1}
    released = (
        HELD.format(action="hold")
        + f"""
        10:05:00 postfix/postsuper[40]: 1E24012D687: released from hold
        10:05:01 postfix/qmgr[12]: 1E24012D687: from=<sam@example.org>, size=1000, nrcpt=1 (queue active)
        10:05:02 postfix/lmtp[14]: 1E24012D687: {saved("al@example.com", delay=302)}
        10:05:02 postfix/qmgr[12]: 1E24012D687: removed
    """
    )
    assert ends(read(released)) == {"delivered": 1}


DEFERRED = f"""
    {opened("1E24012D687")}
    10:00:30 postfix/smtp[15]: 1E24012D687: {to("zoe@example.net", FAR, "timed out", delay=30, status="deferred")}
"""


def test_postsuper_ends_or_moves_what_was_deferred(read: Read) -> None:
    assert ends(read(DEFERRED)) == {"deferred": 1}
    assert ends(read(DEFERRED + "10:01:00 postfix/postsuper[40]: 1E24012D687: removed")) == {"discarded": 1}
    assert ends(read(DEFERRED + "10:01:00 postfix/postsuper[40]: 1E24012D687: placed on hold")) == {"held": 1}
    again = f"""{DEFERRED}
        10:01:00 postfix/postsuper[40]: 1E24012D687: requeued
        10:01:01 postfix/pickup[9]: 1A00000C11: uid=89 from=<sam@example.org> orig_id=1E24012D687
        10:01:01 postfix/cleanup[11]: 1A00000C11: message-id=<one@example.org>
        10:01:01 postfix/qmgr[12]: 1A00000C11: from=<sam@example.org>, size=1000, nrcpt=1 (queue active)
        10:01:05 postfix/smtp[15]: 1A00000C11: {to("zoe@example.net", FAR, "timed out", delay=34, status="deferred")}
    """
    scan = read(again)
    assert (len(scan.mails), ends(scan), scan.mails["deferrals"].sum()) == (1, {"deferred": 1}, 2)


def test_recipients_that_were_not_tried_yet_are_waiting(read: Read) -> None:
    assert ends(read(opened("1E24012D687", n=3))) == {"deferred": 3}
    some = f"""
        {opened("1E24012D687", n=3)}
        10:00:01 postfix/lmtp[14]: 1E24012D687: {saved("al@example.com")}
    """
    assert ends(read(some)) == {"delivered": 1, "deferred": 2}


def test_a_mail_that_qmgr_never_spoke_of_is_one_all_the_same(read: Read) -> None:
    """A crash behind the 250; other transactions that look so were given up, refused or broken off."""
    taken = "\n".join(opened("1E24012D687").strip().splitlines()[:2])
    scan = read(taken)
    assert (len(scan.mails), ends(scan), list(scan.entries["ending"])) == (1, {"deferred": 1}, ["unseen"])
    for line in (
        "10:00:01 postfix/smtpd[10]: lost connection after DATA (50 bytes) from mail.example.org[203.0.113.26]",
        "10:00:01 postfix/smtpd[10]: timeout after DATA (50 bytes) from mail.example.org[203.0.113.26]",
        "10:00:01 postfix/cleanup[11]: 1E24012D687: milter-reject: END-OF-MESSAGE from mail.example.org[203.0.113.26]:"
        " 5.7.1 Spam message rejected; from=<sam@example.org> to=<al@example.com> proto=ESMTP helo=<x>",
        "10:00:01 postfix/cleanup[11]: 1E24012D687: reject: body x from mail.example.org[203.0.113.26];"
        " from=<sam@example.org> to=<al@example.com> proto=ESMTP helo=<x>: 5.7.1 no",
    ):
        assert len(read(taken + "\n" + line).mails) == 0, line


@pytest.mark.parametrize(("name", "delivered"), [("pipe-only.log", 3), ("lmtp.log", 3), ("virtual.log", 2)])
def test_equal_lines_of_one_life_are_copies_where_processes_or_qmgr_s_count_say_so(name: str, delivered: int) -> None:
    scan = field(f"02-one-life-two-copies/{name}")
    assert ends(scan) == {"delivered": delivered}


def test_equal_lines_are_repeated_logging_where_nothing_says_otherwise(read: Read) -> None:
    line = f"10:00:01 postfix/pipe[14]: 1E24012D687: {to('al@example.com', 'dovecot', 'delivered via dovecot service')}"
    gone = "10:00:01 postfix/qmgr[12]: 1E24012D687: removed"
    assert ends(read("\n".join((opened("1E24012D687"), line, line, gone)))) == {"delivered": 1}
    assert ends(read("\n".join((opened("1E24012D687", n=2), line, line, gone)))) == {"delivered": 2}
    other = line.replace("[14]", "[15]")
    assert ends(read("\n".join((opened("1E24012D687"), line, other, gone)))) == {"delivered": 2}


def test_what_a_filter_keeps_in_quarantine_is_held(tmp_path: Path) -> None:
    """DSPAM's own log says so; the first mail shows that this relay hands mail back."""
    passed = f"""
        {opened("1E24012D687")}
        10:00:01 postfix/lmtp[14]: 1E24012D687: {judged("al@example.com", delay=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
        {opened("1A00000C11", 1, client=LOCAL)}
        10:00:01 postfix/lmtp[16]: 1A00000C11: {saved("al@example.com")}
        10:00:01 postfix/qmgr[12]: 1A00000C11: removed
        {opened("1E24012D688", 60, ident="<two@example.org>")}
        10:01:01 postfix/lmtp[14]: 1E24012D688: {judged("al@example.com", delay=1)}
        10:01:01 postfix/qmgr[12]: 1E24012D688: removed
    """
    (tmp_path / "mail.log").write_text(iso(passed))
    at = int(pd.Timestamp("2026-03-04T10:01:01Z").timestamp())
    rows = [
        f"{at - 60}\tI\tsam@example.org\t69a7a1c1\thello\t0.1\tal@example.com\tDelivered\t<one@example.org>",
        f"{at}\tS\tsam@example.org\t69a7a1c2\tbuy\t0.1\tal@example.com\tQuarantined\t<two@example.org>",
    ]
    (tmp_path / "system.log").write_text("".join(row + "\n" for row in rows))
    scan = logscan.read(tmp_path, jobs=1)
    assert ends(scan) == {"delivered": 1, "held": 1}
    assert set(scan.mails["recipients"]) == {1}


@pytest.mark.parametrize("name", ["healthy", "mixed-day", "amavis-healthy", "dspam-crash"])
def test_the_accounts_of_genuine_logs_add_up(name: str) -> None:
    check_accounts(logscan.read(story(name), jobs=1))


# -- delays ------------------------------------------------------------------------------------------------------------


def test_a_delay_goes_from_end_to_end(read: Read) -> None:
    """Two seconds of taking it in, one waiting, forty in the filter, half a second to the mailbox."""
    scan = read(f"""
        {opened("1E24012D687")}
        {opened("1A00000C11", 43, client=LOCAL)}
        10:00:44 postfix/lmtp[14]: 1E24012D687: to=<al@example.com>, relay=mx1.example.com[/run/dspam/dspam.sock], delay=44,
            delays=2/1/0/41, dsn=2.6.0, status=sent (250 2.6.0 <al@example.com> Message accepted for delivery)
        10:00:44 postfix/qmgr[12]: 1E24012D687: removed
        10:00:44 postfix/virtual[15]: 1A00000C11: to=<al@example.com>, relay=virtual, delay=0.7, delays=0.2/0.1/0.3/0.1,
            dsn=2.0.0, status=sent (delivered to maildir)
        10:00:44 postfix/qmgr[12]: 1A00000C11: removed
    """)
    row = final(scan)
    assert row["arrived"] == pd.Timestamp("2026-03-04T10:00:00Z")
    # Opened at :00, ended at :44: within a second of that.
    assert row["total_delay"] == pytest.approx(44)
    parts = row[["before_queue", "in_filter", "waiting", "connecting", "sending"]]
    assert list(parts) == pytest.approx([2.2, 40.3, 1.1, 0.3, 0.1])
    assert sum(parts) == pytest.approx(row["total_delay"])


def test_a_deferral_is_waiting_and_a_late_stamp_changes_nothing(read: Read) -> None:
    text = f"""
        {opened("1E24012D687")}
        10:00:30 postfix/smtp[15]: 1E24012D687: {to("zoe@example.net", FAR, "timed out", delay=30, status="deferred")}
        10:{{minute}}:{{second}} postfix/smtp[15]: 1E24012D687: to=<zoe@example.net>, relay={FAR}, delay=601,
            delays=0.3/600/0.2/0.5, dsn=2.0.0, status=sent (250 ok)
        10:10:09 postfix/qmgr[12]: 1E24012D687: removed
    """
    for stamp in ({"minute": "10", "second": "01"}, {"minute": "10", "second": "05"}, {"minute": "09", "second": "58"}):
        row = final(read(text.format(**stamp)))
        assert (row["total_delay"], row["waiting"], row["sending"]) == (601, 600, 0.5)


@pytest.mark.parametrize("stamp", ["10:00:00", "10:00:01", "10:00:04"])
def test_a_hand_over_s_own_account_outweighs_stamps(read: Read, stamp: str) -> None:
    """The re-injection is logged too early or late; the hand-over took a second and nothing is negative."""
    second = int(stamp[-2:])
    scan = read(f"""
        {opened("1E24012D687")}
        {opened("1A00000C11", second, client=LOCAL)}
        10:00:01 postfix/smtp[14]: 1E24012D687: to=<al@example.com>, relay={AMAVIS}, delay=1.2, delays=0.1/0.1/0/1, dsn=2.0.0,
            status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 1A00000C11)
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
        {stamp} postfix/lmtp[16]: 1A00000C11: {saved("al@example.com", delay=0.2)}
        {stamp} postfix/qmgr[12]: 1A00000C11: removed
    """)
    row = final(scan)
    assert 0.4 <= row["total_delay"] <= 1.4
    assert 0 <= row["in_filter"] <= 1.11


def test_a_mail_from_before_the_log_arrived_when_its_delay_says(read: Read) -> None:
    scan = read(f"""
        10:00:00 postfix/qmgr[12]: 1E24012D687: from=<sam@example.org>, size=1000, nrcpt=1 (queue active)
        10:00:01 postfix/smtp[15]: 1E24012D687: {to("zoe@example.net", FAR, "250 ok", delay=9000, d=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    row = final(scan)
    assert row["total_delay"] == 9000
    assert row["arrived"] == pd.Timestamp("2026-03-04T07:30:01Z")


# -- hostile input -----------------------------------------------------------------------------------------------------


def test_a_stranger_that_sends_our_mail_back_meanwhile_is_no_filter(read: Read) -> None:
    """It connects with the same Message-ID while it takes our user's mail, and answers with the ID it was given."""
    stranger = "mx.evil.example[198.51.100.66]"
    scan = read(f"""
        {opened("1E24012D687", client="desk[198.51.100.7], sasl_method=PLAIN, sasl_username=al", sender="al@example.com")}
        {opened("1A00000C11", 1, client=stranger, sender="al@example.com")}
        10:00:01 postfix/lmtp[16]: 1A00000C11: {saved("bo@example.com")}
        10:00:01 postfix/qmgr[12]: 1A00000C11: removed
        10:00:02 postfix/smtp[14]: 1E24012D687:
            {to("bo@evil.example", stranger + ":25", "250 2.0.0 Ok: queued as 1A00000C11", delay=2, d=1.9)}
        10:00:02 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert len(scan.legs) == 0
    assert directions(scan) == {"outbound": 1, "inbound": 1}


def test_ids_of_mail_that_is_over_or_came_from_elsewhere_are_not_believed(read: Read) -> None:
    over = f"""
        {opened("1E24012D687")}
        10:00:01 postfix/lmtp[16]: 1E24012D687: {saved("al@example.com")}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
        {opened("1A00000C11", 60, client="{who}, orig_queue_id=1E24012D687, orig_client=x[192.0.2.9]")}
        10:01:01 postfix/lmtp[16]: 1A00000C11: {saved("al@example.com", "SessionB")}
        10:01:01 postfix/qmgr[12]: 1A00000C11: removed
    """
    for who in (LOCAL, "mail.example.org[203.0.113.26]"):
        assert len(read(over.replace("{who}", who)).legs) == 0


@pytest.mark.parametrize(
    ("value", "joined"),
    [
        ("+", {"al+x@example.com"}),
        ("+-", {"al+x@example.com", "al-x@example.com"}),
        ("+ # plus", {"al+x@example.com"}),
        ("d", {"aldx@example.com"}),
        ("p", {"alpx@example.com"}),
        ("]", {"al]x@example.com"}),
        ("^", {"al^x@example.com"}),
        ("\\", {"al\\x@example.com"}),
        ("[", set()),
        ("", set()),
    ],
)
def test_delimiters_are_characters_and_no_pattern(tmp_path: Path, value: str, joined: set[str]) -> None:
    addresses = [f"al{char}x@example.com" for char in "+-dp]^\\0"]
    lines = [
        "2026-03-04T10:00:00+00:00 mx1 postfix/smtpd[1]: 1E24012D687: client=mail.example.org[203.0.113.26]",
        *(
            f"2026-03-04T10:00:01+00:00 mx1 postfix/virtual[4]: 1E24012D687: {to(each, 'virtual', 'delivered to maildir')}"
            for each in addresses
        ),
    ]
    (tmp_path / "mail.log").write_text("\n".join(lines) + "\n")
    (tmp_path / "main.cf").write_text(f"myhostname = mx1.example.com\nrecipient_delimiter = {value}\n")
    boxes = logscan.read(tmp_path, jobs=1).deliveries.set_index("recipient")["mailbox"]
    assert {each for each in addresses if boxes[each] == "al@example.com"} == joined


@pytest.mark.parametrize("value", ["scan:[10.0.0.1](:25", "smtp:[*]:25", "x[", "lmtp:unix:/a(b", "smtp:[\\d+]:10024"])
def test_destinations_are_texts_and_no_pattern(tmp_path: Path, value: str) -> None:
    (tmp_path / "mail.log").write_text(
        "2026-03-04T10:00:00+00:00 mx1 postfix/smtpd[1]: 1E24012D687: client=mail.example.org[203.0.113.26]\n"
        f"2026-03-04T10:00:01+00:00 mx1 postfix/smtp[4]: 1E24012D687: {to('al@example.com', AMAVIS, '250 ok')}\n"
    )
    (tmp_path / "main.cf").write_text(
        f"myhostname = mx1\nvirtual_transport = {value}\ncontent_filter = {value}\nmailbox_transport = {value}\n"
    )
    assert len(logscan.read(tmp_path, jobs=1).mails) == 1


def test_very_many_alike_cost_hundreds_of_bytes_a_mail() -> None:
    """One Message-ID, one sender, one recipient, one second: 20,000 hand-overs and as many children."""
    n = 20_000
    key = np.zeros(n, np.int64)
    window = np.full(n, 98, np.int64), np.full(n, 101, np.int64)
    tracemalloc.start()
    began = time.process_time()
    left, right, sure = match((key, key), window, np.full(n, 100, np.int64), lambda left, right: left >= 0)
    seconds, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(set(left.tolist())) == len(set(right.tolist())) == n
    assert not sure.any()
    assert peak < 2_500 * n
    assert seconds < 10


def test_settings_read_delimiters_alike() -> None:
    settings = read_settings([("main.cf", "myhostname = mx1.example.com\nrecipient_delimiter = +- # both\n")])
    assert settings.delimiters == "+-"
