"""Delays from end to end behind a filter: logs of several kinds made by one simulated server, with known times."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_field_correlation import ends
from test_pitfalls import DOVECOT, LOCAL, Read, judged, opened, read, saved, to

import logscan
from logscan.correlate.delays import PARTS
from logscan.samples import story
from logscan.scan.scan import Scan

__all__ = ["read"]

START = datetime(2026, 3, 4, 10, tzinfo=UTC)
KINDS = ("fine", "millis", "whole", "bsd")


def digits(seconds: float) -> str:
    """Print seconds as Postfix does: two digits, hundredths at most."""
    for limit, places in ((1, 2), (10, 1)):
        if seconds < limit:
            return f"{round(seconds, places):g}"
    return f"{seconds:.0f}"


class Server:
    """Writes what a server logs, with true times in seconds."""

    def __init__(self, filter_relay: str) -> None:
        self.relay = filter_relay
        self.lines: list[tuple[float, str]] = []
        self.true: dict[tuple[str, str], float] = {}
        self.back: dict[str, float] = {}

    def sent(self, queue_id: str, whom: str, relay: str, began: float, stages: list[float], reply: str) -> None:
        """Write a status line: ``stages`` are the four parts since ``began``."""
        delay = sum(stages)
        parts = "/".join(map(digits, stages))
        text = f"to=<{whom}>, relay={relay}, delay={digits(delay)}, delays={parts}, dsn=2.0.0, status=sent ({reply})"
        self.lines.append((began + delay, f"lmtp[14]: {queue_id}: {text}"))

    def mail(self, number: int, at: float, recipients: int, wait: float, each: float, own: float) -> None:
        """A mail whose recipients the filter hands back one by one, ``each`` seconds apart, before it answers for all."""
        root = f"1A{number:04X}000F0"
        self.lines += [
            (at, f"smtpd[10]: {root}: client=mail.example.org[203.0.113.26]"),
            (at + 0.004, f"cleanup[11]: {root}: message-id=<{number}@example.org>"),
            (at + 0.02, f"qmgr[12]: {root}: from=<sam@example.org>, size=1000, nrcpt={recipients} (queue active)"),
        ]
        now = at + 0.02 + wait
        for turn in range(recipients):
            whom, child = f"u{turn}@example.com", f"1B{number:04X}{turn:02X}0F1"
            now += each
            self.back[child] = now - at - 0.02 - wait
            self.lines += [
                (now, f"smtpd[10]: {child}: client={LOCAL}"),
                (now + 0.01, f"cleanup[11]: {child}: message-id=<{number}@example.org>"),
                (now + own / 2, f"qmgr[12]: {child}: from=<sam@example.org>, size=1300, nrcpt=1 (queue active)"),
            ]
            reply = f"250 2.0.0 <{whom}> Session{number}x{turn}x Saved"
            self.sent(child, whom, DOVECOT, now, [own / 2, 0.01, 0.01, own / 2], reply)
            self.lines.append((now + own + 0.03, f"qmgr[12]: {child}: removed"))
            self.true[child, whom] = now + own + 0.02 - at
            now += own / 2
        for turn in range(recipients):
            whom = f"u{turn}@example.com"
            reply = f"250 2.6.0 <{whom}> Message accepted for delivery"
            self.sent(root, whom, self.relay, at, [0.02, wait, 0, now - at - wait - 0.02], reply)
        self.lines.append((now + 0.01, f"qmgr[12]: {root}: removed"))

    def text(self, kind: str, tag: str = "postfix") -> str:
        """Return the log, as syslog daemons stamp it."""
        out = []
        for at, line in sorted(self.lines):
            moment = START + timedelta(seconds=at)
            stamp = {
                "fine": moment.isoformat(timespec="microseconds"),
                "millis": moment.isoformat(timespec="milliseconds"),
                "whole": moment.isoformat(timespec="seconds"),
                "bsd": f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S}",
            }[kind]
            out.append(f"{stamp} mx1 {tag}/{line}\n")
        return "".join(out)


def server(relay: str, seed: int) -> Server:
    chance = random.Random(seed)
    made = Server(relay)
    at = 0.0
    for number in range(120):
        at += chance.uniform(0.5, 30)
        wait = chance.choice([0, 0, 0, 0.3, 5, 75.4, 640.2])
        made.mail(
            number,
            at,
            chance.choice([1, 1, 1, 2, 3, 6]),
            wait,
            chance.choice([0.03, 0.3, 2.4, 13]),
            chance.choice([0.1, 0.9]),
        )
    return made


def scanned(path: Path, text: str) -> Scan:
    path.write_text(text)
    return logscan.read(path, jobs=1, year=2026)


@pytest.mark.parametrize("relay", ["mx1.example.com[/run/dspam/dspam.sock]", "127.0.0.1[127.0.0.1]:8025"])
def test_a_delay_behind_a_filter_is_what_lies_between_the_lines_of_each_recipient(tmp_path: Path, relay: str) -> None:
    made = server(relay, 7)
    totals = {}
    for kind in KINDS:
        scan = scanned(tmp_path / f"{kind}.log", made.text(kind))
        final = scan.deliveries[scan.deliveries["final"]]
        keys = list(zip(final["queue_id"], final["recipient"], strict=True))
        assert sorted(keys) == sorted(made.true)
        found = final["total_delay"].to_numpy()
        off = found - np.array([made.true[key] for key in keys])
        fine = kind in ("fine", "millis")
        assert np.abs(off).max() < (0.003 if fine else 1), kind
        assert abs(off.mean()) < (0.002 if fine else 0.1), kind
        assert np.abs(final[list(PARTS)].sum(axis=1) - found).max() < 0.01
        assert (final[list(PARTS)] >= 0).all(axis=None)
        if fine:
            back = np.array([made.back[key[0]] for key in keys])
            assert np.abs(final["in_filter"].to_numpy() - back).max() < 0.1 + 0.05 * back.max()
            assert np.median(np.abs(final["in_filter"].to_numpy() - back)) < 0.02
        totals[kind] = pd.Series(found, index=pd.Index(keys)).sort_index()
    assert (totals["fine"] - totals["bsd"]).abs().max() < 1
    assert np.allclose(totals["whole"], totals["bsd"])


def test_recipients_of_one_mail_have_times_of_their_own(tmp_path: Path) -> None:
    made = Server("mx1.example.com[/run/dspam/dspam.sock]")
    made.mail(1, 0.5, 3, 600, 13, 0.2)
    for kind, off in (("fine", 0.01), ("bsd", 1)):
        final = scanned(tmp_path / f"{kind}.log", made.text(kind)).deliveries.query("final").sort_values("recipient")
        assert list(final["total_delay"]) == pytest.approx([613.2, 626.3, 639.4], abs=off + 0.2)


def test_whole_seconds_shift_no_recipient_of_many_one_way(tmp_path: Path) -> None:
    """Six recipients come back within a second: stamps tell little, the order tells much."""
    made = Server("mx1.example.com[/run/dspam/dspam.sock]")
    for number in range(60):
        made.mail(number, number * 10.137, 6, 0.01, 0.1, 0.08)
    final = scanned(tmp_path / "bsd.log", made.text("bsd")).deliveries.query("final")
    true = np.array([made.true[key] for key in zip(final["queue_id"], final["recipient"], strict=True)])
    off = final["total_delay"].to_numpy() - true
    assert np.abs(off).max() < 1
    for turn in range(6):
        assert abs(off[(final["recipient"] == f"u{turn}@example.com").to_numpy()].mean()) < 0.1


def line(at: str, text: str) -> str:
    return f"2026-03-04T10:{at}+00:00 mx1 postfix/{text}\n"


def alone(opening: str, status: str, delay: str, stages: str) -> str:
    whom = f"to=<zoe@example.net>, relay=mx.example.net[203.0.113.200]:25, delay={delay}, delays={stages}, dsn=2.0.0"
    return (
        line(opening, "smtpd[10]: 1E24012D687: client=mail.example.org[203.0.113.26]")
        + line(opening, "cleanup[11]: 1E24012D687: message-id=<one@example.org>")
        + line("00:09.400000", "qmgr[12]: 1E24012D687: from=<sam@example.org>, size=1000, nrcpt=1 (queue active)")
        + line(status, f"smtp[14]: 1E24012D687: {whom}, status=sent (250 ok)")
        + line("00:59.000000", "qmgr[12]: 1E24012D687: removed")
    )


@pytest.mark.parametrize(
    ("opening", "status", "delay", "stages", "seconds"),
    [
        ("00:00.250000", "00:12.500000", "12", "9/0.3/1/2", 12.25),
        # The opening line came five seconds after the mail was announced: delay= begins there.
        ("00:05.250000", "00:12.500000", "12", "9/0.3/1/2", 12),
        # The status line is late, or early (a clock set back).
        ("00:00.250000", "00:42.500000", "12", "9/0.3/1/2", 12),
        ("00:00.250000", "00:05.500000", "12", "9/0.3/1/2", 12),
        # Less than a second: hundredths are told.
        ("00:09.300000", "00:09.555000", "0.25", "0.1/0.05/0/0.1", 0.255),
    ],
)
def test_stamps_finer_than_a_second_count_within_what_postfix_tells(
    read: Read, opening: str, status: str, delay: str, stages: str, seconds: float
) -> None:
    row = read(alone(opening, status, delay, stages), raw=True).deliveries.iloc[0]
    assert row["total_delay"] == pytest.approx(seconds, abs=0.6 if seconds == 12 else 0.006)
    assert sum(row[list(PARTS)]) == pytest.approx(row["total_delay"], abs=0.01)


def test_genuine_logs_of_both_formats_agree_within_a_second() -> None:
    """The story's log is in whole seconds; what its deliveries tell bounds them."""
    scan = logscan.read(story("mixed-day"), jobs=1)
    final = scan.deliveries[scan.deliveries["final"]]
    between = (final["time"] - final["arrived"]).dt.total_seconds()
    behind = final["total_delay"] - between
    assert (behind.abs() <= 1.01).all()
    assert (final[list(PARTS)].sum(axis=1) - final["total_delay"]).abs().max() < 0.01


# -- recipients that have a copy, and wait --------------------------------------------------------------------------------


def broken(recipient: str, *, delay: float = 1.2, d: float = 1.1) -> str:
    reply = "lost connection with mx1.example.com[/run/dspam/dspam.sock] while sending end of data"
    return to(recipient, "mx1.example.com[/run/dspam/dspam.sock]", reply, delay=delay, d=d, status="deferred")


def test_a_filter_that_breaks_off_after_handing_mail_back_makes_no_second_recipient(read: Read) -> None:
    head = f"""
        {opened("1F00000A01", ident="<a@example.org>")}
        {opened("1F00000B01", 1, client=LOCAL, ident="<a@example.org>")}
        10:00:01 postfix/lmtp[14]: 1F00000A01: {judged("al@example.com", delay=1, d=0.9)}
        10:00:01 postfix/qmgr[12]: 1F00000A01: removed
        10:00:01 postfix/lmtp[15]: 1F00000B01: {saved("al@example.com", "Sx")}
        10:00:01 postfix/qmgr[12]: 1F00000B01: removed
        {opened("1E24012D687", 10, n=3)}
        {opened("1A00000C11", 11, client=LOCAL)}
        10:00:11 postfix/lmtp[15]: 1A00000C11: {saved("bob@example.com", "Sb")}
        10:00:11 postfix/qmgr[12]: 1A00000C11: removed
        10:00:11 postfix/lmtp[14]: 1E24012D687: {broken("al@example.com")}
        10:00:11 postfix/lmtp[14]: 1E24012D687: {broken("bob@example.com")}
        10:00:11 postfix/lmtp[14]: 1E24012D687: {broken("kim@example.com")}
    """
    scan = read(head)
    assert ends(scan) == {"delivered": 2, "deferred": 2}
    mail = scan.mails.set_index("queue_id").loc["1E24012D687"]
    assert (mail["recipients"], mail["deferrals"], mail["open"]) == (3, 3, True)
    # Tried again, it comes a second time: two copies, one recipient.
    again = f"""
        {opened("1A00000C12", 71, client=LOCAL)}
        10:01:11 postfix/lmtp[15]: 1A00000C12: {saved("bob@example.com", "Sc")}
        10:01:11 postfix/qmgr[12]: 1A00000C12: removed
        10:01:11 postfix/lmtp[14]: 1E24012D687: {judged("bob@example.com", delay=61, d=0.9)}
    """
    scan = read(head + again)
    assert ends(scan) == {"delivered": 2, "deferred": 2}
    assert len(scan.deliveries.query("final and recipient == 'bob@example.com'")) == 2


def test_a_genuine_crash_counts_each_recipient_once() -> None:
    scan = logscan.read(story("dspam-crash"), jobs=1)
    assert ends(scan) == {"delivered": 36, "deferred": 24}
    assert scan.deliveries["final"].sum() == 46


# -- the log ends before the filter's answer --------------------------------------------------------------------------------

WAY = f"""
    {opened("1F00000A01", ident="<a@example.org>")}
    {opened("1F00000B01", 1, client=LOCAL, ident="<a@example.org>", size=1300)}
    10:00:01 postfix/lmtp[14]: 1F00000A01: {judged("al@example.com", delay=1, d=0.9)}
    10:00:01 postfix/qmgr[12]: 1F00000A01: removed
    10:00:01 postfix/lmtp[15]: 1F00000B01: {saved("al@example.com", "Sx")}
    10:00:01 postfix/qmgr[12]: 1F00000B01: removed
"""


def shape(scan: Scan) -> dict[str, tuple[int, int, int]]:
    """Return lives, delivered and waiting recipients by mail."""
    return {row.queue_id: (row.lives, row.delivered, row.deferred) for row in scan.mails.itertuples()}


def test_what_a_filter_handed_back_before_the_log_ends_belongs_to_its_mail(read: Read) -> None:
    scan = read(f"""{WAY}
        {opened("1E24012D687", 10, n=3)}
        {opened("1A00000C11", 11, client=LOCAL, size=1300)}
        10:00:11 postfix/lmtp[15]: 1A00000C11: {saved("al@example.com", "Sb")}
        10:00:11 postfix/qmgr[12]: 1A00000C11: removed
        {opened("1A00000C12", 12, client=LOCAL, size=1300)}
    """)
    assert shape(scan) == {"1F00000A01": (2, 1, 0), "1E24012D687": (3, 1, 2)}
    late = scan.legs[scan.legs["parent_queue_id"] == "1E24012D687"]
    assert list(late["kind"]) == ["filter", "filter"]
    assert set(late["confidence"]) == {"medium"}
    assert ends(scan) == {"delivered": 2, "deferred": 2}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        # Another mail, another sender, a recipient that has its line already.
        ({}, {"ident": "<other@example.org>", "client": LOCAL}),
        ({}, {"sender": "kim@example.org", "client": LOCAL}),
        # Not a filter's way: it came from outside, by another service.
        ({}, {"client": "mail.example.org[203.0.113.26]"}),
        ({}, {"client": LOCAL, "tag": "postfix/submission/smtpd"}),
        # The same program handed in the same mail twice, by the filter's way.
        ({"client": LOCAL}, {"client": LOCAL}),
    ],
)
def test_independent_mails_stay_apart(read: Read, first: dict[str, Any], second: dict[str, Any]) -> None:
    scan = read(f"""{WAY}
        {opened("1E24012D687", 10, n=1, **first)}
        {opened("1A00000C11", 11, **second)}
    """)
    assert shape(scan) == {"1F00000A01": (2, 1, 0), "1E24012D687": (1, 0, 1), "1A00000C11": (1, 0, 1)}


def test_a_mail_that_has_waited_for_hours_takes_no_one_in(read: Read) -> None:
    later = re.sub("10:00:1", "15:00:1", opened("1A00000C11", 11, client=LOCAL, size=1300))
    scan = read(f"""{WAY}
        {opened("1E24012D687", 10)}
        {later}
    """)
    assert len(scan.mails) == 3


def test_no_more_come_back_than_wait(read: Read) -> None:
    scan = read(f"""{WAY}
        {opened("1E24012D687", 10, n=1)}
        {opened("1A00000C11", 11, client=LOCAL, size=1300)}
        {opened("1A00000C12", 12, client=LOCAL, size=1300)}
    """)
    assert len(scan.mails) == 3
    assert ends(scan) == {"delivered": 1, "deferred": 2}
