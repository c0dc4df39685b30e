"""What mail-loop keeps of a log follows the mails that may still be part of a circle, not the log; the answer stays the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checked import arrived, at, removed, sent, stored

import logscan
from logscan.checking.check import all_checks
from logscan.checking.in_turn import PAIRS
from logscan.checking.judging import concluded, looked, settled
from logscan.scan.window import windows_of
from logscan.tables.recent import Recent

CHECK = next(check for check in all_checks() if check.name == "mail-loop")
HOUR, DAY = 3600, 86_400


def came(second: int, queue_id: str, sender: str, to: str) -> list[str]:
    lines = arrived(second, queue_id, f"{queue_id}@example.net", sender=sender)
    return lines + stored(second, queue_id, to, f"s{queue_id}", f"{queue_id}@example.net") + removed(second, queue_id)


def left(second: int, queue_id: str, sender: str, to: str) -> list[str]:
    client = f"@submission desk.example.org[198.51.100.7], sasl_method=PLAIN, sasl_username={sender}"
    lines = arrived(second, queue_id, f"{queue_id}@example.org", client=client, sender=sender)
    reply = "250 2.0.0 Ok: queued as 9A"
    lines.append(sent(second, queue_id, to, "mx.example.net[192.0.2.9]:25", reply, agent="smtp"))
    return [*lines, *removed(second, queue_id)]


def in_turn(start: int, mails: int, name: str) -> list[str]:
    lines = []
    for number in range(mails):
        way = came if number % 2 == 0 else left
        pair = ("robot@example.net", f"{name}@example.org")
        lines += way(start + 15 * number, f"{name.upper()}{number:04d}", *(pair if way is came else pair[::-1]))
    return lines


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = in_turn(HOUR - 100, 24, "ab") + in_turn(DAY + 8 * HOUR - 100, 24, "cd") + in_turn(2 * DAY, 10, "ef")
    for number in range(400):
        second = number // 100 * DAY + number % 100 * 400
        lines += came(second, f"AA{number:04d}", "ann@example.net", "bob@example.org")
        lines += left(second + 90, f"BB{number:04d}", "bob@example.org", f"ann{number}@example.net")
    lines.append(f"{at(5 * HOUR)} postfix/smtpd[9]: CC0001: client=mx.example.net[192.0.2.25]")
    lines.append(f"{at(5 * HOUR + 2)} postfix/cleanup[9]: warning: CC0001: message rejected: hopcount exceeded")
    path = tmp_path_factory.mktemp("log") / "mail.log"
    path.write_text("\n".join(sorted(lines, key=lambda line: (line[:15], "removed" in line))) + "\n")
    return path


def test_old_mails_of_pairs_are_let_go_and_the_answer_stays_the_same(log: Path) -> None:
    scan = logscan.read(log, jobs=1, year=2026, timezone="UTC")
    whole = concluded([CHECK], [looked([CHECK], scan)], scan.log)
    assert {finding.cause for finding in whole[0].findings} == {"automatic-answers", "too-many-hops"}
    begin = int(scan.entries["first"].min().value)
    # The last of them lies within a run.
    cuts = begin + np.array([10, 31, 32]) * HOUR * 10**9
    kept, most = [], 0
    for number, window in enumerate(windows_of(scan, lambda first: np.searchsorted(cuts, first))):
        kept.append(looked([CHECK], window))
        if number < len(cuts):
            kept = [settled([CHECK], kept, int(cuts[number]))]
            pairs = kept[0]["mail-loop"].parts[PAIRS]
            assert isinstance(pairs, Recent)
            most = max(most, pairs.count)
    assert concluded([CHECK], kept, scan.log) == whole
    assert most < 300 < looked([CHECK], scan)["mail-loop"].parts[PAIRS].count  # type: ignore[union-attr]
