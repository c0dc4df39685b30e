"""Checks of accounts and of reputation in a flood of what they look at: work in proportion, and no more findings than help."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import logscan
from logscan.checking import sent_mail
from logscan.checking.shown import MOST
from logscan.findings import Result

HOUR = 3600 * 10**9
FLOOR = 1.0
"""Seconds of the processor, below which nothing is a flood."""


def at(second: float) -> str:
    when = datetime(2026, 3, 2, 9) + timedelta(seconds=second)
    return f"{when:%b} {when.day:2} {when:%H:%M:%S} mx7"


def mail(second: float, number: int, client: str, sender: str, recipient: str, said: str = "") -> list[str]:
    """Return the lines of one mail; ``said`` is a milter's line about it."""
    queue_id = f"4F{number:08X}"
    relay = "virtual" if recipient.endswith("@example.org") else "mx.example.net[192.0.2.9]:25"
    program, reply = ("virtual", "delivered to maildir") if relay == "virtual" else ("smtp", "250 2.0.0 Ok")
    return [
        f"{at(second)} postfix/{'submission/' if 'sasl' in client else ''}smtpd[811]: {queue_id}: client={client}",
        f"{at(second)} postfix/cleanup[813]: {queue_id}: message-id=<m{number}@example.org>",
        *([f"{at(second)} {said.format(id=queue_id)}"] if said else []),
        f"{at(second)} postfix/qmgr[700]: {queue_id}: from=<{sender}>, size=812, nrcpt=1 (queue active)",
        f"{at(second)} postfix/{program}[815]: {queue_id}: to=<{recipient}>, relay={relay}, delay=0.8, "
        f"delays=0.1/0/0.2/0.5, dsn=2.0.0, status=sent ({reply})",
        f"{at(second)} postfix/qmgr[700]: {queue_id}: removed",
    ]


def got_in(second: float, user: str, address: str) -> str:
    return (
        f"{at(second)} dovecot: imap-login: Login: user=<{user}>, method=PLAIN, rip={address}, lip=198.51.100.10, "
        f"mpid=2000, TLS, session=<a{second:.0f}>"
    )


def refused(second: float, user: str, address: str) -> str:
    return (
        f"{at(second)} postfix/submission/smtpd[811]: warning: unknown[{address}]: SASL LOGIN authentication failed: "
        f"(reason unavailable), sasl_username={user}"
    )


def address(number: int) -> str:
    """Return an address in a network of its own."""
    return f"{20 + number % 180}.{number // 180 % 250}.{number // 45_000}.9"


def devices(count: int) -> list[str]:
    """Return invented names that fail hour by hour, each from a network of its own, and one account of this server's."""
    out = [got_in(0, "nora@example.org", "198.51.100.17")]
    for hour in range(8):
        out += [refused(3600 * hour + 3000 * n / count, f"x{n}@example.org", address(n)) for n in range(count)]
        if hour < 6:
            out.append(refused(3600 * hour + 3001, "nora@example.org", "192.168.7.30"))
    return out


def forged(count: int) -> list[str]:
    """Return mail of the own domain that fails DMARC, each from an own host in a network of its own."""
    out = mail(
        0, 0, "mx.example.net[192.0.2.9]", "kim@example.net", "nora@example.org", "opendmarc[9]: {id}: example.net pass"
    )
    for n in range(1, count + 1):
        client = f"h{n}.example.org[{address(n)}]"
        out += mail(n, n, client, "www@example.org", "nora@example.org", "opendmarc[9]: {id}: example.org fail")
    return out


def domains(count: int) -> list[str]:
    """Return mail that a login sends in the name of many own domains, none of which has a key, and signed mail."""
    login = "desk.example.org[198.51.100.17], sasl_method=PLAIN, sasl_username=nora@example.org"
    out = []
    for n in range(4):
        said = "opendkim[900]: {id}: DKIM-Signature field added (s=mail, d=example.org)"
        out += mail(n, n, login, "nora@example.org", "kim@example.net", said)
    for n in range(count):
        sender = f"nora@own{n}.example.org"
        out += mail(
            10 + n,
            10 + n,
            login,
            sender,
            "kim@example.net",
            f"opendkim[900]: {{id}}: no signing table match for '{sender}'",
        )
    return out


def entered(count: int) -> list[str]:
    """Return networks that try four accounts and get in by a fifth."""
    out = []
    for n in range(count):
        out += [refused(10 * n + k, f"x{k}@example.org", address(n)) for k in range(4)]
        out.append(got_in(10 * n + 9, f"u{n}@example.org", address(n)))
    return out


def foreign(count: int) -> list[str]:
    """Return logins that each send four mails under a domain of elsewhere."""
    out = []
    for n in range(count):
        login = f"desk.example.org[198.51.100.17], sasl_method=PLAIN, sasl_username=u{n}@example.org"
        for k in range(4):
            out += mail(10 * n + k, 10 * n + k, login, "a@shop.example", "kim@example.net")
    return out


def in_clear(count: int) -> list[str]:
    """Return users who log in without TLS, behind many who do it with."""
    out = [got_in(n, f"nora{n}@example.org", "198.51.100.17") for n in range(20)]
    return out + [got_in(30 + n, f"u{n}@example.org", address(n)).replace(" TLS,", "") for n in range(count)]


FLOODS: dict[str, Callable[[int], list[str]]] = {
    "stale-password": devices,
    "own-domain-fails-dmarc": forged,
    "outgoing-unsigned": domains,
    "guess-succeeded": entered,
    "sends-as-others": foreign,
    "login-without-tls": in_clear,
}


def judged(check: str, lines: list[str], folder: Path) -> tuple[Result, float]:
    """Return what a check says of a log, and the seconds of the processor that all of it took."""
    folder.mkdir()
    (folder / "mail.log").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "main.cf").write_text("mydomain = example.org\nmydestination = example.org, .example.org\n", "utf-8")
    before = time.process_time()
    report = logscan.analyse(logscan.read(folder, jobs=1, year=2026, timezone="UTC"), checks=[check])
    return report.checks[0], time.process_time() - before


@pytest.mark.parametrize("check", FLOODS)
def test_of_more_names_than_anybody_can_act_on_some_are_shown_and_the_others_told(check: str, tmp_path: Path) -> None:
    result, _ = judged(check, FLOODS[check](MOST + 20), tmp_path / "flood")
    assert len(result.findings) == MOST
    assert any(str(MOST) in note for note in result.notes), result.notes
    result, _ = judged(check, FLOODS[check](20), tmp_path / "few")
    assert len(result.findings) in (20, 21)
    assert not result.notes


def test_an_account_of_this_server_is_shown_before_names_that_strangers_invent(tmp_path: Path) -> None:
    result, _ = judged("stale-password", devices(MOST + 20), tmp_path / "flood")
    assert [each.subject for each in result.findings if each.cause == "old-password"] == ["nora@example.org"]


def everywhere(count: int) -> list[str]:
    """Return accounts each of which gets in, and at each of which seven networks guess."""
    out = [got_in(n * 100 / count, f"u{n}@example.org", "198.51.100.17") for n in range(count)]
    tries = [(n, k) for k in range(7) for n in range(count)]
    return out + [
        refused(200 + 80_000 * at / len(tries), f"u{n}@example.org", address(n * 7 + k))
        for at, (n, k) in enumerate(tries)
    ]


def test_twice_as_many_accounts_that_are_guessed_at_take_twice_as_long(tmp_path: Path) -> None:
    judged("password-guessing", everywhere(10), tmp_path / "0")
    one, two = (judged("password-guessing", everywhere(n), tmp_path / str(n))[1] for n in (1_000, 2_000))
    assert two < max(3 * one, FLOOR)


@pytest.mark.parametrize("width", [1, HOUR, 100 * HOUR])
def test_spans_of_twice_as_many_mails_hold_twice_as_many_and_leave_none_out(width: int) -> None:
    held = []
    for count in (5_000, 10_000):
        times = np.sort(np.arange(count, dtype=np.int64) * width // count)
        spans = sent_mail.spans(times, np.arange(count), HOUR)
        assert len(np.unique(np.concatenate(spans))) == count
        held.append(sum(map(len, spans)))
    assert held[1] < 3 * held[0]
