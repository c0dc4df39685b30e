"""Checks conclude in time that grows with what they saw, no faster: floods of what a check looks at, and twice as many.

Told by calls of functions, which no other program changes, and by this process's processor time from a floor on.
"""

from __future__ import annotations

import cProfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import logscan
from logscan.checking.check import all_checks
from logscan.findings import Result
from logscan.tables.partials import merged

FLOOR = 2.0
"""Seconds of the processor, under a profiler: less is not looked at."""

CALLS = 1_500
"""Calls of functions for one outage, one circle ...: a frame of pandas made for each takes thousands."""

MASTER = """\
smtp      inet  n  -  y  -  -  smtpd
  -o content_filter=scan:[127.0.0.1]:10024
127.0.0.1:10025 inet n - y - - smtpd
"""


def at(second: int) -> str:
    """Return the stamp of a second after 10 January 2026, 10:00."""
    when = datetime(2026, 1, 10, 10) + timedelta(seconds=second)
    return f"{when:%b} {when.day:2d} {when:%H:%M:%S} mx"


def entry(second: int, queue_id: str, ident: str, client: str, size: int) -> list[str]:
    """Return the lines that begin a life."""
    return [
        f"{at(second)} postfix/smtpd[7]: {queue_id}: client={client}",
        f"{at(second)} postfix/cleanup[8]: {queue_id}: message-id=<{ident}>",
        f"{at(second)} postfix/qmgr[9]: {queue_id}: from=<ann@example.net>, size={size}, nrcpt=1 (queue active)",
    ]


def outages(count: int) -> list[str]:
    """Return a filter that is away again and again: each mail is put off once and gets through two hours later."""
    to = "postfix/scan/smtp[6]: {id}: to=<bob@example.com>, relay={relay}, delay=1, delays=0/0/1/0, dsn={dsn}, status={said}"
    away = {
        "relay": "none",
        "dsn": "4.4.1",
        "said": "deferred (connect to 127.0.0.1[127.0.0.1]:10024: Connection refused)",
    }
    there = {"relay": "127.0.0.1[127.0.0.1]:10024", "dsn": "2.0.0", "said": "sent (250 2.0.0 Ok)"}
    out = []
    for n in range(count):
        second, queue_id = 7_200 * n, f"A{n:06X}"
        out += entry(second, queue_id, f"{n}@example.net", "x.example.net[203.0.113.9]", 2000)
        out.append(f"{at(second + 1)} {to.format(id=queue_id, **away)}")
        out.append(f"{at(second + 3600)} {to.format(id=queue_id, **there)}")
        out.append(f"{at(second + 3600)} postfix/qmgr[9]: {queue_id}: removed")
    return out


def circles(count: int) -> list[str]:
    """Return mails, each to an address of its own, that go to another host and come back; the seventh time is too often."""
    other = "relay.example.org[198.51.100.7]"
    out = []
    for step in range(7):
        for n in range(count):
            second, queue_id, ident = 60 * step + n // 100, f"{step:X}B{n:06X}", f"{n}@example.net"
            if step < 6:
                out += entry(second, queue_id, ident, other, 2000 + 400 * step)
                out.append(
                    f"{at(second)} postfix/smtp[6]: {queue_id}: to=<u{n}@example.org>, relay={other}:25, delay=1, "
                    "delays=0/0/1/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)"
                )
                out.append(f"{at(second)} postfix/qmgr[9]: {queue_id}: removed")
            else:
                out += entry(second, queue_id, ident, other, 0)[:2]
                out.append(f"{at(second)} postfix/cleanup[8]: {queue_id}: message rejected: hopcount exceeded")
    return out


def session(count: int) -> list[str]:
    """Return one session of many mails before each of which its milter is away."""
    away = "warning: connect to Milter service inet:127.0.0.1:11332: Connection refused"
    out = [f"{at(0)} postfix/smtpd[7]: connect from x.example.net[203.0.113.9]"]
    for n in range(count):
        queue_id = f"C{n:06X}"
        out.append(f"{at(1 + n // 50)} postfix/smtpd[7]: {away}")
        out += entry(1 + n // 50, queue_id, f"{n}@example.net", "x.example.net[203.0.113.9]", 2000)
    return out


FLOODS: dict[str, tuple[str, Callable[[int], list[str]], int, Callable[[Result], int]]] = {
    "outages": ("filter-unreachable", outages, 500, lambda result: result.findings[0].count),
    "session": ("filter-failed-open", session, 2_500, lambda result: result.findings[0].mails),
    "circles": ("mail-loop", circles, 400, lambda result: len(result.findings)),
}
"""By name: the check, the lines of so many, how many, and what tells that all were seen."""


def cost(check: str, folder: Path) -> tuple[int, float, Result]:
    """Return the calls and the processor's seconds of look and conclude, and what is said."""
    (one,) = [each for each in all_checks() if each.name == check]
    stream = logscan.stream(folder, jobs=1, year=2026, timezone="UTC")
    profile, seconds, parts = cProfile.Profile(), 0.0, []
    for window in stream:
        before = time.process_time()
        parts.append(profile.runcall(one.look, window, window.settings))
        seconds += time.process_time() - before
    before = time.process_time()
    result = profile.runcall(one.conclude, merged(parts), stream.log)
    seconds += time.process_time() - before
    return sum(each.callcount for each in profile.getstats()), seconds, result


@pytest.mark.parametrize("name", FLOODS)
def test_twice_the_flood_takes_no_more_than_twice_as_long(name: str, tmp_path: Path) -> None:
    check, lines, size, seen = FLOODS[name]
    calls, seconds = [], []
    for count in (size, 2 * size):
        folder = tmp_path / str(count)
        folder.mkdir()
        (folder / "mail.log").write_text("\n".join(lines(count)) + "\n", "utf-8")
        (folder / "master.cf").write_text(MASTER, "utf-8")
        (folder / "main.cf").write_text(
            "mydestination = example.com\nsmtpd_milters = inet:127.0.0.1:11332\nmilter_default_action = accept\n",
            "utf-8",
        )
        some, spent, result = cost(check, folder)
        assert seen(result) == count, result.findings[:2]
        calls.append(some)
        seconds.append(spent)
    more = (calls[1] - calls[0]) / size
    assert more < CALLS, "for each that came"
    assert seconds[1] < max(FLOOR, 3 * seconds[0]), seconds
