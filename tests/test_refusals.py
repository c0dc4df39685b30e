"""Why remote hosts refuse, from their replies: the texts of servers and providers, and what is none of them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from logscan.checking.refusal_texts import IN_WORDS, RULES
from logscan.checking.refusals import Refusal, refusal

US, USER6 = "198.51.100.50", "2001:db8:5::25"

REPLIES = [
    (cause, reply)
    for cause, replies in tomllib.loads((Path(__file__).parent / "data" / "refusals.toml").read_text()).items()
    for reply in replies
]


def said(reply: str, command: str = "RCPT TO") -> str:
    return f"host mx1.b.example[203.0.113.200] said: {reply} (in reply to {command} command)"


def judged(reply: str) -> Refusal:
    found = refusal(reply)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(("cause", "reply"), REPLIES, ids=[reply[:60] for _, reply in REPLIES])
def test_a_reply_tells_why_the_other_side_refuses(cause: str, reply: str) -> None:
    found = judged(said(reply))
    assert found.cause == cause, found
    assert found.permanent is reply.startswith("5")


@pytest.mark.parametrize(
    "reply",
    [
        "550 5.1.1 <spam-blocked-listed@b.example>: Recipient address rejected: User unknown",
        "550 5.1.1 blocked.using.spamhaus@b.example: no such user",
        "550 5.1.1 no such user, see https://b.example/your-ip-is-blocked-using-dnsbl?spf=dkim",
    ],
)
def test_words_of_an_address_or_a_link_tell_nothing(reply: str) -> None:
    found = judged(said(reply))
    assert found.cause == "no-such-user"


@pytest.mark.parametrize(
    "reply",
    [
        "connect to mx.b.example[203.0.113.200]:25: Connection timed out",
        "TLS is required, but was not offered by host mx.b.example[203.0.113.200]",
        "250 2.0.0 Ok: queued as 4ABC; host x.example[192.0.2.1] said: 550 5.7.1 blocked using y.example",
        "lost connection with mx.b.example[203.0.113.200] while receiving the initial server greeting",
        'unknown user: "host x[192.0.2.1] said: 550 blocked"',
        "host x.example[192.0.2.1] said: blocked using y.example",
        "host x.example[192.0.2.1] said: 250 2.0.0 blocked using y.example",
        "",
    ],
)
def test_what_no_other_host_said_is_no_refusal(reply: str) -> None:
    assert refusal(reply) is None


def test_a_host_that_refuses_to_talk_is_told_and_so_is_a_queue_that_waits_for_it() -> None:
    text = f"host mx.b.example[2001:db8::1] refused to talk to me: 554 5.7.1 Client host [{US}] blocked using bl.example.org"
    assert refusal(text.replace("mx.b", "MX.B")) == refusal(text)
    found = judged(text)
    assert (found.stage, found.cause, found.listed_by, found.address, found.whose) == (
        "connect", "ip-listed", "bl.example.org", US, "ours",
    )  # fmt: skip
    assert refusal(f"delivery temporarily suspended: {text}") == ("mx.b.example", found)
    trouble = judged("host mx.b.example[192.0.2.1] refused to talk to me: 421 4.3.2 maintenance, back soon")
    assert (trouble.cause, trouble.permanent) == ("remote-trouble", False)
    mute = judged("host mx.b.example[192.0.2.1] refused to talk to me: 554 mx.b.example")
    assert mute.cause == "policy-unknown"


@pytest.mark.parametrize(
    ("whose", "command", "reply"),
    [
        ("ours", "RCPT TO", f"550 {US} go away"),
        ("ours", "end of DATA", f"550 5.7.1 Client host [{US}] blocked"),
        (
            "ours",
            "end of DATA",
            f"550-5.7.1 [{US}] Our system has detected that this message is likely unsolicited - gsmtp",
        ),
        ("message", "end of DATA", "550 5.7.1 Originating IP 192.0.2.77 is listed by bl.example.org"),
        ("message", "end of DATA", "550 5.7.1 A Received header names 192.0.2.77, which is on a blocklist"),
        ("", "end of DATA", "550 5.7.1 no 192.0.2.77"),
        ("", "end of DATA", "550 5.7.1 no"),
    ],
)
def test_whose_address_is_named(whose: str, command: str, reply: str) -> None:
    found = judged(said(reply, command))
    assert found.whose == whose


def test_what_is_called_spam_before_the_mail_is_seen_is_the_host_that_sends() -> None:
    spam = f"554 mx.b.example {US} is blocked for spam"
    assert judged(f"host mx.b.example[192.0.2.1] refused to talk to me: {spam}").cause == "ip-listed"
    assert judged(said("550 5.7.1 this is spam", "MAIL FROM")).cause == "ip-listed"
    assert judged(said("550 5.7.1 this is spam", "end of DATA")).cause == "content"


def test_alike_replies_have_one_text() -> None:
    one = judged(
        said(f"550-5.7.1 [{US}] likely unsolicited mail to <a@b.example>. 550 5.7.1 q12si4105732qtc.7 - gsmtp")
    )
    two = judged(
        said(f"550-5.7.1 [{USER6}] likely unsolicited mail to <c@b.example>. 550 5.7.1 b9si10573999wrd.9 - gsmtp")
    )
    assert one.text == two.text


def test_every_cause_has_words_and_the_text_of_a_provider_its_date() -> None:
    assert {rule.cause for rule in RULES} <= IN_WORDS.keys()
    assert all(rule.page for rule in RULES)
    assert all(rule.seen for rule in RULES if rule.page.startswith("http"))


def test_a_long_reply_costs_no_more_than_its_beginning() -> None:
    found = refusal(said("550 5.7.1 " + "a=b@" * 200_000))
    assert found is None or found[1].cause == "policy-unknown"
