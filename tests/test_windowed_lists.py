"""The report's lists of a log that is cut: the same as of the whole, and as counts made by other means."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cutting import partials
from test_lists import OUT, SAVED, delivery, mail

import logscan
from logscan.report import listings
from logscan.report.model import Listing
from logscan.samples import story
from logscan.scan.window import Window
from logscan.tables.partials import Partial, Points, merged


def lists_of(partial: Partial, scan: Window) -> dict[str, Listing]:
    return {each.key: each for each in listings.listings(partial, scan.log, ())}


def read(folder: Path, lines: list[str]) -> Window:
    """Read lines, each given as ``2026-11-22T10:00:01 program[1]: text``."""
    (folder / "mail.log").write_text("".join(f"{line.replace(' ', '+00:00 mx1 ', 1)}\n" for line in lines))
    return logscan.read(folder, jobs=1)


def told(scan: Window) -> dict[str, Listing]:
    """Return the lists of a log, having seen that it may be cut anywhere."""
    whole = lists_of(listings.look(scan), scan)
    for partial in partials(scan, listings.look):
        assert lists_of(partial, scan) == whole
    return whole


def rows(lists: dict[str, Listing], key: str) -> list[dict[str, Any]]:
    return [dict(zip(lists[key].columns, row, strict=True)) for row in lists[key].rows]


@pytest.mark.parametrize("name", ["mixed-day", "dspam-crash", "rspamd-healthy", "amavis-outgoing-tagged-spam"])
def test_a_genuine_log_cut_anywhere(name: str) -> None:
    lists = told(logscan.read(story(name), jobs=1))
    assert {"senders", "recipients", "sizes", "entrances", "stores", "delays", "tls-in"} <= set(lists)


def test_a_recipient_put_off_for_days(tmp_path: Path) -> None:
    """Attempts that lie days apart are one recipient's, and its wait is from the first to the last."""
    late = "connect to mx.example.net[198.51.100.7]:25: Connection timed out"
    lines: list[str] = []
    days = [f"2026-11-{day}T" for day in (20, 21, 23, 25)]
    for number in range(6):
        queue_id, to = f"3F{number:05d}", f"u{number}@x.net"
        lines += mail(queue_id, f"{days[0]}10:00:{number:02d}")
        for day, waited in zip(days, (3600, 90_000, 262_800), strict=False):
            at = f"{day}11:00:{number:02d}"
            lines.append(delivery(queue_id, at, "deferred", late, relay="none", to=to, delay=str(waited)))
        if number < 4:
            end, reply = ("sent", "250 ok") if number < 3 else ("bounced", "said: 550 no")
            lines.append(delivery(queue_id, f"{days[3]}12:00:00", end, reply, relay=OUT, to=to, delay="439200"))
            lines.append(f"{days[3]}12:00:01 postfix/qmgr[9]: {queue_id}: removed")
    lines.sort()
    lists = told(read(tmp_path, lines))
    ended = {row["how it ended"]: row for row in rows(lists, "put-off")}
    counts = {name: (row["recipients"], row["mails"], row["attempts put off"]) for name, row in ended.items()}
    assert counts == {
        "delivered later": (3, 3, 9), "still waiting": (2, 2, 6), "bounced": (1, 1, 3), "in all": (6, 6, 18),
    }  # fmt: skip
    assert ended["still waiting"]["longest wait"] == 3 * 86400
    assert ended["delivered later"]["longest wait"] == 5 * 86400 + 3600
    (reason,) = rows(lists, "put-off-reasons")
    assert (reason["attempts"], reason["recipients"], reason["mails"]) == (18, 6, 6)
    assert (reason["went on"], reason["waiting"], reason["given up"]) == (3, 2, 1)
    assert [f"{reason[name]:%d %H:%M:%S}" for name in ("first", "last")] == ["20 11:00:00", "23 11:00:05"]
    slowest = rows(lists, "slowest")
    assert [row["queue id"] for row in slowest] == ["3F00000", "3F00001", "3F00002"]
    assert {row["put off for"] for row in slowest} == {"connect to mx.example.net[…]: Connection timed out"}


def test_lists_of_more_rows_than_are_shown(tmp_path: Path) -> None:
    """Of 150 senders, folders, users and clients the 100 most frequent are shown; all are counted."""
    dice = random.Random(3)
    lines: list[str] = []
    senders: Counter[str] = Counter()
    logins: dict[str, Counter[str]] = defaultdict(Counter)
    addresses: dict[str, set[str]] = defaultdict(set)
    for number in range(600):
        at = f"2026-11-22T{8 + number // 60:02d}:{number % 60:02d}:00"
        sender = f"s{int(150 * dice.random() ** 2)}@example.org"
        senders[sender] += 1
        lines += [line.replace("ann@example.org", sender) for line in mail(f"4A{number:05d}", at)]
        lines.append(delivery(f"4A{number:05d}", at, "sent", SAVED))
        lines.append(f"{at} postfix/qmgr[9]: 4A{number:05d}: removed")
        user, address = f"u{dice.randrange(150)}", f"203.0.113.{dice.randrange(5)}"
        event = dice.choice(["Login", "Aborted login (auth failed, 1 attempts in 2 secs)"])
        lines.append(
            f"{at} dovecot: imap-login: {event}: user=<{user}>, method=PLAIN, rip={address}, lip=192.0.2.1, TLS"
        )
        logins[user]["logins" if event == "Login" else "failed"] += 1
        addresses[user].add(address)
    lists = told(read(tmp_path, lines))
    most = sorted(senders.items(), key=lambda item: (-item[1], item[0]))[:100]
    assert [(row["sender"], row["mails"]) for row in rows(lists, "senders")] == most
    assert lists["senders"].total == len(senders)
    assert lists["logins"].total == len(logins)
    assert len(lists["logins"].rows) == 100
    for row in rows(lists, "logins"):
        user = row["user"]
        assert (row["logins"], row["failed"]) == (logins[user]["logins"], logins[user]["failed"])
        assert row["addresses"] == len(addresses[user])
    (domain,) = rows(lists, "sender-domains")
    assert (domain["domain"], domain["mails"], domain["bytes"]) == ("example.org", 600, 600 * 2000)


def sessions(*, mails: int) -> tuple[list[str], Counter[str]]:
    """Return the lines of SMTP sessions, each with a mail or two, and how many mails came by which encryption."""
    dice = random.Random(5)
    lines: list[str] = []
    expected: Counter[str] = Counter()
    second = 0

    def at() -> str:
        return f"2026-11-22T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"

    while expected.total() < mails:
        number = expected.total()
        pid, client = 20 + number % 4, f"mx.example.org[203.0.113.{1 + number % 2}]"
        version = dice.choice(["TLSv1.2", "TLSv1.3", ""])
        lines.append(f"{at()} postfix/smtpd[{pid}]: connect from {client}")
        second += dice.randrange(1, 90)
        if version:
            cipher = "with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
            text = f"Anonymous TLS connection established from {client}: {version} {cipher}"
            lines.append(f"{at()} postfix/smtpd[{pid}]: {text}")
        for more in range(dice.randrange(1, 3)):
            second += dice.randrange(1, 90)
            queue_id = f"5B{number:03d}{more:02d}"
            lines += mail(queue_id, at(), client=client, pid=pid)
            second += dice.randrange(1, 90)
            lines.append(delivery(queue_id, at(), "sent", SAVED))
            lines.append(f"{at()} postfix/qmgr[9]: {queue_id}: removed")
            expected[version or "plain text"] += 1
        second += 1
    return lines, expected


def test_the_lines_of_a_session_lie_apart_from_its_mail(tmp_path: Path) -> None:
    """Each mail's encryption is that of its own session, wherever the log is cut between."""
    lines, expected = sessions(mails=80)
    lists = told(read(tmp_path, lines))
    assert {row["encryption"]: row["mails"] for row in rows(lists, "tls-in")} == expected
    assert sum(row["mails"] for row in rows(lists, "tls-in-plain")) == expected["plain text"]


def test_what_is_not_kept_of_very_many_sessions_is_not_called_plain_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, expected = sessions(mails=120)
    scan = read(tmp_path, lines)
    monkeypatch.setattr("logscan.tables.partials.MOST_KEYS", 12)
    for partial in partials(scan, listings.look):
        found: Counter[str] = Counter()
        for row in rows(lists_of(partial, scan), "tls-in"):
            found[row["encryption"]] += row["mails"]
        assert found.total() == expected.total()
        assert found["not known"]
        assert all(found[name] <= count for name, count in expected.items())


def test_of_very_many_different_users_the_number_is_estimated_and_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        f"2026-11-22T{10 + number // 3600}:{number // 60 % 60:02d}:{number % 60:02d} dovecot: imap-login: Login: "
        f"user=<u{number}>, method=PLAIN, rip=203.0.113.9, lip=192.0.2.1, TLS"
        for number in range(4000)
    ]
    scan = read(tmp_path, lines)
    monkeypatch.setattr("logscan.tables.partials.MOST_KEYS", 1000)
    lists = told(scan)
    (row,) = rows(lists, "protocols")
    assert (row["lines"], row["addresses"]) == (4000, 1)
    assert row["users"] == pytest.approx(4000, rel=0.1)
    assert "The users are estimated from 1,000 of them." in lists["protocols"].help


def test_the_connection_of_a_delivery_may_have_begun_in_another_window(tmp_path: Path) -> None:
    lines: list[str] = []
    tls = f"Trusted TLS connection established to {OUT}: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
    # Four deliveries over one connection; the last is later than Postfix keeps one.
    for number, minutes in enumerate((0, 3, 6, 40)):
        at, queue_id = f"2026-11-22T10:{minutes:02d}", f"6C0000{number}"
        lines += mail(queue_id, f"{at}:00")
        lines += [f"{at}:01 postfix/smtp[50]: {tls}"] if not number else []
        lines.append(delivery(queue_id, f"{at}:02", "sent", "250 ok", relay=OUT, to="u@example.net", pid="50"))
        lines.append(f"{at}:03 postfix/qmgr[9]: {queue_id}: removed")
    lists = told(read(tmp_path, lines))
    assert {row["encryption"]: row["deliveries"] for row in rows(lists, "tls-out")} == {"TLSv1.3": 3, "plain text": 1}


def test_percentiles_are_right_to_one_percent(tmp_path: Path) -> None:
    dice = np.random.default_rng(7)
    seconds = np.round(dice.lognormal(2, 2, 400), 2)
    lines: list[str] = []
    for number, each in enumerate(seconds.tolist()):
        arrived = pd.Timestamp("2026-11-22T08:00:00") + pd.Timedelta(seconds=30 * number)
        stamps = [f"{arrived + pd.Timedelta(seconds=more):%Y-%m-%dT%H:%M:%S.%f}" for more in (0, each)]
        lines += [
            *mail(f"7D{number:05d}", stamps[0]),
            delivery(f"7D{number:05d}", stamps[1], "sent", SAVED, delay=f"{each:.2f}", delays=f"0/0/0/{each:.2f}"),
            f"{stamps[1]} postfix/qmgr[9]: 7D{number:05d}: removed",
        ]
    scan = read(tmp_path, lines)
    known = scan.deliveries["total_delay"].to_numpy()
    (whole,) = [row for row in rows(told(scan), "delays") if row["part"] == "in all"]
    assert whole["deliveries"] == 400
    for name, share in (("median", 50), ("90 %", 90), ("99 %", 99)):
        assert whole[name] == pytest.approx(float(np.percentile(known, share)), rel=0.0101, abs=0.006)
    assert whole["longest"] == round(float(known.max()), 2)


def points(dice: random.Random, count: int) -> pd.DataFrame:
    keys, times = [dice.randrange(3) for _ in range(count)], [dice.randrange(2000) * 10**8 for _ in range(count)]
    return pd.DataFrame({"key": keys, "at": times}, dtype="int64")


def test_points_are_thinned_alike_however_they_are_put_together() -> None:
    dice = random.Random(11)
    for most in (5, 40, 200, 10_000):
        frame = points(dice, 500)
        whole = Points.of(frame, most=most)
        pieces = [Points.of(frame.iloc[at : at + 50], most=most) for at in range(0, 500, 50)]
        dice.shuffle(pieces)
        for parts in (pieces, [pieces[0].merged(pieces[1:4]), pieces[4].merged(pieces[5:])]):
            put = merged(Partial({"points": each}) for each in parts).parts["points"]
            assert isinstance(put, Points)
            assert put.width == whole.width
            assert {key: put.times(key).tolist() for key in range(3)} == {
                key: whole.times(key).tolist() for key in range(3)
            }
        assert len(whole.frame) <= most or whole.width >= 2**20
        for key in range(3):
            every = sorted(frame["at"][frame["key"] == key].tolist())
            spans: dict[int, list[int]] = defaultdict(list)
            for time in every:
                spans[time // (max(whole.width, 1) * 10**9)].append(time)
            kept = every if not whole.width else [time for some in spans.values() for time in some[:3]]
            assert whole.times(key).tolist() == kept
