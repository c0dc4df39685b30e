"""Trainings over windows: a call, its move, its mail and their copies may lie in any windows, and the check says the same."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from checked import arrived, at, back, removed, sent, stored, to_dspam, write
from test_field_training import (
    ALICE,
    ANTISPAM,
    BOB,
    CALLS,
    DAEMON,
    DAY,
    MAILS,
    MOVES,
    START,
    VERDICTS,
    days_of,
    judged,
    missed,
    move,
    piped,
    row,
    signature,
)

import logscan
from logscan.checking.check import Check
from logscan.checking.judging import concluded, looked, wanted
from logscan.findings import Result
from logscan.scan import exporting
from logscan.scan import judged as judgements
from logscan.scan.judged import Signatures
from logscan.scan.scan import Scan
from logscan.scan.trainings import told
from logscan.scan.window import Window, windows_of
from logscan.tables import latest
from logscan.tables.latest import Latest
from logscan.tables.partials import Partial, merged

(CHECK,) = wanted(["training-misses-hash"])
FAR = 12 * DAY
"""Seconds between a mail and its training."""


def read(folder: Path, log: list[str], system: list[str], **texts: str) -> Scan:
    write(folder, mail_log=[*DAEMON, *log], **texts)
    if system:
        write(folder, system_log=system)
    return logscan.read(folder, jobs=1, year=2026, timezone="UTC")


def said(windows: Iterable[Window], scan: Scan, check: Check = CHECK) -> Result:
    (result,) = concluded([check], [looked([check], window) for window in windows], scan.log)
    return result


def scattered(scan: Scan, count: int, seed: int) -> list[Window]:
    """Return windows among which whole mails, and each other row on its own, are spread at random."""
    draw = np.random.default_rng(seed)
    return windows_of(scan, lambda first: draw.integers(0, count, len(first)))


def daily(scan: Scan) -> list[Window]:
    """Return one window a day, in an order of no meaning."""
    some = windows_of(scan, lambda first: (first // 10**9 - START) // DAY + 1)
    random.Random(1).shuffle(some)
    return some


def same(scan: Scan) -> Result:
    """Return what the check says of the whole; of any windows it must say the same."""
    whole = said([scan], scan)
    assert said(daily(scan), scan) == whole
    for count, seed in ((2, 1), (4, 2), (4, 3)):
        assert said(scattered(scan, count, seed), scan) == whole, (count, seed)
    return whole


# -- moves and their calls ---------------------------------------------------------------------------------------------


def test_moves_and_their_calls_may_lie_in_different_windows(tmp_path: Path) -> None:
    result = same(read(tmp_path, [*MAILS, *MOVES], [*VERDICTS, *CALLS]))
    assert (result.verdict, result.checked, result.eligible) == ("clear", 4, 4)


def test_of_moves_without_a_call_none_is_lost_and_none_is_added(tmp_path: Path) -> None:
    (found,) = same(read(tmp_path, [*MAILS, *MOVES], [*VERDICTS, *CALLS[1::2]], doveconf_n=ANTISPAM)).findings
    assert (found.cause, found.subject, found.count) == ("training-not-called", ALICE, 2)


def test_two_moves_at_once_take_one_call_that_names_no_mail_only_once(tmp_path: Path) -> None:
    pipe = piped(660, BOB, "sieve: pipe action: piped message to program `learn-spam.sh'")
    log = [*MAILS, *move(660, BOB, 60), *move(661, BOB, 180), pipe]
    (found,) = same(read(tmp_path, log, VERDICTS)).findings
    assert (found.cause, found.subject, found.count) == ("training-not-called", BOB, 1)


def test_a_job_of_the_next_night_is_found_in_its_own_window(tmp_path: Path) -> None:
    night = [row(DAY + 3600, "M", BOB, 60), row(DAY + 3601, "F", BOB, 180)]
    later = judged(2 * DAY, ALICE)
    scan = read(tmp_path, [*MAILS, *MOVES, *later], [*VERDICTS, *night, row(2 * DAY, "I", ALICE, 2 * DAY)])
    (found,) = same(scan).findings
    assert (found.subject, found.count) == (ALICE, 2)


def test_a_delivery_to_junk_is_no_move_though_its_mail_lies_in_another_window(tmp_path: Path) -> None:
    saved = f"{at(1)} dovecot: lmtp({ALICE})<90><s000000>: save: box=Junk, uid=1, msgid=<m0@example.net>, size=2000"
    mails = [line.replace("saved mail to INBOX", "saved mail to Junk") for line in MAILS]
    result = same(read(tmp_path, [*mails, saved, *MOVES], [*VERDICTS, *CALLS], doveconf_n=ANTISPAM))
    assert (result.verdict, result.checked, result.eligible) == ("clear", 4, 4)


def test_a_program_that_fails_because_the_mail_was_learned_before_is_none(tmp_path: Path) -> None:
    failed = piped(600, ALICE, "Error: sieve: uid=4: pipe action: failed to pipe message to program 'learn-spam.sh'")
    again = (
        "2026-01-10 10:10:00 #612(controller) <eb7984>; csession; rspamd_controller_learn_fin_task: "
        "cannot learn <m0@example.net>: already learned as spam, ignore it"
    )
    for name, texts, count in (("alone", {}, 1), ("again", {"rspamd_log": f"{again}\n"}, 0)):
        result = same(read(tmp_path / name, [*MAILS, failed], [], **texts))
        assert len([each for each in result.findings if each.cause == "training-call-failed"]) == count, name


# -- a mail, and its training much later -------------------------------------------------------------------------------


def test_whose_a_signature_is_may_be_told_many_windows_before_its_training(tmp_path: Path) -> None:
    log = [*MAILS, *missed(FAR, "alice", 0, "/var/spool/dspam/data/local")]
    (found,) = same(read(tmp_path, log, VERDICTS)).findings
    assert (found.cause, found.subject, found.confidence) == ("login-without-domain", "alice", "high")
    assert found.cases[0]["belongs_to"] == ALICE
    assert [each.source.rpartition("/")[2] for each in found.evidence] == ["mail.log", "system.log"]


def test_a_mail_that_was_learned_for_another_is_found_over_any_distance(tmp_path: Path) -> None:
    (found,) = same(read(tmp_path, MAILS, [*VERDICTS, row(FAR, "M", BOB, 0)])).findings
    assert (found.cause, found.subject, found.cases[0]["belongs_to"]) == ("shared-mailbox", BOB, ALICE)


def test_without_a_log_of_dspam_the_second_tells_whose_a_mail_was(tmp_path: Path) -> None:
    log = [*MAILS, *missed(FAR, "alice", 120, "/var/spool/dspam/data/local")]
    (found,) = same(read(tmp_path, log, [])).findings
    assert (found.cause, found.confidence) == ("login-without-domain", "medium")
    assert found.cases[0]["belongs_to"] == ALICE


def aliased(second: int, expanded: bool) -> list[str]:
    """A mail to sales, which means alice: expanded behind DSPAM, or before it."""
    n, ident, sales = f"{second:06d}", f"m{second}@example.net", "sales@example.org"
    to, asked = (ALICE, sales) if expanded else (sales, "")
    behind = "" if expanded else sales
    return [
        *arrived(second, f"A{n}", ident),
        *back(second, f"B{n}", ident),
        to_dspam(second, f"A{n}", to, asked),
        *stored(second + 1, f"B{n}", ALICE, f"s{n}", ident, behind),
        *removed(second + 1, f"A{n}", f"B{n}"),
    ]


@pytest.mark.parametrize(("mended", "state"), [(False, "active"), (True, "residual")])
def test_who_is_behind_an_alias_is_known_in_every_window(tmp_path: Path, mended: bool, state: str) -> None:
    log = [*MAILS, *aliased(300, False), *(aliased(DAY, True) if mended else [])]
    system = [*VERDICTS, row(300, "S", "sales@example.org", 300)]
    (found,) = same(read(tmp_path, [*log, *missed(FAR, "alice", 300)], system)).findings
    assert (found.cause, found.state, found.cases[0]["belongs_to"]) == (
        "alias-not-expanded", state, "sales@example.org"
    )  # fmt: skip


def test_a_login_that_was_completed_later_is_mended_in_another_window(tmp_path: Path) -> None:
    login = (
        f"{at(DAY)} dovecot: imap-login: Login: user=<alice>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, mpid=7, TLS"
    )
    for name, more, state in (("mended", [], "mended"), ("still", [login], "active")):
        log, system = days_of("alice", 2)
        found = same(read(tmp_path / name, [*log, *more], system)).findings
        assert {each.state for each in found if each.cause == "login-without-domain"} == {state}, name


# -- copies and echoes -------------------------------------------------------------------------------------------------


def own_log(folder: Path, user: str, rows: list[str]) -> None:
    """Write what DSPAM writes to a user's own log: the columns of system.log without the seconds and the user."""
    local, _, domain = user.partition("@")
    place = folder / "data" / domain / local
    place.mkdir(parents=True)
    columns = [each.split("\t") for each in rows if f"\t{user}\t" in each]
    (place / f"{local}.log").write_text("".join("\t".join([*each[:5], *each[7:]]) + "\n\n" for each in columns))


def test_calls_in_the_users_logs_are_counted_once_wherever_their_copies_are(tmp_path: Path) -> None:
    write(tmp_path, dspam_conf="Home /var/spool/dspam\nUserLog on\nSystemLog on\n")
    for user in (ALICE, BOB):
        own_log(tmp_path, user, [*VERDICTS, *CALLS])
    scan = read(tmp_path, [*MAILS, *MOVES], [*VERDICTS, *CALLS])
    assert len(scan.events("trainings")) == 8
    result = same(scan)
    assert (result.verdict, result.checked) == ("clear", 4)
    assert len(scan.trainings) == 4


def test_a_verdict_in_a_users_log_is_no_second_line_of_evidence(tmp_path: Path) -> None:
    own_log(tmp_path / "own", ALICE, VERDICTS)
    system = read(tmp_path / "system", MAILS, VERDICTS)
    own = read(tmp_path / "own", [], [])
    partials = [Partial(judgements.look(each)) for each in (own, system)]
    wanted_signatures = pd.Series([signature(0)], dtype="str")
    alone = Signatures(partials[1])
    for both in (merged(partials), merged(partials[::-1])):
        assert Signatures(both).lines(wanted_signatures) == alone.lines(wanted_signatures)
        assert Signatures(both).owners(wanted_signatures) == [ALICE]
    assert len(Signatures(partials[0]).lines(wanted_signatures)[signature(0)]) == 1


@pytest.mark.parametrize("distance", [0, 1, 2, 3])
def test_the_echo_of_a_miss_is_none_of_its_own_in_any_window(tmp_path: Path, distance: int) -> None:
    echo = f"{at(900 + distance)} dspam[500]: Signature retrieval for '{signature(0)}' failed"
    scan = read(tmp_path, [*MAILS, *missed(900, "alice", 0, "/var/spool/dspam/data/local"), echo], VERDICTS)
    result = same(scan)
    # Beyond two seconds it is a call of its own, whose user isn't told.
    assert sum(each.count for each in result.findings) == (1 if distance < 3 else 2)
    assert len(scan.trainings) == (1 if distance < 3 else 2)


def test_calls_of_all_windows_are_those_of_the_whole(tmp_path: Path) -> None:
    log, system = days_of("alice", 3)
    scan = read(tmp_path, [*log, *MOVES], [*system, *CALLS])
    shown = ["time", "source", "line", "outcome", "user", "class", "signature", "made"]
    whole = scan.trainings[shown].astype("str")
    for seed in range(4):
        partial = merged(looked([CHECK], window)[CHECK.name] for window in scattered(scan, 6, seed))
        assert told(partial.frame("calls"))[shown].astype("str").equals(whole), seed


@pytest.mark.parametrize("most", [1_000_000, 0])
def test_the_table_of_calls_knows_the_mails_of_other_windows(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "MOST_CALLS", most)
    monkeypatch.setattr(exporting, "MOST_APART", 2)
    log, system = days_of("alice", 3)
    scan = read(tmp_path / "log", [*log, *MOVES], [*system, *CALLS])
    shown = ["time", "source", "line", "outcome", "user", "class", "signature", "made", "inferred", "belongs_to"]
    order = ["time", "source", "line"]
    whole = scan.trainings[shown].astype("str").sort_values(order, ignore_index=True)
    assert (whole["belongs_to"].notna()).any()
    for seed in range(2):
        writer = exporting.TableWriter()
        try:
            for window in scattered(scan, 6, seed):
                writer.add(window)
            writer.put(tmp_path / str(seed), 0)
        finally:
            writer.close()
        found = pd.read_parquet(tmp_path / str(seed) / "trainings.parquet")
        assert list(found.columns) == list(scan.trainings.columns)
        assert found["time"].is_monotonic_increasing or not most
        found = found[shown].astype("str").sort_values(order, ignore_index=True)
        assert found.equals(whole), seed


# -- bounds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_the_latest_rows_are_the_same_in_any_grouping(seed: int) -> None:
    draw = random.Random(seed)
    frame = pd.DataFrame({"time": [draw.randrange(9) for _ in range(40)], "row": range(40)})
    frame["word"] = pd.Series([draw.choice("abc") for _ in range(40)], dtype="str").astype("category")
    whole = Latest.latest(frame, 10)
    assert len(whole.frame) <= 10
    assert len(whole.frame) + whole.left == 40
    assert (whole.frame["time"] > whole.until).all()
    cut = np.array([draw.randrange(4) for _ in range(40)])
    parts = [Partial({"x": Latest.latest(frame[cut == n], 10)}) for n in range(4)]
    draw.shuffle(parts)
    a, b, c, d = parts
    for partial in (merged(parts), a + (b + (c + d)), ((a + b) + c) + d, (a + d) + (c + b)):
        part = partial.parts["x"]
        assert isinstance(part, Latest)
        assert (part.left, part.until) == (whole.left, whole.until)
        rows = part.frame.sort_values("row", ignore_index=True).astype({"word": "str"})
        assert rows.equals(whole.frame.sort_values("row", ignore_index=True).astype({"word": "str"}))


def test_what_is_too_old_to_be_kept_is_said_and_nothing_is_called_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = read(tmp_path, [*MAILS, *MOVES], [*VERDICTS, *CALLS])
    monkeypatch.setattr(latest, "MOST_LATEST", 2)
    result = same(scan)
    assert result.verdict == "blind"
    assert any("is kept for the latest" in reason for reason in result.blind_because)
    assert result.checked < result.eligible


def test_a_miss_whose_mail_is_too_old_to_be_kept_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = read(tmp_path, [*MAILS, *missed(900, "zoe", 60)], VERDICTS)
    monkeypatch.setattr(latest, "MOST_LATEST", 2)
    (found,) = same(scan).findings
    assert (found.cause, found.subject) == ("unknown", "zoe@example.org")
    assert "kept for the latest" in found.why


def test_hand_overs_that_took_for_ever_tell_nothing_and_hang_nothing(tmp_path: Path) -> None:
    log = [line.replace("delays=0.1/0.1/0.1/0.7", "delays=0/0/0/9e99") for line in MAILS]
    log = [*log, sent(200, "A000000", ALICE, "x[192.0.2.9]:25", "250 ok"), *missed(900, "zoe", 60)]
    (found,) = same(read(tmp_path, log, [])).findings
    assert (found.subject, found.count) == ("zoe@example.org", 1)
