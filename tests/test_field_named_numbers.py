"""Numbers of one name agree: on the map, in the lists, in the summary; and what is said of them is true."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from test_lists import OUT, SAVED, delivery, mail, report_of, rows

import logscan
from logscan.checking.refusals import refusal
from logscan.rendering.summary import summarise, verdict_line
from logscan.report.model import Report
from logscan.report.people import original
from logscan.report.tallies import folded
from logscan.samples import story
from logscan.tables.coded import Coded


def into(report: Report) -> Counter[str]:
    """Recipients by the place where their way ends on the map."""
    found: Counter[str] = Counter()
    for edge in report.flow.edges:
        found[edge.target] += edge.count
    return found


def recipients(report: Report, key: str) -> int:
    return sum(row["recipients"] for row in rows(report, key))


PUT_OFF = "host mx.example.net[198.51.100.7] said: 450 4.2.0 Greylisted (in reply to RCPT TO command)"


def test_put_off_and_not_tried_have_names_of_their_own_and_add_up(tmp_path: Path) -> None:
    held = "info: header X-Hold: yes from mx.example.org[203.0.113.9]; from=<a@example.org> to=<b@example.com>"
    lines = [
        *mail("A1A1A1A1A1", "10:00:01"),
        delivery("A1A1A1A1A1", "10:00:02", "deferred", PUT_OFF, to="x@example.net", relay=OUT, dsn="4.2.0"),
        # Taken at the end of the log: queued, no attempt; and one that qmgr never saw.
        *[line.replace("nrcpt=1", "nrcpt=3") for line in mail("B2B2B2B2B2", "10:00:03")],
        *mail("C3C3C3C3C3", "10:00:04")[:2],
        "10:00:05 postfix/smtpd[77]: disconnect from mx.example.org[203.0.113.9] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5",
        "10:00:06 postfix/smtpd[78]: D4D4D4D4D4: client=mx.example.org[203.0.113.9]",
        f"10:00:06 postfix/cleanup[8]: D4D4D4D4D4: {held.replace('info:', 'hold:')}; proto=ESMTP helo=<mx.example.org>: wait",
        "10:00:06 postfix/cleanup[8]: D4D4D4D4D4: message-id=<d@example.org>",
        "10:00:09 postfix/smtpd[79]: E5E5E5E5E5: client=mx.example.org[203.0.113.9]",
        f"10:00:09 postfix/cleanup[8]: E5E5E5E5E5: {held.replace('info:', 'discard:')}; proto=ESMTP helo=<mx.example.org>",
    ]
    report = report_of(tmp_path, *lines)
    mails, ends = report.mails, into(report)
    assert mails["deferred"] == recipients(report, "deferred") + recipients(report, "untried")
    assert mails["deferred_not_tried"] == recipients(report, "untried") == ends["untried"] >= 3
    assert recipients(report, "deferred") == ends["waiting"] == 1
    for name in ("held", "discarded"):
        assert mails[name] == recipients(report, name) == ends[name] == 1, name
    assert [row["reason"] for row in rows(report, "held")] == ["put on hold before any attempt (header)"]
    assert [row["recipients"] for row in rows(report, "put-off") if row["how it ended"] == "still waiting"] == [1]


@pytest.mark.parametrize("name", ["mixed-day", "amavis-healthy", "dspam-crash"])
def test_the_names_agree_in_genuine_logs(name: str) -> None:
    report = logscan.analyse(logscan.read(story(name), jobs=1))
    ends = into(report)
    assert report.mails["deferred"] == ends["waiting"] + ends["untried"]
    assert report.mails["delivered"] == ends["store"] + ends["program"] + ends["outside"]
    for key in ("bounced", "expired", "held", "discarded"):
        assert report.mails[key] == ends[key] == recipients(report, key), key


def test_tagged_counts_what_each_filter_marked() -> None:
    def tagged(name: str) -> dict[str, int]:
        report = logscan.analyse(logscan.read(story(name), jobs=1))
        return {row["result"]: row["tagged"] for row in rows(report, "verdicts")}

    assert tagged("mixed-day") == {"I": 0, "S": 50}
    assert tagged("rspamd-healthy")["add header"] > 0
    found = tagged("amavis-healthy")
    assert found["Passed CLEAN"] == 0
    assert all(count > 0 for result, count in found.items() if "SPAM" in result)


def test_a_program_is_no_mailbox_unless_it_delivers_into_one(tmp_path: Path) -> None:
    lines = []
    for number, command in enumerate(
        ["/usr/lib/mailman/mail/mailman post list", "/usr/bin/procmail -a x", "report.sh"]
    ):
        identity = f"A{number:09X}"
        lines += mail(identity, f"10:00:0{number}")
        reply = f"delivered to command: {command}"
        line = delivery(identity, f"10:00:0{number}", "sent", reply, relay="local")
        lines.append(line.replace("postfix/smtp[", "postfix/local["))
    report = report_of(tmp_path, *lines)
    assert into(report)["program"] == 2
    assert into(report)["store"] == 1
    assert report.mails["delivered"] == 3


@pytest.mark.parametrize(
    ("reply", "policy"),
    [
        ("host mx.example.net[198.51.100.7] said: 550 5.7.1 Message rejected (in reply to end of DATA command)", True),
        (
            "host mx.example.net[198.51.100.7] said: 554 Blocked - see https://example.net (in reply to MAIL FROM command)",
            True,
        ),
        ("host mx.example.net[198.51.100.7] refused to talk to me: 554 5.7.1 Service unavailable; listed", True),
        ("host mx.example.net[198.51.100.7] said: 550-5.7.26 This mail has been blocked", True),
        (
            "host mx.example.net[198.51.100.7] said: 451 4.7.1 Greylisted, please try again (in reply to RCPT TO command)",
            False,
        ),
        ("host mx.example.net[198.51.100.7] said: 450 4.7.1 blocked by policy for now", False),
        ("TLS is required, but was not offered by host mx.example.net[198.51.100.7]", False),
        ("host mx.example.net[198.51.100.7] said: 550 5.1.1 User unknown (in reply to RCPT TO command)", False),
        ("host mx.example.net[198.51.100.7] said: 554 5.7.1 <x@example.net>: Relay access denied", False),
    ],
)
def test_only_a_refusal_for_good_by_the_other_side_is_one_for_policy(reply: str, policy: bool) -> None:
    found = refusal(reply)
    assert bool(found and found[1].for_policy) == policy


def test_times_and_spans_are_folded_out_of_reasons() -> None:
    texts = [
        f"451 4.2.0 Internal error occurred. Refer to server log for more information. [{stamp}]"
        for stamp in ("2026-12-04 07:36:08", "2026-12-04 08:00:16", "2026-12-05 23:59:59.123")
    ]
    texts += [
        f"450 4.2.0 Greylisted for {number} seconds, since {day}" for number, day in ((3, "4 Dec"), (286, "12 Dec"))
    ]
    texts += [f"421 at Fri, 0{n} Dec 2026 07:3{n}:08 +0{n}00, wait 00:0{n}:30" for n in range(1, 4)]
    found = folded(Coded(np.arange(len(texts)), texts))
    assert len(found.values) == 3, found.values
    assert all(code in " ".join(found.values) for code in ("451 4.2.0", "450 4.2.0", "421 at"))
    apart = ["550 5.1.1 unknown", "550 5.2.2 full", "552 5.2.2 full"]
    assert folded(Coded(np.arange(3), apart)).values == apart


def test_many_bounces_and_full_mailboxes_are_not_all_clear(tmp_path: Path) -> None:
    full = "host mx1[private/dovecot-lmtp] said: 552 5.2.2 <bob@example.com> Quota exceeded (mailbox for user is full)"
    unknown = "host mx.example.net[198.51.100.7] said: 550 5.1.1 unknown (in reply to RCPT TO command)"

    def of(folder: str, bad: int, reply: str, **fields: str) -> Report:
        lines = []
        for number in range(60):
            identity, at = f"A{number:09X}", f"10:00:{number:02}"
            lines += mail(identity, at, login="bob" if reply == unknown else "")
            status, said = ("bounced", reply) if number < bad else ("sent", SAVED if reply == full else "250 Ok")
            lines.append(delivery(identity, at, status, said, **fields))
        return report_of(tmp_path / folder, *lines)

    elsewhere = {"to": "x@example.net", "relay": OUT}
    many = of("many", 6, unknown, **elsewhere)
    assert many.concerns == ["6 recipients of 60 (10 %) bounced or expired"]
    assert not verdict_line(summarise(many)).startswith("All clear")
    assert of("few", 2, unknown, **elsewhere).concerns == []
    refused = of("full", 1, full)
    assert [(each.check, each.cause, each.state) for each in refused.found] == [
        ("mailbox-refused", "over-quota", "mended")  # the mails after it found room
    ]


@pytest.mark.parametrize(
    ("sender", "plain"),
    [
        ("SRS0=B+bm=JW=college.example=vera@ropeworks.example", "vera@college.example"),
        ("srs0+ab12=K3=example.org=ann=b@example.com", "ann=b@example.org"),
        ("SRS1=xyza=first.example==HHHH=TT=orig.example=user@second.example", "user@orig.example"),
        ("SRS0@example.com", "SRS0@example.com"),
        ("SRS0=x@example.com", "SRS0=x@example.com"),
        ("bounce-a=example.org@lists.example", "bounce-a=example.org@lists.example"),
    ],
)
def test_a_sender_rewritten_by_srs_stands_under_its_own_address(sender: str, plain: str) -> None:
    assert original(sender) == plain


def test_what_a_filter_kept_stands_behind_the_filter_on_the_map(tmp_path: Path) -> None:
    relay = "127.0.0.1[127.0.0.1]:10024"
    lines = []
    for number in range(3):
        identity = f"A{number:09X}"
        lines += mail(identity, f"10:00:0{number}")
        reply = f"250 2.7.0 Ok, discarded, id=0412{number}-01 - spam"
        lines.append(delivery(identity, f"10:00:1{number}", "sent", reply, relay=relay))
    report = report_of(tmp_path, *lines)
    edges = {(edge.source, edge.target): edge.count for edge in report.flow.edges}
    assert edges[f"filter:{relay}", "discarded"] == 3
    assert not any(source.startswith("listener:") and target == "discarded" for source, target in edges)


def test_a_delay_is_mostly_one_part_only_where_that_part_covers_half(tmp_path: Path) -> None:
    lines = [
        *mail("A1A1A1A1A1", "10:00:01"),
        delivery("A1A1A1A1A1", "10:00:31", "sent", SAVED, delay="30.4", delays="0.1/30/0.2/0.1"),
        *mail("B2B2B2B2B2", "10:01:01"),
        delivery("B2B2B2B2B2", "10:01:11", "sent", SAVED, delay="10", delays="0.1/0.1/0.1/0.1"),
    ]
    found = {row["queue id"]: row for row in rows(report_of(tmp_path, *lines), "slowest")}
    assert found["A1A1A1A1A1"]["mostly"] == "waiting"
    assert all(row["of it"] is None or row["of it"] <= row["seconds"] for row in found.values())
    for row in found.values():
        assert (row["mostly"] == "") == (row["of it"] is None)
        assert row["of it"] is None or row["of it"] >= row["seconds"] / 2


def test_mailbox_outcomes_are_lines_and_scripts_are_named_as_the_reason(tmp_path: Path) -> None:
    lines = []
    for number, done in enumerate(
        [
            "marked message to be discarded if not explicitly delivered (discard action)",
            "stored mail into mailbox 'INBOX'",
        ]
    ):
        identity, session = f"A{number:09X}", f"kJ8eL{number}"
        lines += mail(identity, f"10:00:0{number}")
        lines += [
            f"10:00:0{number} dovecot: lmtp(bob@example.com)<7><{session}>: sieve: msgid=<{identity}@example.org>: {done}",
            delivery(identity, f"10:00:0{number}", "sent", f"250 2.0.0 <bob@example.com> {session} Saved"),
        ]
    report = report_of(tmp_path, *lines)
    assert {row["outcome"]: row["lines"] for row in rows(report, "stores")} == {"discarded": 1, "stored": 1}
    assert [row["reason"] for row in rows(report, "discarded")] == ["discarded by the mailbox’s Sieve script"]


def test_no_trouble_of_a_filter_is_an_empty_text() -> None:
    report = logscan.analyse(logscan.read(story("mixed-day"), jobs=1))
    assert all(row["text"] for row in rows(report, "filter-errors"))
