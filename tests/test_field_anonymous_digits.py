"""No notation of an address or of a phone's number comes through --anonymise; what logscan knows for what it is stays."""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Run

import logscan
from logscan.report.anonymise import Anonymiser

MADE = re.compile(r"(?:address|number|word|user|host|domain)\d+(?:\.example)?")

LINES = """
Nov 23 10:00:02 mx1 postfix/smtpd[7]: AAAA0000001: client=zebra.net[203.0.113.9]
Nov 23 10:00:02 mx1 postfix/cleanup[7]: AAAA0000001: message-id=<a@zebra.net>
Nov 23 10:00:02 mx1 postfix/qmgr[8]: AAAA0000001: from=<a@zebra.net>, size=1, nrcpt=1 (queue active)
Nov 23 10:00:03 mx1 postfix/smtp[7]: AAAA0000001: to=<b@q.net>, relay=mx.q.net[198.51.100.78]:25, delay=1, delays=0/0/0/1, \
dsn=5.7.1, status=bounced (host mx.q.net[198.51.100.78] said: 550 5.7.1 Blocked %s (in reply to RCPT TO command))
Nov 23 10:00:04 mx1 postfix/qmgr[8]: AAAA0000001: removed
Nov 23 10:00:05 mx1 oddd[8]: an odd thing of %s happened
"""


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Anonymiser:
    log = tmp_path_factory.mktemp("digits") / "mail.log"
    log.write_text(LINES.replace("%s", "you").lstrip())
    return Anonymiser.of(logscan.read(log, jobs=1, year=2026))


# -- random notations -------------------------------------------------------------------------------------------------------

JOINS = [
    ".",
    "-",
    "_",
    "/",
    ":",
    " ",
    "%2E",
    "[.]",
    "(.)",
    " . ",
    "．",
    "·",
    "[dot]",
    " dot ",
    ",",
    ", ",
    "–",
    "+",
    "*",
    "|",
]


def four(chance: random.Random) -> str:
    """Return a version 4 address, written in some way."""
    parts = [chance.randint(1, 255) for _ in range(4)]
    whole = int.from_bytes(bytes([chance.randint(20, 223), *parts[1:]]))
    texts = chance.choice(["{}", "{:03}", "{}"])
    written = chance.choice(JOINS).join(texts.format(each) for each in chance.choice([parts, parts[::-1]]))
    return chance.choice([written, written, written, str(whole), f"0x{whole:08X}", f"{whole:08x}", f"0{whole:o}"])


def six(chance: random.Random) -> str:
    """Return a version 6 address, written in some way."""
    zeros = chance.choice([0, 0, 2, 5])
    parts = [0x2001, 0xDB8, *(0 if n < zeros else chance.randint(1, 0xFFFF) for n in range(6))]
    address = ipaddress.IPv6Address(b"".join(each.to_bytes(2) for each in parts))
    ways = [address.compressed, address.exploded, address.compressed.upper(), f"IPv6:{address}", f"[IPv6:{address}]",
            f"[{address}]:25", address.reverse_pointer, address.exploded.replace(":", "-"), f"{address}%eth0", f"ip:{address}",
            address.exploded.replace(":", "_")]  # fmt: skip
    return chance.choice(ways)


def phone(chance: random.Random) -> str:
    """Return a phone's number, written in some way."""
    groups = [str(chance.randint(10 ** (size - 1), 10**size - 1)) for size in chance.choice([(3, 4), (2, 3, 7), (3, 3, 4), (4, 7),
              (2, 2, 2, 2, 2), (10,), (3, 7), (2, 4, 6)])]  # fmt: skip
    lead = chance.choice(["", "+", "00", "0"])
    join = chance.choice([" ", "-", "/", ".", "_", " - ", "–", ""])
    text = lead + join.join(groups)
    return f"({lead}{groups[0]}) {join.join(groups[1:])}" if 1 < len(groups) < 5 and chance.random() < 0.2 else text


PLACES = [
    "Blocked {}", "{}", "see {}. Then", "call {}, please", "[{}]", "<{}>", "x={}", "x={}.", "ip-{}", "user={}", "tel:{}", "({})",
    "https://x.example/q?a={}", "account {} is locked", "'{}'", "a {} b", "_{}_", "no {}!", "{};", "host x{}y", "mail-{}.log",
    "Blocked; {} (in reply to RCPT TO command)", "/var/mail/{}/new",
]  # fmt: skip


def left(text: str) -> str:
    return "".join(re.findall(r"\d", MADE.sub("", text)))


@pytest.mark.parametrize("make", [four, six, phone])
@pytest.mark.parametrize("own", [False, True], ids=["log", "sentence"])
def test_no_digit_of_an_address_or_a_phone_stays(names: Anonymiser, make: Callable[..., str], own: bool) -> None:
    chance = random.Random(f"{make.__name__} {own}")
    failed = []
    for _ in range(1500):
        secret, place = make(chance), chance.choice(PLACES)
        if own and (", " in secret or (make is phone and len(re.findall(r"\d", secret)) < 7)):
            continue
        hidden = names.text(place.format(secret), set() if own else None)
        stayed = left(hidden).replace("25", "", 1) if "]:25" in secret else left(hidden)
        # /24, :25 and the like: a number of three digits beside an address tells nothing; none of its own may stay.
        if stayed not in ("", "6", "64"):
            failed.append((place.format(secret), hidden))
    assert not failed, (len(failed), failed[:: max(1, len(failed) // 25)])


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("198.51.100.77:25 said 550 5.7.1 no", ":25 said 550 5.7.1 no"),
        ("postfix/smtpd[17001]: x", "postfix/smtpd[17001]: x"),
        ("relay=q.net[198.51.100.78]:10025, delay=12345, delays=1000/0.5/0/1", ":10025, delay=12345, delays=1000/0.5/0/1"),
        ("size=1048576, nrcpt=12000 (queue active)", "size=1048576, nrcpt=12000 (queue active)"),
        ("message_size_limit = 10240000", "message_size_limit = 10240000"),
        ("@@ -12,6 +12,7 @@\n+10026 inet n", "@@ -12,6 +12,7 @@\n+10026 inet n"),
        ("+127.0.0.1:25 inet n", "+127.0.0.1:25 inet n"),
        ("mpid=12345, TLS", "mpid=12345, TLS"),
        ("AAAA0000001: removed", "AAAA0000001: removed"),
        ("Nov 23 10:00:05 of 2026-11-23T10:00:05.123+01:00", "Nov 23 10:00:05 of 2026-11-23T10:00:05.123+01:00"),
        ("mail.log:123456 mail.log-20261122.gz mail.log.1", "mail.log-20261122.gz mail.log.1"),
        ("score 12.34/15.00, 1,234 mails, 3.10.2, 99.9 %, port 10025, 150000 bytes", "3.10.2, 99.9 %, port 10025, 150000 bytes"),
        ("127.0.0.1 port 10025, [::1]:10026, localhost:10027", "127.0.0.1 port 10025, [::1]:10026, localhost:10027"),
    ],
)  # fmt: skip
def test_what_is_known_for_what_it_is_stays(names: Anonymiser, text: str, stays: str) -> None:
    assert stays in names.text(text)


def test_one_address_is_one_name_in_each_notation(names: Anonymiser) -> None:
    once = names.text("192.0.2.44")
    assert names.text("x ip-192-0-2-44, 192_0_2_44, [192.0.2.44]:25, see 192.0.2.44.") == (
        f"x ip-{once}, {once}, [{once}]:25, see {once}.".replace("x ", names.text("x") + " ", 1)
    )


@pytest.mark.parametrize("form", ["json", "html", "text", "csv"])
def test_a_reply_s_digits_are_in_no_report(run: Run, tmp_path: Path, form: str) -> None:
    said = "192.0.2.44. See ip-192-0-2-44, IPv6:2001:4860:77:88::9, call +49-171-5551234"
    log = tmp_path / "mail-zebra-198.51.100.77.log"
    log.write_text(LINES.replace("%s", said).lstrip())
    out = tmp_path / "out"
    run("analyse", log, "-q", "--year", "2026", "--anonymise", "--tables", tmp_path / "t", "-f", form, "-o", out)
    files = [each for each in out.rglob("*") if each.is_file()] if out.is_dir() else [out]
    text = "\n".join(f"{each.name}\n{each.read_text()}" for each in files)
    assert "550 5.7.1 Blocked" in text or form == "csv"
    assert not re.search(r"192\W0\W2|4860|77:88|171\W555|5551234|198\W51|zebra", text), form
