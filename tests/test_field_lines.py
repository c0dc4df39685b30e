"""Lines as administrators posted them, by other settings than the default: each gives what it says, none is passed over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import logscan
from logscan.scan.scan import Scan

Read = Callable[[str], Scan]
DATA = Path(__file__).parent / "data" / "field"


def rows(scan: Scan, table: str, *columns: str) -> list[tuple[Any, ...]]:
    frame = scan.events(table).sort_values(["source", "line"])
    return [
        tuple(row) for row in frame[list(columns)].astype(object).where(frame[list(columns)].notna(), None).to_numpy()
    ]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a text, each line beginning with its time."""

    def start(text: str) -> Scan:
        path = tmp_path / "mail.log"
        path.write_text("".join(f"Mar  4 {line.replace(' ', ' mx1 ', 1)}\n" for line in text.splitlines()))
        return logscan.read(path, jobs=1)

    return start


def unknown(scan: Scan) -> int:
    return sum(source.unknown for source in scan.sources)


def read_case(*parts: str) -> Scan:
    return logscan.read(DATA.joinpath(*parts), jobs=1)


# -- Dovecot: deliver_log_format ---------------------------------------------------------------------------------------

STORE = ("user", "session", "message_id", "action", "mailbox")
BOB, SESSION, ID = "bob@example.com", "CHZxAe48A2vPFQAAMzN6MA", "<a@example.net>"


def test_stores_are_read_by_any_deliver_log_format() -> None:
    scan = read_case("06-deliver-log-format", "lines.log")
    folders = ["INBOX", "INBOX", "Junk", "INBOX", "INBOX", "INBOX", "INBOX", "INBOX"]
    assert rows(scan, "stores", *STORE) == [(BOB, SESSION, ID, "stored", folder) for folder in folders]
    assert unknown(scan) == 0


def test_a_failed_save_is_no_noise() -> None:
    scan = read_case("06-deliver-log-format", "dovecot-docs.log")
    user, session = "testuser_717@example.com", "iQBSCwulE1ZXMwAA0J78UA"
    assert rows(scan, "stores", *STORE) == [
        (user, session, "unspecified", "stored", "INBOX"),
        (user, session, "<a@example.org>", "stored", "INBOX"),
        (user, session, "<a@example.org>", "failed", None),
    ]


LMTP = "12:00:00 dovecot: lmtp(bob@example.com)<7><CHZxAe48A2vPFQAAMzN6MA>: "


@pytest.mark.parametrize(
    ("text", "action", "mailbox", "message_id"),
    [
        ("saved mail to Sent Items", "stored", "Sent Items", None),
        ("sieve: stored mail into mailbox 'a'", "stored", "a", None),
        ("saved mail to INBOX: from=<x@y>, msgid=<a@example.net>", "stored", "INBOX", ID),
        ("Message-ID: <a@example.net>, from Ann, 12 bytes: save failed to INBOX: Quota exceeded", "failed", None, ID),
        (
            "sieve: subject=You failed to pay: rejected, msgid=<a@example.net>, stored mail into mailbox 'a'",
            "stored",
            "a",
            ID,
        ),
        ("uid=5 [ann@example.org] {Hello: x} msgid=<a@example.net> -- saved mail to INBOX", "stored", "INBOX", ID),
        ("sieve: msgid=: stored mail into mailbox 'INBOX'", "stored", "INBOX", ""),
        ("sieve: msgid=no brackets: stored mail into mailbox 'INBOX'", "stored", "INBOX", "no"),
        ("msgid=<a@example.net>, size=10: sieve: forwarded to <c@example.org>", "forwarded", None, ID),
        ("msgid=<a@example.net>, size=10: discard action: discarded message", "discarded", None, ID),
    ],
)
def test_what_was_done_is_told_by_the_closing_action(
    read: Read, text: str, action: str, mailbox: str | None, message_id: str | None
) -> None:
    scan = read(LMTP + text)
    frame = scan.events("stores")
    assert (frame["user"][0], frame["session"][0], frame["action"][0]) == (BOB, SESSION, action)
    if mailbox is not None:
        assert frame["mailbox"][0] == mailbox
    if message_id is not None and " " not in text.partition("msgid=")[2][:12]:
        assert frame["message_id"][0] == message_id


@pytest.mark.parametrize(
    "text",
    [
        "from=a@b msgid=<a>: saved mail to INBOX (subject=x: saved mail to Junk size=5)",
        "msgid=<a>: an action of tomorrow",
        "sieve: msgid=<a>: stored mail into mailbox 'INBOX' subject=y: forwarded to <evil@example.org>",
    ],
)
def test_what_can_be_read_in_two_ways_is_unknown_and_never_noise(read: Read, text: str) -> None:
    scan = read(LMTP + text + "\n12:00:01 dovecot: imap-login: Login: user=<a>, method=PLAIN, rip=1.2.3.4, lip=1.2.3.5")
    assert len(scan.events("stores")) == 0
    assert unknown(scan) == 1


@pytest.mark.parametrize(
    "prefix",
    [
        "lmtp(bob@example.com)<7><CHZxAe48A2vPFQAAMzN6MA>: Info: ",
        "Info: lmtp(bob@example.com)<7><CHZxAe48A2vPFQAAMzN6MA>: ",
        "LMTP(bob@example.com): CHZxAe48A2vPFQAAMzN6MA: Info: ",
        "lmtp(7, bob@example.com): CHZxAe48A2vPFQAAMzN6MA: ",
        "lmtp[7](bob@example.com) session=<CHZxAe48A2vPFQAAMzN6MA>: ",
        "lmtp(bob@example.com,192.0.2.1)[7]<CHZxAe48A2vPFQAAMzN6MA>: ",
        "lda(bob@example.com) <7> <CHZxAe48A2vPFQAAMzN6MA>: ",
    ],
)
def test_a_mail_log_prefix_and_the_levels_place_are_settings(read: Read, prefix: str) -> None:
    scan = read(f"12:00:00 dovecot: {prefix}sieve: msgid={ID}: stored mail into mailbox 'INBOX'")
    assert rows(scan, "stores", *STORE) == [(BOB, SESSION, ID, "stored", "INBOX")]


def test_pigeonholes_outcomes_are_told_apart() -> None:
    scan = read_case("16-sieve-outcomes", "mail.log")
    assert [action for (action,) in rows(scan, "stores", "action")] == [
        "rejected silently", "rejected silently", "reject withheld", "reject withheld", "loop",
        *["vacation withheld"] * 7, "skipped", "failed", "stored", "report", "notification", "notification withheld",
        "piped", "stored",
    ]  # fmt: skip
    assert unknown(scan) == 0
    assert scan.events("stores")["user"].eq(BOB).all()
    assert scan.events("stores")["message_id"].eq(ID).all()


def test_what_sieve_refuses_without_an_answer_is_thrown_away(read: Read) -> None:
    scan = read(
        f"12:00:00 postfix/smtpd[1]: 4A97F54A7D9: client=mail.example.org[203.0.113.9]\n"
        f"12:00:00 postfix/cleanup[2]: 4A97F54A7D9: message-id={ID}\n"
        f"12:00:00 postfix/qmgr[3]: 4A97F54A7D9: from=<>, size=13, nrcpt=1 (queue active)\n"
        f"{LMTP}sieve: msgid={ID}: reject action: not sending reject message to <>\n"
        f"12:00:00 postfix/lmtp[4]: 4A97F54A7D9: to=<{BOB}>, relay=mx1[private/dovecot-lmtp], delay=1, delays=0/0/0/1,"
        f" dsn=2.0.0, status=sent (250 2.0.0 <{BOB}> {SESSION} Saved)\n"
        f"12:00:00 postfix/qmgr[3]: 4A97F54A7D9: removed"
    )
    assert scan.deliveries["outcome"].tolist() == ["discarded"]
    assert scan.mails[["delivered", "discarded"]].to_numpy().tolist() == [[0, 1]]


# -- amavis ------------------------------------------------------------------------------------------------------------


def test_amavis_is_read_by_its_verbose_template() -> None:
    scan = read_case("17-amavis-verbose-template", "variants.log")
    told = rows(scan, "verdicts", "result", "status", "client", "sender", "queue_id", "message_id", "signature", "score",
                "child_queue_id")  # fmt: skip
    bob = "ann@example.org"
    assert told == [
        ("Passed CLEAN", "RelayedInbound", "203.0.113.209", bob, "4PbHgT3NYTz3tBr", "<a1@example.org>", "FA9oR2gGK5AT", -0.1,
         "4PbHgV0abcz3tG3"),
        ("Blocked BANNED", "DiscardedInbound,Quarantined", "203.0.113.19", bob, "4PbrH90SV5z3tBr", "<a4@example.org>",
         "IJHkgliCm2Ia", None, None),
        ("Passed SPAM", None, None, bob, None, None, None, 8.1, None),
        ("Passed UNCHECKED-ENCRYPTED", "RelayedInbound", "203.0.113.150", bob, "4PbrI90SV5z3tBr", "<a6@example.org>",
         "KJHkgliCm2Ia", None, "4PbrJ90abcz3tG3"),
        ("Passed BAD-HEADER-7", "RelayedInbound,Quarantined", "203.0.113.150", bob, "4PbrI90SV5z3tBr", "<a7@example.org>",
         "LJHkgliCm2Ia", 0.0, "4PbrJ90abcz3tG3"),
        ("Passed CLEAN", "RelayedInbound", "203.0.113.150", bob, "4PbrI90SV5z3tBr", "<a8@example.org>", "MJHkgliCm2Ia", 0.1,
         "4PbrJ90abcz3tG3"),
        ("Passed INFECTED", "RelayedTaggedInbound", "203.0.113.150", bob, "4PbrI90SV5z3tBr", None, "NJHkgliCm2Ia", None,
         "4PbrJ90abcz3tG3"),
    ]  # fmt: skip
    assert unknown(scan) == 0


def test_outgoing_mail_that_amavis_tags_is_found_by_its_verbose_template() -> None:
    report = logscan.analyse(read_case("17-amavis-verbose-template", "outgoing.log"))
    (found,) = [each for each in report.checks if each.name == "outgoing-tagged-spam"]
    assert found.verdict == "found"
    assert "john@example.com" in found.findings[0].summary


# -- spampd ------------------------------------------------------------------------------------------------------------


def test_spampds_verdict_is_read() -> None:
    scan = read_case("01-lmtp-proxy-lost-connection", "mail.log")
    told = rows(
        scan,
        "verdicts",
        "filter",
        "result",
        "spam",
        "message_id",
        "sender",
        "recipients",
        "score",
        "required",
        "seconds",
    )
    users = ",".join(f"<user{number}@example.com>" for number in range(1, 5))
    assert told == [
        ("spampd", "clean message", False, "<CAK1@mail.example.org>", "ann@example.org", users, -0.1, 5.0, 1.9)
    ]
    assert unknown(scan) == 0


def test_spam_is_spam_to_spampd(read: Read) -> None:
    scan = read("12:00:00 spampd[7]: identified spam <a@b> (9.00/5.00) from <c@d> for <e@f> in 1.90s, 4987 bytes.")
    assert rows(scan, "verdicts", "spam", "score") == [(True, 9.0)]


# -- MailScanner -------------------------------------------------------------------------------------------------------

MAILSCANNER = """\
12:00:00 postfix/smtpd[1]: 4A97F54A7D9: client=mail.example.org[203.0.113.9]
12:00:00 postfix/cleanup[2]: 4A97F54A7D9: hold: header Received: from mail.example.org by mx1 from mail.example.org[203.0.113.9]; from=<ann@example.org> to=<bob@example.com> proto=ESMTP helo=<mail.example.org>
12:00:00 postfix/cleanup[2]: 4A97F54A7D9: message-id=<a@example.org>
12:00:03 MailScanner[3]: New Batch: Scanning 1 messages, 2109 bytes
12:00:05 MailScanner[3]: Message 4A97F54A7D9.A1B2C from 203.0.113.9 (ann@example.org) to example.com is spam, SpamAssassin (not cached, score=12.3, required 5, BAYES_99 3.50)
12:00:05 MailScanner[3]: Spam Actions: message 4A97F54A7D9.A1B2C actions are deliver
12:00:06 MailScanner[3]: Requeue: 4A97F54A7D9.A1B2C to 5B17F54A7D1
12:00:06 MailScanner[3]: Uninfected: Delivered 1 messages
12:00:08 postfix/qmgr[4]: 5B17F54A7D1: from=<ann@example.org>, size=2109, nrcpt=1 (queue active)
12:00:09 postfix/virtual[5]: 5B17F54A7D1: to=<bob@example.com>, relay=virtual, delay=9, delays=8/0/0/0, dsn=2.0.0, status=sent (delivered to maildir)
12:00:09 postfix/qmgr[4]: 5B17F54A7D1: removed
"""  # noqa: E501


def test_mailscanner_holds_judges_and_requeues_one_mail(read: Read) -> None:
    scan = read(MAILSCANNER)
    assert unknown(scan) == 0
    assert rows(scan, "verdicts", "filter", "queue_id", "client", "sender", "result", "spam", "score", "required") == [
        ("mailscanner", "4A97F54A7D9", "203.0.113.9", "ann@example.org", "spam", True, 12.3, 5.0)
    ]
    assert rows(scan, "requeues", "queue_id", "action", "child_queue_id") == [
        ("4A97F54A7D9", "requeued", "5B17F54A7D1")
    ]
    (leg,) = scan.legs[["parent_queue_id", "child_queue_id", "kind"]].to_numpy().tolist()
    assert leg == ["4A97F54A7D9", "5B17F54A7D1", "requeue"]
    (mail,) = scan.mails[["message_id", "delivered", "lives"]].to_numpy().tolist()
    assert mail == ["<a@example.org>", 1, 2]
