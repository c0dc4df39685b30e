"""Own mail and logins whose log is cut: what one window can't tell is known when all are seen, and healthy mail leaves counts."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from checked import arrived, removed, sent, to_dspam, write
from simulator import FILTERS, Server, World

import logscan
from logscan.checking.check import all_checks
from logscan.checking.judging import concluded, looked
from logscan.findings import Result
from logscan.scan import covering
from logscan.scan.facts import facts_of
from logscan.scan.log import Facts
from logscan.scan.window import Window, windows_of
from logscan.tables import spans
from logscan.tables.partials import merged
from logscan.tables.spans import Moments, Spans

PORT, OUT, WITHIN, LOCAL = (
    "authenticated-port-25",
    "outgoing-tagged-spam",
    "internal-tagged-spam",
    "local-mail-filtered",
)
CHECKS = [check for check in all_checks() if check.name in (PORT, OUT, WITHIN, LOCAL)]
FAR = "mx.example.com[203.0.113.9]:25"
LOGIN = "desk.example.net[198.51.100.7], sasl_method=PLAIN, sasl_username=bob@example.org"
SCRIPT = "localhost[127.0.0.1]"
MAIN = "myhostname = mx.example.org\nmydestination = example.org\nsmtpd_sasl_auth_enable = yes\n"
MASTER = "smtp inet n - n - - smtpd\nsubmission inet n - n - - smtpd\n  -o syslog_name=postfix/submission\n"


def mail(
    second: float,
    client: str = LOGIN,
    *,
    pid: int = 71,
    filtered: bool = False,
    sender: str = "bob@example.org",
    here: bool = False,
) -> list[str]:
    """Return the lines of a mail to outside, or to a mailbox ``here``; without a client it is a stranger's."""
    queue_id, behind, ident = f"4A9{round(second):08d}", f"5B9{round(second):08d}", f"{second}@example.org"
    sender = sender if client else "ann@example.net"
    to = "al@here.example" if here else "friend@example.com"
    lines = arrived(second, queue_id, ident, client=client, sender=sender)
    lines[0] = lines[0].replace("smtpd[71]", f"smtpd[{pid}]")
    last = queue_id
    if filtered:
        lines += arrived(second, behind, ident, client=SCRIPT, sender=sender)
        lines += [to_dspam(second, queue_id, to), *removed(second, queue_id)]
        last = behind
    end = ("local", "delivered to mailbox", "", "local") if here else (FAR, "250 2.0.0 OK", "", "smtp")
    return [*lines, sent(second, last, to, *end), *removed(second, last)]


def scan_of(folder: Path, *lines: Sequence[str], **texts: Any) -> Window:
    """Return the log of these lines in the order of time."""
    every = [line for some in lines for line in some]
    return logscan.read(write(folder, mail_log=every, **texts), jobs=1, year=2026, timezone="UTC")


def cuts(scan: Window, *, alone: bool = False) -> list[list[Window]]:
    """Return the log cut at each mail's beginning, and each mail in a window of its own.

    ``alone``: no window knows more of the whole log than it shows itself, as after a survey that saw nothing.
    """
    times = np.unique(scan.entries["first"].dt.as_unit("ns").astype("int64").to_numpy())
    found = [windows_of(scan, lambda first, t=t: (first >= t).astype(np.int64)) for t in times[1:]]
    found.append(windows_of(scan, lambda first: np.maximum(np.searchsorted(times, first, "right") - 1, 0)))
    for windows in found:
        random.Random(len(windows)).shuffle(windows)
        for window in windows if alone else ():
            window.facts = facts_of(window)
    return found


def same_in_all(scan: Window, *names: str, alone: bool = False) -> dict[str, Result]:
    """Return the checks' answers, the same however the log is cut."""
    checks = [check for check in CHECKS if check.name in names]
    once = concluded(checks, [looked(checks, scan)], scan.log)
    log = replace(scan.log, facts=Facts()) if alone else scan.log
    for windows in cuts(scan, alone=alone):
        assert concluded(checks, [looked(checks, window) for window in windows], log) == once, len(windows)
    return {result.name: result for result in once}


def equal(scan: Window, count: int) -> list[Window]:
    """Return the log cut into windows of about the same number of mails."""
    times = np.sort(scan.entries["first"].dt.as_unit("ns").astype("int64").to_numpy())
    ends = times[np.arange(1, count) * len(times) // count]
    return windows_of(scan, lambda first: np.searchsorted(ends, first, "right"))


# -- ports -------------------------------------------------------------------------------------------------------------


def test_a_process_whose_strangers_came_in_another_window_is_port_25s(tmp_path: Path) -> None:
    scan = scan_of(
        tmp_path,
        mail(0, "", pid=100, filtered=True),
        mail(600, pid=100, filtered=True),
        mail(700, pid=200, filtered=True),
        mail(90_000, pid=100, filtered=True),
    )
    result = same_in_all(scan, PORT)[PORT]
    assert [(each.subject, each.count, each.confidence) for each in result.findings] == [
        ("bob@example.org", 1, "medium")
    ], "a process of another number, or of another day, is another"
    assert (result.checked, result.eligible) == (1, 3)


def test_strangers_that_come_after_the_login_tell_its_port_too(tmp_path: Path) -> None:
    scan = scan_of(tmp_path, mail(0, pid=100), mail(600, "", pid=100))
    assert [each.count for each in same_in_all(scan, PORT)[PORT].findings] == [1]


def test_a_stranger_tells_nothing_where_some_of_the_logins_pass_the_filter_by_and_this_one_did(tmp_path: Path) -> None:
    lines = (mail(0, "", pid=100, filtered=True), mail(60, pid=100, filtered=True), mail(120, pid=100))
    assert [each.count for each in same_in_all(scan_of(tmp_path, *lines), PORT)[PORT].findings] == [1]


def test_a_submission_service_that_is_seen_late_tells_what_the_plain_name_is(tmp_path: Path) -> None:
    scan = scan_of(tmp_path, mail(0), mail(60, "", pid=99), mail(120, f"@submission {LOGIN}"))
    result = same_in_all(scan, PORT, alone=True)[PORT]
    assert [(each.count, each.confidence) for each in result.findings] == [(1, "medium")]
    assert (result.checked, result.eligible) == (2, 2)


def test_a_user_who_moved_in_a_later_window_is_mended(tmp_path: Path) -> None:
    other = LOGIN.replace("bob", "eve")
    lines = [mail(0), mail(60, other), *(mail(n * 86_400, f"@submission {LOGIN}") for n in range(1, 6))]
    lines += [mail(n * 86_400 + 60, f"@submission {other}") for n in range(1, 5)]
    scan = scan_of(tmp_path, *lines)
    result = same_in_all(scan, PORT)[PORT]
    assert {each.subject.split("@")[0]: each.state for each in result.findings} == {"bob": "mended", "eve": "active"}


def test_ten_thousand_users_in_eight_windows_are_told_once_each(tmp_path: Path) -> None:
    lines = [mail(n, LOGIN.replace("bob", f"user{n}")) for n in range(10_000)]
    scan = scan_of(tmp_path, *lines, main_cf=MAIN, master_cf=MASTER)
    checks = [check for check in CHECKS if check.name == PORT]
    windows = equal(scan, 8)
    (result,) = concluded(checks, [looked(checks, window) for window in windows], scan.log)
    assert (len(windows), len(result.findings), result.checked) == (8, 10_000, 10_000)


@pytest.mark.parametrize("seed", range(4))
def test_random_flows_give_the_same_answers_in_any_windows(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    servers = [Server(f"mx{n}", rng.choice(FILTERS), ("reply",), bool(seed % 2), bool(n)) for n in (1, 2)]
    log = World(rng, servers, ids=100).run(60)
    (tmp_path / "mail.log").write_text(log.text(False), "utf-8")
    scan = logscan.read(tmp_path / "mail.log", jobs=1, year=2026, timezone="UTC")
    once = concluded(CHECKS, [looked(CHECKS, scan)], scan.log)
    for count in (2, 11):
        windows = equal(scan, count)
        rng.shuffle(windows)
        assert concluded(CHECKS, [looked(CHECKS, window) for window in windows], scan.log) == once
    assert any(result.eligible for result in once)


# -- filters at the door -----------------------------------------------------------------------------------------------


def rspamd(second: int, ident: int) -> str:
    queue_id = f"4A9{ident:08d}"
    clock = f"{10 + second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return (
        f"2026-01-10 {clock} #612(normal) <a00c34>; task; rspamd_task_write_log: id: <{ident}@example.org>, qid: <{queue_id}>,"
        " ip: 192.0.2.1, from: <x@example.com>, (default: F (no action): [0.10/15.00] [A(5.10){}]), len: 900, time: 50.1ms,"
        " dns req: 12, digest: <934b15aa>, rcpts: <kate@example.net>, mime_rcpts: <kate@example.net>\n"
    )


def test_a_milter_s_log_that_covers_part_of_the_time_covers_the_same_part_in_all_windows(tmp_path: Path) -> None:
    strangers = [0, 1500, 3000, 9000, 14_400, 16_000]
    mine = [600, 2900, 5000, 8000, 11_000, 15_000, 20_000]
    lines = [
        line
        for _, lines in sorted([(n, mail(n, "")) for n in strangers] + [(n, mail(n)) for n in mine])
        for line in lines
    ]
    scan = scan_of(
        tmp_path,
        lines,
        main_cf=MAIN + "smtpd_milters = inet:localhost:11332\n",
        master_cf=MASTER,
        rspamd_log="".join(rspamd(n, n) for n in strangers if n != 14_400),
    )
    result = same_in_all(scan, OUT)[OUT]
    assert (result.verdict, result.checked, result.eligible) == ("blind", 5, 7)
    assert "rspamd doesn't cover: whether" in result.blind_because[0]


def test_a_check_says_that_its_times_are_rounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "MOST_MOMENTS", 3)
    log = "".join(rspamd(n, n) for n in (0, 600))
    scan = scan_of(tmp_path, mail(0, ""), mail(600, ""), *(mail(n) for n in range(90_000, 90_010)), rspamd_log=log)
    result = same_in_all(scan, OUT)[OUT]
    assert "doesn't cover (counted by the minute)" in result.blind_because[0]


def test_a_filter_that_only_a_later_window_shows_makes_the_mail_before_unknown(tmp_path: Path) -> None:
    lines = [mail(0), mail(60, ""), *(mail(n, "") for n in (90_000, 90_600))]
    log = "".join(rspamd(ident - 86_400, ident).replace("2026-01-10", "2026-01-11") for ident in (90_000, 90_600))
    scan = scan_of(tmp_path, *lines, rspamd_log=log)
    result = same_in_all(scan, OUT, alone=True)[OUT]
    assert (result.verdict, result.checked, result.eligible) == ("blind", 0, 1)


@pytest.mark.parametrize("seed", range(20))
def test_stretches_tell_of_each_time_what_all_times_tell(seed: int) -> None:
    rng = np.random.default_rng(seed)
    minute = 60 * 10**9
    spoke, silent, asked = (
        rng.integers(0, 4000, size) * minute for size in (rng.integers(1, 80), rng.integers(0, 40), 200)
    )
    silent = np.setdiff1d(silent, spoke)
    parts = [
        [
            Spans.of(pd.DataFrame({"host": "mx", "time": some}), covering.NEAR)
            for some in np.array_split(rng.permutation(times), 5)
        ]
        for times in (spoke, silent)
    ]
    whole = [some[2].merged([some[0].merged([some[4]]), some[3], some[1]]).frame for some in parts]
    found = covering._alive(asked, *whole)
    for time, alive in zip(asked.tolist(), found.tolist(), strict=True):
        before, behind = spoke[spoke <= time].max(initial=-(10**18)), spoke[spoke > time].min(initial=10**18)
        near = time - before <= covering.NEAR and behind - time <= covering.NEAR
        quiet = not ((silent > before) & (silent < behind)).any()
        assert alive == (near or (min(time - before, behind - time) <= covering.FAR and quiet))


# -- names, counts -----------------------------------------------------------------------------------------------------


def test_a_name_of_the_server_that_is_seen_late_makes_its_scripts_mail_own(tmp_path: Path) -> None:
    shop = mail(0, SCRIPT, filtered=True, sender="shop@mx.example.org", here=True)
    fetched = mail(60, SCRIPT, filtered=True, sender="ann@example.net", here=True)
    late = [line.replace(FAR, "mx.example.org[private/dovecot-lmtp]") for line in mail(600)]
    result = same_in_all(scan_of(tmp_path, shop, fetched, late), LOCAL, alone=True)[LOCAL]
    assert [each.subject for each in result.findings] == ["shop@mx.example.org"]
    assert result.eligible == 1


def size(windows: Sequence[Window]) -> int:
    partials = [looked(CHECKS, window) for window in windows]
    return sum(
        len(part.frame)
        for check in CHECKS
        for part in merged(partial[check.name] for partial in partials).parts.values()
        if not isinstance(part, int)
    )


def test_healthy_mail_leaves_counts_and_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "MOST_MOMENTS", 20)
    sizes = []
    for count in (40, 400):
        lines = [mail(30 * n, client) for n in range(count) for client in (f"@submission {LOGIN}",)]
        lines += [mail(30 * n + 10, SCRIPT) for n in range(count)]
        scan = scan_of(tmp_path / str(count), *lines, main_cf=MAIN, master_cf=MASTER)
        windows = equal(scan, 3)
        sizes.append(size(windows))
    assert max(sizes) < 80, "of 80 mails, and of 800"


def test_times_that_are_rounded_change_no_verdict_of_a_log_that_is_covered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "MOST_MOMENTS", 5)
    lines = [mail(60 * n, f"@submission {LOGIN}") for n in range(12)]
    scan = scan_of(tmp_path, *lines, main_cf=MAIN, master_cf=MASTER)
    result = same_in_all(scan, OUT)[OUT]
    assert (result.checked, result.eligible) == (12, 12)


Grouping = Callable[[list[Moments]], Moments]
GROUPINGS: list[Grouping] = [
    lambda some: some[0].merged(some[1:]),
    lambda some: some[-1].merged(some[:-1][::-1]),
    lambda some: some[0].merged(some[1:3]).merged([some[3].merged(some[4:])]),
]


@pytest.mark.parametrize("most", [1, 7, 60, 500, 5_000])
@pytest.mark.parametrize("seed", range(4))
def test_moments_follow_from_all_times_in_whatever_grouping(most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = 900
    frame = pd.DataFrame(
        {
            "who": rng.choice(["a", "b", "c"], size),
            "domain": rng.choice([f"@{n}.example" for n in range(40)], size),
            "time": rng.integers(0, 10**6, size) * 10**8,
        }
    )
    parts = [
        Moments.of(frame.iloc[rows], ["time"], ["domain"], most) for rows in np.array_split(rng.permutation(size), 6)
    ]
    found = [grouping(parts) for grouping in GROUPINGS]
    frames = [each.frame.sort_values(["who", "domain", "time"], ignore_index=True) for each in found]
    assert all(frames[0].equals(each) for each in frames)
    assert len({each.level for each in found}) == 1
    assert int(frames[0]["n"].sum()) == size
    assert len(frames[0]) <= most or found[0].level == len(spans.STEPS)
    exact = Moments.of(frame, ["time"], ["domain"], most)
    assert exact.frame.sort_values(["who", "domain", "time"], ignore_index=True).equals(frames[0])
