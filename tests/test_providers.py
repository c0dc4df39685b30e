"""Who runs a host, when a refusal is over, and which connections failed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import logscan
from logscan.checking.connections import failed, public, why_not
from logscan.checking.providers import alike, course, provider
from logscan.checking.refused import next_host


@pytest.mark.parametrize(
    ("host", "who"),
    [
        ("mx1.bluemail.example", "bluemail.example"),
        ("hotmail-com.olc.protection.outlook.com", "outlook.com"),
        ("mx.in.example.co.uk", "example.co.uk"),
        ("mail.example.com.br", "example.com.br"),
        ("mx.example.de", "example.de"),
        ("example.org", "example.org"),
        ("co.uk", "co.uk"),
        ("localhost", "localhost"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("", ""),
        ("...", ""),
    ],
)
def test_a_provider_is_the_domain_of_its_hosts(host: str, who: str) -> None:
    assert provider(host).strip(".") == who


def test_hosts_that_differ_in_their_numbers_are_alike() -> None:
    assert alike("mta5.am0.yahoodns.net") == alike("mta17.am0.yahoodns.net")
    assert alike("hotmail-com.olc.example") != alike("shop-example.mail.example")


def times(*minutes: int) -> np.ndarray:
    return np.array(minutes, np.int64) * 60 * 10**9


def test_a_refusal_of_everything_is_over_with_the_first_mail_that_is_taken() -> None:
    went = course(times(10, 20, 30), times(1, 2, 45, 50))
    assert (went.before, went.between, went.after) == (2, 0, 2)
    assert went.ended == times(45)[0]
    assert course(times(10, 20, 30), times(1, 2)).ended is None


def test_a_refusal_of_some_is_over_when_chance_would_have_refused_one_since() -> None:
    """Of two mails one was refused, so that five in a row that are taken are one in thirty-two."""
    refused, taken = times(10, 20, 30, 40), times(15, 25, 35, 36)
    assert course(refused, np.append(taken, times(50, 51, 52, 53))).ended is None
    assert course(refused, np.append(taken, times(50, 51, 52, 53, 54))).ended == times(50)[0]


@pytest.mark.parametrize(
    ("relay", "host"),
    [
        ("MX.Example.org[203.0.113.5]:25", "mx.example.org"),
        ("mx.example.org[2001:db8::5]:25", "mx.example.org"),
        ("mx.example.org[203.0.113.5]", "mx.example.org"),
        ("mx.example.org[private/dovecot-lmtp]", None),
        ("none", None),
        ("local", None),
        ("a[b[203.0.113.5]:25", None),
    ],
)
def test_a_next_hop_names_a_host_where_it_has_an_address(relay: str, host: str | None) -> None:
    assert next_host(relay) == host


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Connection timed out", "dropped"),
        ("Operation timed out", "dropped"),
        ("Connection refused", "rejected"),
        ("No route to host", "rejected"),
        ("Permission denied", "forbidden"),
        ("Network is unreachable", "no-network"),
        ("Cannot assign requested address", "no-network"),
        ("dropped connection without sending the initial greeting", ""),
    ],
)
def test_systems_say_in_their_words_why_a_connection_failed(text: str, why: str) -> None:
    assert why_not(text) == why


def test_a_connection_that_failed_has_a_host_an_address_a_port_and_a_reason() -> None:
    found = failed("connect to mx.example.org[2001:db8::5]:25: Network is unreachable")
    assert found == ("example.org", "2001:db8::5", 25, "no-network")
    waiting = failed("delivery temporarily suspended: connect to mx.example.org[203.0.113.5]:587: Connection timed out")
    assert waiting == ("example.org", "203.0.113.5", 587, "dropped")
    assert failed("connect to mx[private/dovecot-lmtp]: Connection refused") is None
    assert failed("connect to ex.example.org[10.1.2.3]:25: Connection timed out") is None
    assert failed("host mx.example.org[203.0.113.5] said: 450 connect to x[203.0.113.6]:25: Connection refused") is None


def test_addresses_of_this_host_and_of_private_networks_are_not_public() -> None:
    near = "10.1.2.3 127.0.0.1 172.20.0.1 192.168.1.1 169.254.0.9 100.64.0.1 ::1 fe80::1%eth0 fd00::5 ::ffff:10.1.2.3"
    assert not any(public(each) for each in near.split())
    assert all(public(each) for each in ["203.0.113.5", "172.32.0.1", "192.169.0.1", "100.128.0.1", "2001:db8::5"])


def test_a_list_tells_what_other_hosts_refused_by_cause_and_unknown_replies_by_their_words(tmp_path: Path) -> None:
    replies = ("550 5.1.1 <{}>: User unknown", "550 Flux capacitor 12345678901 for <{}>", "451 4.7.1 <{}>: Greylisted")
    lines = []
    for number in range(6):
        reply, to = replies[number % 3], f"ann{number}@shop.example"
        status = "bounced" if reply[0] == "5" else "deferred"
        lines += [
            f"Mar  2 09:00:0{number} mx7 postfix/pickup[8]: 4F1A2B000{number}: uid=0 from=<root@example.org>",
            f"Mar  2 09:00:0{number} mx7 postfix/smtp[9]: 4F1A2B000{number}: to=<{to}>, relay=mx{number}.shop.example"
            f"[203.0.113.5]:25, delay=0.3, delays=0.1/0/0/0.2, dsn=5.0.0, status={status} (host mx{number}.shop.example"
            f"[203.0.113.5] said: {reply.format(to)} (in reply to RCPT TO command))",
        ]
    (tmp_path / "mail.log").write_text("\n".join(lines) + "\n")
    report = logscan.analyse(logscan.read(tmp_path, jobs=1, year=2026))
    (listing,) = (each for each in report.traffic.listings if each.key == "refused-elsewhere")
    assert {row[:5] for row in listing.rows} == {
        ("no-such-user", "shop.example", "<>: User unknown", 2, 2),
        ("unknown", "shop.example", "Flux capacitor … for <>", 2, 2),
        ("greylisted", "shop.example", "<>: Greylisted", 2, 2),
    }
