"""An outage of a filter that lasts for several daily runs is one: it keeps its beginning, and so its finding its id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from daily_runs import Server

import logscan
from logscan.checking import hand_overs
from logscan.checks.filter_unreachable import remember
from logscan.correlate.lives import SECOND
from logscan.tables.partials import Keyed, Partial, Points, Rows

SCAN, AV = "/run/scan/scan.sock", "/run/av/av.sock"
REFUSED = "connect to mx1.example.com[{socket}]: Connection refused"


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


class Mails:
    """Writes the lines of mails, one after the other."""

    def __init__(self) -> None:
        self.number = 0

    def _begun(self, at: str, service: str) -> tuple[str, str, list[str]]:
        self.number += 1
        queue_id, when = f"4F1A2B{self.number:04d}", f"2026-03-04T{at}:00.000000+00:00 mx1 {service}"
        return (
            queue_id,
            when,
            [
                f"{when}/smtpd[1201]: {queue_id}: client=mail.example.org[203.0.113.26]",
                f"{when}/cleanup[1302]: {queue_id}: message-id=<{queue_id}@example.org>",
                f"{when}/qmgr[900]: {queue_id}: from=<sam@example.org>, size=1900, nrcpt=1 (queue active)",
            ],
        )

    def through(self, at: str, socket: str = SCAN) -> list[bytes]:
        """Return the lines of a mail that the filter took and handed back."""
        queue_id, when, lines = self._begun(at, "postfix")
        again = f"4F1A2C{self.number:04d}"
        lines += [
            f"{when}/smtpd[1601]: {again}: client=localhost[127.0.0.1]",
            f"{when}/cleanup[1302]: {again}: message-id=<{queue_id}@example.org>",
            f"{when}/qmgr[900]: {again}: from=<sam@example.org>, size=2100, nrcpt=1 (queue active)",
            f"{when}/lmtp[1401]: {queue_id}: to=<alice@example.com>, relay=mx1.example.com[{socket}], delay=0.2, "
            f"delays=0.1/0/0/0.1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {again})",
            f"{when}/qmgr[900]: {queue_id}: removed",
            f"{when}/lmtp[1501]: {again}: to=<alice@example.com>, relay=mx1.example.com[private/dovecot-lmtp], delay=0.2, "
            f"delays=0.1/0/0/0.1, dsn=2.0.0, status=sent (250 2.0.0 <alice@example.com> {again}xAAAA Saved)",
            f"{when}/qmgr[900]: {again}: removed",
        ]
        return [f"{line}\n".encode() for line in lines]

    def lost(self, at: str, socket: str = SCAN) -> list[bytes]:
        """Return the lines of a mail that was put off and given up at once: no later run sees them again."""
        queue_id, when, lines = self._begun(at, "postfix")
        lines += [
            f"{when}/lmtp[1401]: {queue_id}: to=<alice@example.com>, relay=none, delay=0, delays=0/0/0/0, dsn=4.4.1, "
            f"status=deferred ({REFUSED.format(socket=socket)})",
            f"{when}/qmgr[900]: {queue_id}: from=<sam@example.org>, status=expired, returned to sender",
            f"{when}/qmgr[900]: {queue_id}: removed",
        ]
        return [f"{line}\n".encode() for line in lines]

    def several(self, how: str, *at: str, socket: str = SCAN) -> list[bytes]:
        return [line for each in at for line in getattr(self, how)(each, socket)]


def told(server: Server) -> list[dict[str, Any]]:
    """Return what the last report says of filters out of reach."""
    (check,) = [each for each in server.reports[-1]["checks"] if each["name"] == "filter-unreachable"]
    return list(check["findings"])


def run(server: Server, lines: list[bytes]) -> list[dict[str, Any]]:
    """Run on new lines, and one that comes so much later that their mails aren't open any more."""
    hour, minute = lines[-1][11:16].decode().split(":")
    later = f"2026-03-04T{hour}:{int(minute) + 9:02d}:00.000000+00:00 mx1"
    later += " postfix/smtpd[1201]: connect from mail.example.org[203.0.113.26]"
    server.write([*lines, f"{later}\n".encode()])
    server.run()
    return told(server)


def memory(server: Server, kind: str) -> set[str]:
    every = server.reports[-1]["memory"][kind]
    return {each if isinstance(each, str) else each["id"] for each in every}


def whole(server: Server) -> list[logscan.Finding]:
    report = logscan.analyse(logscan.read(server.log, jobs=1, timezone="UTC"))
    return [each for each in report.found if each.check == "filter-unreachable"]


def test_an_outage_over_three_runs_is_one_with_one_beginning(server: Server) -> None:
    mails = Mails()
    healthy = mails.several("through", "09:00", "09:10", "09:20")
    (first,) = run(server, [*healthy, *mails.several("lost", "10:00", "10:10", "10:20")])
    (second,) = run(server, mails.several("lost", "10:50", "11:20"))
    assert memory(server, "same") == {second["id"]}
    lines = mails.several("lost", "11:50", "12:20")
    (third,) = run(server, [*lines, *mails.several("through", "12:30", "12:40", "12:50")])
    assert memory(server, "same") == {third["id"]}
    assert not memory(server, "new") | memory(server, "gone")
    (one,) = whole(server)
    assert first["id"] == second["id"] == third["id"] == one.id
    assert [each["mails"] for each in (first, second, third)] == [3, 2, 2], "counts are of the new lines"
    assert one.mails == 7
    assert (third["state"], third["severity"], third["first"]) == (one.state, one.severity, one.first.isoformat())
    assert "(from 2026-03-04 10:00 to 12:30)" in third["summary"]
    assert "on, last tried at 11:20, and no mail got through since" in second["summary"]


def test_what_is_over_is_told_no_more_and_another_outage_is_another(server: Server) -> None:
    mails = Mails()
    healthy = mails.several("through", "09:00", "09:10", "09:20")
    (first,) = run(server, [*healthy, *mails.several("lost", "10:00", "10:10", "10:20")])
    assert run(server, mails.several("through", "10:30", "10:35", "10:40")) == []
    assert memory(server, "gone") == {first["id"]}
    (second,) = run(server, mails.several("lost", "10:50", "11:00", "11:10"))
    assert memory(server, "new") == {second["id"]}
    assert {first["id"], second["id"]} == {each.id for each in whole(server)}


def test_an_outage_of_another_filter_is_another(server: Server) -> None:
    mails = Mails()
    healthy = mails.several("through", "09:00", "09:10", "09:20") + mails.several("through", "09:05", socket=AV)
    (first,) = run(server, [*healthy, *mails.several("lost", "10:00", "10:10", "10:20")])
    (second,) = run(server, mails.several("lost", "10:50", "11:00", "11:10", socket=AV))
    assert AV in second["subject"]
    assert "10:50" in second["subject"]
    assert memory(server, "new") == {second["id"]}
    (third,) = run(server, mails.several("lost", "11:20", "11:30"))
    assert third["id"] == first["id"]


HOUR = 3600 * SECOND
NOW = 20_000 * 24 * HOUR


def failures(times: list[int], hop: str = "filter") -> Partial:
    """Return a partial with a failure of a mail of its own at each time."""
    count = len(times)
    numbers = np.arange(count, dtype=np.int64)
    frame = pd.DataFrame(
        {
            "host": "mx1",
            "hop": hop,
            "kind": "filter",
            "back": False,
            "at": np.array(times, np.int64),
            "spent": 0,
            "answered": False,
            "lost": False,
            "mail": numbers,
            "person": numbers,
            "words": numbers % 2,
            "source": 0,
            "line": numbers,
        }
    )
    words = Keyed.of(pd.DataFrame({"words": [0, 1, 2], "text": ["a", "b", "c"]}), once=True)
    through = Points.of({"key": np.zeros(count, np.int64), "at": np.array(times, np.int64)})
    return Partial({hand_overs.FAILURES: Rows.of(frame), hand_overs.WORDS: words, hand_overs.THROUGH: through})


def test_however_much_meets_an_outage_its_beginning_is_remembered() -> None:
    times = [NOW - 10 * HOUR + each * SECOND for each in range(30_000)]
    kept = remember(failures(times), NOW)
    rows = kept.frame(hand_overs.FAILURES)
    assert len(rows) <= hand_overs.MOST_FAILURES
    assert rows["at"].min() == times[0]
    assert len(kept.frame(hand_overs.THROUGH)) <= hand_overs.MOST_THROUGH
    assert kept.frame(hand_overs.WORDS)["words"].tolist() == [0, 1], "what nobody says isn't kept"
    halves = [remember(failures(some), NOW) for some in (times[:15_000], times[15_000:])]
    both = remember(halves[0] + halves[1], NOW).frame(hand_overs.FAILURES)
    assert both["at"].tolist() == rows["at"].tolist(), "it follows from the lines, not from the runs"


def test_what_is_older_than_mail_waits_is_forgotten() -> None:
    kept = remember(failures([NOW - 7 * 24 * HOUR, NOW - 5 * 24 * HOUR]), NOW)
    assert kept.frame(hand_overs.FAILURES)["at"].tolist() == [NOW - 5 * 24 * HOUR]
    assert kept.frame(hand_overs.THROUGH)["at"].tolist() == [NOW - 5 * 24 * HOUR]
    assert remember(Partial(), NOW).parts == {}
