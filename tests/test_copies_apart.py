"""Copies of one mail in different windows: found in any order and grouping within five days, and none beyond; little is kept."""

from __future__ import annotations

import functools
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from checked import DOVECOT, arrived, at, back, removed, sent, stored, to_dspam, write

import logscan
from logscan.checking import pairing
from logscan.checking.check import Check, all_checks
from logscan.checking.judging import concluded, looked, settled
from logscan.checks.duplicate_delivery import LEFT
from logscan.findings import Result
from logscan.pipeline import pieces
from logscan.scan.scan import Scan
from logscan.scan.window import Window, windows_of
from logscan.tables import aside
from logscan.tables.recent import Recent

ALICE, BOB, ANN = "alice@example.org", "bob@example.org", "ann@example.net"
SALES, STAFF = "sales@example.org", "staff@example.org"
DAY, HOUR = 86_400, 3600
CHECK = next(check for check in all_checks() if check.name == "duplicate-delivery")
LOST = "lost connection with mx[private/dovecot-lmtp] while sending end of data -- message may be sent more than once"


class Story:
    """Tells mails; each takes queue IDs and sessions of its own."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.number = 0

    def text(self) -> list[str]:
        """Return the lines in the order of time; all are of one month."""
        return sorted(self.lines, key=lambda line: line[:15])

    def ident(self) -> str:
        self.number += 1
        return f"m{self.number}@example.net"

    def names(self, count: int) -> list[str]:
        self.number += 1
        return [f"{letter}{self.number:06X}" for letter in "ABCDE"[:count]]

    def mail(self, second: float, ident: str = "", to: str = ALICE, sender: str = ANN) -> None:
        """A mail without a filter, stored once."""
        (queue_id,) = self.names(1)
        ident = ident or self.ident()
        self.lines += arrived(second, queue_id, ident, sender=sender)
        self.lines += [*stored(second + 1, queue_id, to, f"s{queue_id}", ident), *removed(second + 2, queue_id)]

    def filtered(self, second: float, twice: bool, ident: str = "") -> None:
        """A mail to an alias, expanded before DSPAM and, if ``twice``, behind it once more."""
        first, one, two = self.names(3)
        ident = ident or self.ident()
        self.lines += [
            *arrived(second, first, ident, nrcpt=2),
            *back(second + 1, one, ident),
            *back(second + 1, two, ident),
        ]
        self.lines += [to_dspam(second + 2, first, ALICE, SALES), to_dspam(second + 2, first, SALES, SALES)]
        self.lines += stored(second + 3, one, ALICE, f"s{one}", ident)
        self.lines += stored(second + 3, two, BOB, f"s{two}", ident, SALES)
        if twice:
            self.lines += stored(second + 3, two, ALICE, f"t{two}", ident, SALES)
        self.lines += removed(second + 4, first, one, two)

    def listed(self, second: float, gap: float) -> None:
        """A mail to somebody and to a list that sends it to the same person."""
        ident = self.ident()
        self.mail(second, ident)
        (queue_id,) = self.names(1)
        self.lines += arrived(second, queue_id, ident)
        reply = 'delivered to command: "|/usr/lib/mailman/mail/mailman post staff"'
        self.lines += [sent(second + 1, queue_id, STAFF, "local", reply, agent="local"), *removed(second + 2, queue_id)]
        self.mail(second + gap, ident, sender="staff-bounces@example.org")

    def lost(self, second: float, gap: float) -> None:
        """A mail that was stored though the reply got lost, and stored again ``gap`` seconds later."""
        (queue_id,) = self.names(1)
        ident = self.ident()
        broken = sent(second + 1, queue_id, ALICE, DOVECOT, "x")
        self.lines += arrived(second, queue_id, ident)
        self.lines += [
            stored(second + 1, queue_id, ALICE, f"s{queue_id}", ident)[0],
            broken.replace("dsn=2.0.0, status=sent (x)", f"dsn=4.4.2, status=deferred ({LOST})"),
        ]
        told, reply = stored(second + gap, queue_id, ALICE, f"t{queue_id}", ident)
        self.lines += [told, reply.replace("delay=1, delays=0.1", f"delay={gap}, delays={gap - 0.9}")]
        # A second line of the same session: a rule of the user's filed a copy.
        self.lines += stored(second + gap, queue_id, ALICE, f"t{queue_id}", ident)[:1]
        self.lines += removed(second + gap + 1, queue_id)

    def reload(self, second: float) -> None:
        self.lines.append(f"{at(second)} postfix/master[60]: reload -- version 3.7.11, configuration /etc/postfix")


def scanned(folder: Path, story: Story) -> Scan:
    return logscan.read(write(folder, mail_log=story.text()), jobs=1, year=2026, timezone="UTC")


def said(scan: Scan, windows: Sequence[Window], check: Check = CHECK) -> Result:
    (result,) = concluded([check], [looked([check], window) for window in windows], scan.log)
    return result


def cut(scan: Scan, count: int, rng: random.Random) -> list[Window]:
    """Return the log cut into windows at random times, in the order of time."""
    times = scan.deliveries["time"].dt.as_unit("ns").astype("int64").tolist()
    cuts = np.sort(rng.sample(times, min(count - 1, len(times))))
    return windows_of(scan, lambda first: np.searchsorted(cuts, first))


def first_of(window: Window) -> int:
    """Return the time of the first row of a window."""
    times = [table.column("time").to_numpy() for table in window.tables.values() if len(table)]
    return min((int(each.min()) for each in times), default=2**62)


def streamed(scan: Scan, windows: list[Window], check: Check = CHECK) -> tuple[Result, Any]:
    """Return the answer where what is too old is let go behind each window, and what was kept in the end."""
    kept: list[Any] = []
    for at_, window in enumerate(windows):
        frontier = min((first_of(each) for each in windows[at_ + 1 :]), default=0)
        kept = [settled([check], [*kept, looked([check], window)], frontier)]
    (result,) = concluded([check], kept, scan.log)
    return result, kept[0][check.name]


def moment(rng: random.Random) -> float:
    """Return a second in the first half hour of one of twenty days."""
    return rng.randrange(20) * DAY + rng.uniform(0, 1800)


def anything(seed: int) -> Story:
    """Return mails of all kinds over twenty days, at gaps within and beyond the horizon."""
    rng = random.Random(seed)
    story = Story()
    gaps = (60, 2 * HOUR, 6 * HOUR, 4 * DAY + 6 * HOUR, 5 * DAY + HOUR, 9 * DAY)
    cure = moment(rng)
    story.reload(cure)
    story.reload(moment(rng))
    for _ in range(60):
        second, gap = moment(rng), rng.choice(gaps)
        kind = rng.randrange(6)
        if kind == 0:
            story.mail(second)
        elif kind == 1:
            ident = story.ident()
            for later in (0, gap, gap + rng.choice(gaps))[: rng.randint(2, 3)]:
                if second + later < 20 * DAY:
                    story.mail(second + later, ident)
        elif kind == 2:
            story.filtered(second, twice=second < cure)
        elif kind == 3:
            ident = story.ident()
            story.filtered(second, second < cure, ident)
            if second + gap < 20 * DAY:
                story.mail(second + gap, ident)
        elif kind == 4:
            story.listed(second, rng.choice(gaps[:3]))
        else:
            story.lost(second, rng.choice(gaps[:4]))
    return story


@functools.cache
def known(folder: Path, seed: int) -> tuple[Scan, Result]:
    scan = scanned(folder, anything(seed))
    return scan, said(scan, [scan])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("apart")


SEEDS = range(3)


@pytest.mark.parametrize("seed", SEEDS)
def test_windows_in_any_order_and_grouping_say_what_one_says(folder: Path, seed: int) -> None:
    scan, once = known(folder / str(seed), seed)
    rng = random.Random(seed)
    assert {"sender-resent", "double-alias-expansion", "by-list-and-directly", "retry-after-lost-reply"} <= {
        finding.cause for finding in once.findings
    }
    for count in (3, 25):
        some = cut(scan, count, rng)
        rng.shuffle(some)
        partials = [looked([CHECK], window)[CHECK.name] for window in some]
        assert concluded([CHECK], [{CHECK.name: each} for each in partials], scan.log) == [once]
        left = functools.reduce(lambda a, b: a + b, partials)
        right = functools.reduce(lambda a, b: b + a, partials)
        for whole in (left, right):
            assert concluded([CHECK], [{CHECK.name: whole}], scan.log) == [once]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_let_go_on_the_way_changes_nothing(folder: Path, seed: int) -> None:
    scan, once = known(folder / str(seed), seed)
    for count in (5, 25):
        some = cut(scan, count, random.Random(seed + count))
        result, kept = streamed(scan, some)
        assert result == once
    assert len(kept.parts["single"].keys) < len(said_single(scan).keys)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stream_that_lets_go_says_what_the_whole_log_says(
    folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, once = known(folder / str(seed), seed)
    monkeypatch.setattr(pieces, "MOST_APART", 2)
    stream = logscan.stream(str(folder / str(seed)), year=2026, timezone="UTC", jobs=1, window=60)
    looking = pieces.Looking(stream.log, checks=[CHECK.name])
    seen = 0
    for window in stream:
        looking.add(window, stream.frontier)
        seen += len(said_single(window).keys)
    assert concluded([CHECK], looking.of_checks, stream.log) == [once]
    left = [each[CHECK.name].parts["single"] for each in looking.of_checks]
    assert 0 < sum(len(part.keys) for part in left if isinstance(part, Recent)) < seen


def said_single(scan: Window) -> Recent:
    part = looked([CHECK], scan)[CHECK.name].parts["single"]
    assert isinstance(part, Recent)
    return part


@pytest.mark.parametrize(("gap", "copies"), [(4 * DAY + 12 * HOUR, 2), (5 * DAY + HOUR, 0)])
def test_a_mail_that_came_in_again_is_the_same_within_five_days(tmp_path: Path, gap: int, copies: int) -> None:
    story = Story()
    for second in (0, gap):
        story.mail(second, "again@example.net")
    scan = scanned(tmp_path, story)
    for windows in ([scan], cut(scan, 2, random.Random(1))):
        result = said(scan, windows)
        assert [case["copies"] for finding in result.findings for case in finding.cases] == [copies] * (copies > 0)
        assert bool(result.notes) == (gap > 5 * DAY)


def test_what_came_in_again_and_again_is_one_mail_as_long_as_no_gap_is_longer(tmp_path: Path) -> None:
    story = Story()
    for day in (0, 4, 8, 14, 17):
        story.mail(day * DAY, "again@example.net")
    scan = scanned(tmp_path, story)
    for windows in ([scan], cut(scan, 5, random.Random(2))):
        (found,) = said(scan, windows).findings
        assert sorted(case["copies"] for case in found.cases) == [2, 3]
        assert found.mails == 1


def test_the_copies_of_one_mail_belong_together_however_late_the_last_was_delivered(tmp_path: Path) -> None:
    story = Story()
    ident = "slow@example.net"
    story.lines += arrived(0, "A0000001", ident, nrcpt=2)
    for second, session in ((1, "s1"), (6 * DAY, "s2")):
        for line in stored(second, "A0000001", ALICE, session, ident):
            story.lines.append(line.replace("delay=1, delays=0.1", f"delay={second}, delays={second - 0.9}"))
    story.lines += removed(6 * DAY + 1, "A0000001")
    scan = scanned(tmp_path, story)
    assert [finding.count for finding in said(scan, [scan]).findings] == [1]


def test_the_evidence_names_the_lines_of_both_windows(tmp_path: Path) -> None:
    story = Story()
    for day in (0, 3):
        story.mail(day * DAY, "again@example.net")
    scan = scanned(tmp_path, story)
    (found,) = said(scan, cut(scan, 2, random.Random(3))).findings
    shown = [story.text()[item.line - 1] for item in found.evidence]
    assert [line[:6] for line in shown] == ["Jan 10", "Jan 13"]
    assert all("status=sent" in line for line in shown)


def test_a_copy_keeps_less_than_a_hundred_bytes(tmp_path: Path) -> None:
    story = Story()
    for number in range(1500):
        story.filtered(number * 30, twice=False)
    scan = scanned(tmp_path, story)
    parts = looked([CHECK], scan)[CHECK.name].parts
    size = sum(part.size for part in parts.values() if isinstance(part, Recent))
    assert len(said_single(scan).keys) == 3000
    assert size / 3000 < 100


def many(folder: Path, count: int) -> Scan:
    """Return a log whose first mail comes in again at its end, within the horizon."""
    story = Story()
    story.mail(0, "again@example.net")
    for number in range(count):
        story.mail(60 * (number + 1))
    story.mail(60 * (count + 2), "again@example.net")
    return scanned(folder, story)


def test_what_is_kept_for_later_lies_in_a_file(tmp_path: Path) -> None:
    scan = many(tmp_path, 400)
    windows = cut(scan, 12, random.Random(1))
    once = said(scan, [scan])
    result, kept = streamed(scan, windows)
    assert result == once
    assert [case["copies"] for finding in once.findings for case in finding.cases] == [2]
    single = kept.parts["single"]
    assert single.size / len(single.keys) == 8
    assert single.frame["message_id"].nunique() == len(single.keys) - 1, "each block is read from its own place"


def test_where_there_is_no_room_for_a_file_memory_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = many(tmp_path, 100)
    windows, once = cut(scan, 8, random.Random(1)), said(scan, [scan])
    calls = []

    def full(*_: Any) -> int:
        calls.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    result, kept = streamed(scan, windows)
    assert calls
    assert result == once
    single = kept.parts["single"]
    assert single.size / len(single.keys) > 20


def test_a_file_takes_all_that_is_laid_into_it_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    write, shelf = os.pwrite, aside.Shelf()
    monkeypatch.setattr(os, "pwrite", lambda file, data, start: write(file, data[:3], start))
    laid = [shelf.lay(pa.py_buffer(data)) for data in (b"0123456789", b"", b"abcd")]
    assert [each.read().to_pybytes() for each in laid] == [b"0123456789", b"", b"abcd"]
    with pytest.raises(OSError, match="ends too early"):
        shelf.read(5, 100)


def test_rows_beyond_the_bound_are_let_go_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = many(tmp_path, 60)
    windows = cut(scan, 12, random.Random(1))
    monkeypatch.setattr(pairing, "MOST_RECENT", 20)
    result, kept = streamed(scan, windows)
    assert not result.findings
    gone = len(said_single(scan).keys) - len(kept.parts["single"].keys)
    assert [note for note in result.notes if "let go" in note] == [pairing_note(kept.count("let_go"))]
    assert kept.count("let_go") >= gone > 0
    assert len(kept.parts["single"].keys) <= 20
    monkeypatch.setattr(pairing, "MOST_RECENT", 100)
    result, kept = streamed(scan, windows)
    assert [case["copies"] for finding in result.findings for case in finding.cases] == [2]
    assert not result.notes


def pairing_note(count: int) -> str:
    return LEFT.format(count, pairing.MOST_RECENT)


@pytest.mark.parametrize("seed", SEEDS)
def test_little_room_makes_no_finding_that_much_room_does_not(
    folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan, once = known(folder / str(seed), seed)
    monkeypatch.setattr(pairing, "MOST_RECENT", 5)
    result, _ = streamed(scan, cut(scan, 25, random.Random(seed)))
    cases = {(case["message_id"], case["mailbox"]) for finding in once.findings for case in finding.cases}
    assert {(case["message_id"], case["mailbox"]) for finding in result.findings for case in finding.cases} <= cases
    assert any("let go" in note for note in result.notes)
