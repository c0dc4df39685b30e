"""A log in two days, each looked at by a run of its own: the second knows what the first remembered, and tells new lines only."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import logscan
from logscan.checking.check import all_checks
from logscan.checking.copies import LINE_BITS, lines_at
from logscan.checking.judging import concluded, looked, together, wanted
from logscan.checking.remembering import NOWHERE, PLACES, moved, pasts_of, remembered, sources_of
from logscan.findings import Result
from logscan.samples import stories, story
from logscan.scan import activity
from logscan.scan.pasts import fitting, newest
from logscan.scan.window import Window, windows_of
from logscan.tables.partials import Keyed, Partial
from logscan.tables.storing import packed

LAB = Path(__file__).parent / "data" / "lab"
FOLDER = Path(__file__).parent / "data" / "cases"
REMEMBERING = [check for check in all_checks() if check.remember is not None]
NAMES = [check.name for check in REMEMBERING]
NONE: dict[str, Partial] = {}

Told = list[tuple[str, str, int]]


def at(when: str) -> int:
    """Return the UTC ns of a moment of the cases' year, ``03-02 09:30``."""
    return int(datetime.fromisoformat(f"2026-{when}:00").replace(tzinfo=UTC).timestamp()) * 10**9


def case_of(check: str, name: str) -> dict[str, Any]:
    cases = tomllib.loads((FOLDER / f"{check}.toml").read_text())["case"]
    return next(case for case in cases if case["name"].startswith(name))


def window_of(lines: Sequence[str], case: dict[str, Any], folder: Path, between: tuple[int, int]) -> Window:
    """Return some lines of a case as a log of their own, with the case's configuration and its other logs of that time."""
    folder.mkdir()
    (folder / "mail.log").write_text("".join(f"{line}\n" for line in lines))
    for name, text in case.get("config", {}).items():
        kept = text.lstrip("\n")
        if name.endswith(".log"):
            low, high = between
            kept = "".join(f"{line}\n" for line in kept.splitlines() if low <= time_of(line) < high)
        (folder / name).write_text(kept)
    return logscan.read(folder, jobs=1, year=2026, timezone="UTC")


def time_of(line: str) -> int:
    """Return when a line was written (UTC ns): of syslog, of DSPAM's own log, of rspamd's."""
    if line[:10].isdigit():
        return int(line[:10]) * 10**9
    form, text = (
        ("%Y-%m-%d %H:%M:%S", line[:19].replace("T", " "))
        if line[:2] == "20"
        else ("%Y %b %d %H:%M:%S", f"2026 {line[:15]}")
    )
    return int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()) * 10**9


def run(window: Window, names: Sequence[str], pasts: dict[str, Partial], now: int) -> tuple[list[Result], bytes]:
    """Return what the checks say of a window, with what was remembered, and what is to be remembered now."""
    checks = wanted(names)
    seen = _seen(window, tuple(names))
    window.log.pasts = pasts
    results = concluded(checks, [seen], window.log)
    window.log.pasts = {}
    return results, remembered(checks, seen, pasts, now)


@functools.lru_cache(16)
def _seen(window: Window, names: tuple[str, ...]) -> dict[str, Partial]:
    checks = wanted(names)
    return together(checks, [looked(checks, window)])


def told(result: Result) -> Told:
    return [(each.cause, each.subject, each.count) for each in result.findings]


def two_days(check: str, case: dict[str, Any], cut: int, folder: Path) -> tuple[Result, Result, Result]:
    """Return what is said of the first day of a case, of the second with the past, and of the second without it."""
    lines = case["log"].strip("\n").splitlines()
    days = [line for line in lines if time_of(line) < cut], [line for line in lines if time_of(line) >= cut]
    assert all(days), [len(day) for day in days]
    one = window_of(days[0], case, folder / "one", (0, cut))
    (first,), blob = run(one, [check], NONE, time_of(days[0][-1]))
    two = window_of(days[1], case, folder / "two", (cut, 2**63))
    (second,), _ = run(two, [check], pasts_of(blob), time_of(days[1][-1]))
    (alone,), _ = run(two, [check], NONE, time_of(days[1][-1]))
    return first, second, alone


NEEDING = [
    # check, case, cut, what the second day tells with the past, and what it would tell without
    (
        "guess-succeeded",
        "a network tries four accounts and gets in by a fifth",
        "03-02 09:30",
        ("found", [("other-accounts", "bob@example.org", 1)]),
        ("clear", []),
    ),
    (
        "guess-succeeded",
        "one account, tried in a rush until it opens",
        "03-02 09:26",
        ("found", [("same-account", "alice@example.org", 1)]),
        ("clear", []),
    ),
    (
        "guess-succeeded",
        "who got in isn't told",
        "03-02 09:30",
        ("blind", [("name-not-logged", "203.0.113.10", 1)]),
        ("blind", []),
    ),
    ("guess-succeeded", "it is nine days ago that the network guessed", "03-05 00:00", ("clear", []), ("clear", [])),
    (
        "guess-succeeded",
        "the account got in from there before anybody failed",
        "03-02 09:15",
        ("clear", []),
        ("found", [("other-accounts", "alice@example.org", 1)]),
    ),
    (
        "password-guessing",
        "one address goes through five names slowly",
        "03-02 17:00",
        ("found", [("one-source", "203.0.113.9", 5)]),
        ("clear", []),
    ),
    (
        "stale-password",
        "a telephone has the old password",
        "03-02 16:00",
        ("found", [("old-password", "alice@example.org", 1)]),
        ("blind", []),
    ),
    ("stale-password", "six failures in two months", "04-20 00:00", ("clear", []), ("clear", [])),
    (
        "account-misused",
        "a program on the owner's own machine floods strangers",
        "03-11 00:00",
        ("found", [("burst", "leo@example.org", 15)]),
        ("blind", [("no-past", "leo@example.org", 15)]),
    ),
    (
        "account-misused",
        "the same, slow, with little past",
        "03-02 18:00",
        ("found", [("new-network", "leo@example.org", 8)]),
        ("blind", [("no-past", "leo@example.org", 8)]),
    ),
    (
        "account-misused",
        "each mail from another network, over midnight",
        "03-03 00:00",
        ("found", [("many-networks", "leo@example.org", 6)]),
        ("clear", []),
    ),
    (
        "account-misused",
        "much from a new network, to people it always writes to",
        "03-10 00:00",
        ("clear", []),
        ("blind", [("no-past", "leo@example.org", 35)]),
    ),
    (
        "account-misused",
        "a shop in a provider's cloud",
        "03-05 00:00",
        ("clear", []),
        ("found", [("many-networks", "shop@example.org", 12)]),
    ),
    (
        "training-misses-hash",
        "a mail is trained ten days later, when its signature was purged",
        "03-05 00:00",
        ("found", [("signature-expired", "nora@example.org", 1)]),
        ("found", [("unknown", "nora@example.org", 1)]),
    ),
    (
        "training-misses-hash",
        "an alias reached the filter unexpanded",
        "03-02 09:01",
        ("found", [("alias-not-expanded", "nora@example.org", 1)]),
        ("found", [("unknown", "nora@example.org", 1)]),
    ),
    (
        "training-misses-hash",
        "the login name isn't the address",
        "03-02 09:01",
        ("found", [("login-is-not-address", "nb17", 1)]),
        ("found", [("login-without-domain", "nb17", 1)]),
    ),
    (
        "correspondent-refused",
        "a user's correspondent is refused by a blocklist",
        "03-02 09:05",
        ("found", [("refused", "kim@example.net", 2)]),
        ("blind", []),
    ),
    (
        "duplicate-delivery",
        "a sender sends the same mail twice",
        "03-02 09:05",
        ("clear", [("sender-resent", "nora@example.org", 1)]),
        ("clear", []),
    ),
    (
        "duplicate-delivery",
        "a device gives every mail the same message-id",
        "03-02 09:05",
        ("clear", []),
        ("clear", []),
    ),
    (
        "volume-unusual",
        "on the sixth day there is a burst for two hours",
        "03-09 00:00",
        ("found", [("more-bounces", "mx7", 1), ("more-mail", "mx7", 1)]),
        ("blind", []),
    ),
    ("volume-unusual", "each day has such a burst at another hour", "03-09 00:00", ("clear", []), ("blind", [])),
    (
        "role-address-refused",
        "the address that the DMARC record names is unknown",
        "03-03 00:00",
        ("found", [("report-address", "dmarc-reports@example.org", 1)]),
        ("clear", [("report-address", "dmarc-reports@example.org", 1)]),
    ),
    (
        "outgoing-unsigned",
        "OpenDKIM has no key for one of two domains",
        "03-02 09:04",
        ("found", [("no-key-for-domain", "example.com", 3)]),
        ("blind", []),
    ),
    (
        "own-domain-fails-dmarc",
        "a newsletter's service sends for the domain, day by day",
        "03-08 00:00",
        ("found", [("steady-sender", "example.org from 203.0.113.0/24", 1)]),
        ("blind", []),
    ),
    (
        "own-domain-fails-dmarc",
        "forgers from many networks or for four days",
        "03-12 00:00",
        ("clear", []),
        ("clear", []),
    ),
    (
        "dead-destination",
        "a member of an alias is unknown elsewhere",
        "03-05 00:00",
        ("found", [("alias-member", "old@example.net", 1)]),
        ("blind", []),
    ),
    (
        "dead-destination",
        "a member of a list is unknown",
        "03-05 00:00",
        ("found", [("list-member", "members@mx7.example.org", 2)]),
        ("blind", []),
    ),
    (
        "nobody-reads",
        "the last login is five weeks old; others log in without their domain",
        "04-06 00:00",
        ("found", [("unread", "nora@example.org", 1)]),
        ("blind", []),
    ),
    ("nobody-reads", "all are read, one under the bare name", "04-04 00:00", ("clear", []), ("blind", [])),
    (
        "mail-stuck",
        "greylisted for hours and still waiting, while others",
        "03-02 10:30",
        ("found", [("greylisted", "example.net", 1)]),
        ("clear", [("greylisted", "example.net", 1)]),
    ),
    (
        "sends-as-others",
        "a login sends under another account of its user",
        "03-02 09:05",
        ("found", [("foreign-sender", "nora@example.org", 3)]),
        ("clear", [("foreign-sender", "nora@example.org", 3)]),
    ),
]


@pytest.mark.parametrize(
    ("check", "name", "cut", "expected", "otherwise"), NEEDING, ids=[f"{e[0]}: {e[1]}" for e in NEEDING]
)
def test_the_second_day_is_judged_by_the_first(
    check: str, name: str, cut: str, expected: tuple[str, Told], otherwise: tuple[str, Told], tmp_path: Path
) -> None:
    _, second, alone = two_days(check, case_of(check, name), at(cut), tmp_path)
    assert (second.verdict, told(second)) == expected
    assert (alone.verdict, told(alone)) == otherwise
    if check not in DECIDED_BY_THE_PAST:
        assert second.eligible == alone.eligible, "counts are of the new lines"


DECIDED_BY_THE_PAST = ("correspondent-refused", "volume-unusual", "nobody-reads")
"""Whose eligible cases are told by the past only: who is a correspondent; which hours lie among the last day's; whose mail it is
that nobody reads."""


@pytest.mark.parametrize(("day", "expected"), [("6", ["silence"]), ("4", [])])
def test_a_silence_is_told_by_the_days_before_it_once(day: str, expected: list[str], tmp_path: Path) -> None:
    case = case_of("log-gap", "twenty minutes without a line on one of five working days, in which")
    # The silent day is the fourth of March, or changes its place with the last one.
    log = (
        case["log"].replace(f"Mar  {day} ", "Mar  X ").replace("Mar  4 ", f"Mar  {day} ").replace("Mar  X ", "Mar  4 ")
    )
    lines = sorted(log.strip("\n").splitlines(), key=time_of)
    first, second, alone = two_days("log-gap", case | {"log": "\n".join(lines)}, at("03-06 00:00"), tmp_path)
    assert [each.cause for each in second.findings] == expected
    assert (alone.verdict, alone.findings) == ("blind" if expected else "clear", [])
    # The night before it is longer than twenty hours here, and compared with other weeks only.
    assert second.verdict == ("found" if expected else "blind")
    assert not first.findings


def clear_cases(check: str) -> list[Any]:
    """Return some of the cases in which a check rightly finds nothing, and that have enough lines for two days."""
    cases = tomllib.loads((FOLDER / f"{check}.toml").read_text())["case"]
    clear = [case for case in cases if case["verdict"] == "clear" and not case["findings"]]
    some = [case for case in clear if len(case["log"].strip("\n").splitlines()) > 5]
    return [pytest.param(check, case, id=f"{check}: {case['name']}") for case in some[::5]]


@functools.cache
def cut_of_story(name: str) -> tuple[Window, list[Window]]:
    """Return a log whole, and the windows of its three days."""
    scan = logscan.read(story(name) if name in stories() else LAB / name)
    times = np.sort(scan.entries["first"].dt.as_unit("ns").astype("int64").to_numpy())
    cuts = [times[len(times) // 3], times[2 * len(times) // 3]]
    return scan, windows_of(scan, lambda first: np.searchsorted(cuts, first))


@pytest.mark.parametrize(("check", "case"), [each for name in NAMES for each in clear_cases(name)])
def test_what_is_right_stays_right_when_it_is_told_in_two_days(
    check: str, case: dict[str, Any], tmp_path: Path
) -> None:
    times = [time_of(line) for line in case["log"].strip("\n").splitlines()]
    pauses = np.diff(times)[len(times) // 3 : -2]
    cut = times[len(times) // 3 + int(np.argmax(pauses)) + 1]
    _, second, alone = two_days(check, case, cut, tmp_path)
    assert [each.cause for each in second.findings if each.counts and told(second) != told(alone)] == []
    assert second.verdict != "blind" or alone.verdict == "blind", second.blind_because


LOGS = ["mixed-day", "password-guessing"]


@pytest.mark.parametrize("name", LOGS)
def test_a_day_without_a_line_tells_nothing_of_those_before(name: str) -> None:
    scan, days = cut_of_story(name)
    now, pasts = 0, NONE
    for day in days:
        now = int(day.entries["first"].max().value)
        _, blob = run(day, NAMES, pasts, now)
        pasts = pasts_of(blob)
    quiet = windows_of(scan, lambda first: np.ones(len(first), np.int64))[0]
    assert not len(quiet.entries)
    silent, after = run(quiet, NAMES, pasts, now)
    alone, _ = run(quiet, NAMES, NONE, now)
    for result, other in zip(silent, alone, strict=True):
        if result.name == "stray-dictionary":
            continue  # DSPAM's home tells it, and the past to whom mail comes
        assert told(result) == told(other), result.name
        assert (result.checked, result.eligible) == (other.checked, other.eligible), result.name
    assert not scan.log.notes or not any("begins anew" in note for note in scan.log.notes)
    assert pasts_of(after).keys() == pasts.keys(), "nothing is forgotten on a day without a line"
    assert len(after) == pytest.approx(len(packed(Partial())) + len(blob), rel=0.1)


@pytest.mark.parametrize("name", LOGS)
def test_what_is_remembered_follows_from_the_lines_not_from_the_runs(name: str) -> None:
    _, days = cut_of_story(name)
    now = int(days[-1].entries["first"].max().value)
    seen = [_seen(day, tuple(NAMES)) for day in days]
    once = pasts_of(remembered(REMEMBERING, together(REMEMBERING, seen), NONE, now))
    by_day = NONE
    for day in seen:
        by_day = pasts_of(remembered(REMEMBERING, day, by_day, now))
    for check, partial in once.items():
        assert partial.parts.keys() == by_day[check].parts.keys(), check
        for part in partial.parts:
            if part in ("sent", "expanded"):
                continue  # an hour that lies in two days is two rows; what went right before it went wrong isn't asked for
            assert len(partial.frame(part)) == len(by_day[check].frame(part)), (check, part)


def test_checks_that_share_parts_remember_them_once() -> None:
    _, days = cut_of_story("password-guessing")
    checks = wanted(["password-guessing", "guess-succeeded", "stale-password", "account-misused"])
    seen = together(checks, [looked(checks, days[0])])
    whole = pasts_of(remembered(checks, seen, NONE, 2**62 // 2))
    parts = [whole[check.name].parts["tries"] for check in checks]
    assert all(part is parts[0] for part in parts)


def test_where_nothing_was_remembered_nothing_is_asked_for() -> None:
    _, days = cut_of_story("mixed-day")
    now = int(days[0].entries["first"].max().value)
    seen = _seen(days[0], tuple(NAMES))
    empty = dict.fromkeys(NAMES, Partial())
    assert pasts_of(remembered(REMEMBERING, empty, NONE, now)) == {}
    kept = pasts_of(remembered(REMEMBERING, empty, pasts_of(remembered(REMEMBERING, seen, NONE, now)), now))
    assert kept.keys() == pasts_of(remembered(REMEMBERING, seen, empty, now)).keys()


def test_the_past_of_a_check_that_did_not_run_is_kept() -> None:
    _, days = cut_of_story("mixed-day")
    now = int(days[0].entries["first"].max().value)
    _, blob = run(days[0], NAMES, NONE, now)
    _, after = run(days[1], ["volume-unusual"], pasts_of(blob), now)
    assert pasts_of(after).keys() == pasts_of(blob).keys()
    assert pasts_of(after)["log-gap"].frame("active hosts").equals(pasts_of(blob)["log-gap"].frame("active hosts"))


def test_lines_of_the_past_lead_nowhere_or_where_their_source_is_now() -> None:
    scan, days = cut_of_story("mixed-day")
    _, blob = run(days[0], NAMES, NONE, int(days[0].entries["first"].max().value))
    assert sources_of(pasts_of(blob)) == set()
    there = {number: number for number in range(len(scan.log.read.sources))}
    same, gone = pasts_of(blob, there), pasts_of(blob)
    known = same["duplicate-delivery"].frame("single")["row"].sort_values()
    nowhere = gone["duplicate-delivery"].frame("single")["row"]
    assert sources_of(same)
    assert sources_of(same) <= there.keys()
    assert known.max() < len(there) << LINE_BITS
    assert nowhere.min() >= NOWHERE
    assert nowhere.nunique() == known.nunique(), "lines tell copies apart still"
    assert lines_at(scan.log, nowhere.tolist()) == []
    assert len(lines_at(scan.log, known.tolist()[:3])) == 3
    later = pasts_of(blob, {number: number + 7 for number in there})
    assert (
        later["duplicate-delivery"].frame("single")["row"].sort_values().to_numpy()
        == (known + (7 << LINE_BITS)).to_numpy()
    ).all()
    signatures = [each["training-misses-hash"].frame("signatures")["source"] for each in (same, gone, later)]
    assert set(signatures[1]) == {-1}
    assert (signatures[0] + 7 == signatures[2]).all()
    again = moved(gone["duplicate-delivery"], {0: 0}, 5)
    assert set(again.frame("single")["row"]) == set(nowhere), "what leads nowhere stays there"


def test_runs_are_told_apart_where_their_lines_have_one_number() -> None:
    part = Keyed.of({"key": np.arange(3), "place": np.array([5, 6, -1])}, least=["place"])
    one, other = (moved(Partial({"a": part}), {}, salt).frame("a")["place"].tolist() for salt in (1, 2))
    assert len({*one[:2], *other[:2]}) == 4
    assert one[2] == other[2] == -1


def test_a_source_is_a_source_only_beside_a_line() -> None:
    hashed = Keyed.of({"source": np.array([2**40, -(2**50)]), "arrived": np.array([1, 2])}, most=["arrived"])
    assert sorted(moved(Partial({"asked": hashed}), {0: 3}).frame("asked")["source"]) == [-(2**50), 2**40]
    assert sources_of({"a": Partial({"asked": hashed})}) == set()


@pytest.mark.parametrize("name", LOGS)
def test_every_column_that_tells_lines_is_moved(name: str) -> None:
    scan, days = cut_of_story(name)
    sources = scan.log.read.sources
    seen = together(REMEMBERING, [_seen(day, tuple(NAMES)) for day in days])
    kept = {check.name: check.remember(seen[check.name], 0) for check in REMEMBERING if check.remember}
    for check, partial in kept.items():
        for part, value in partial.parts.items():
            frame = value.frame if not isinstance(value, int) else pd.DataFrame()
            for column in set(frame.columns) - PLACES:
                if frame[column].dtype.kind not in "iu" or column in ("signature", "ident"):
                    continue
                numbers = frame[column].to_numpy(np.int64)
                places = numbers[(numbers >= 2**LINE_BITS) & (numbers < len(sources) << LINE_BITS)]
                assert not len(places), (check, part, column)


def test_a_past_of_another_version_of_a_check_is_left_aside_and_said() -> None:
    _, days = cut_of_story("mixed-day")
    now = int(days[0].entries["first"].max().value)
    _, blob = run(days[0], NAMES, NONE, now)
    pasts = pasts_of(blob)
    old = pasts["volume-unusual"].frame("hours").rename(columns={"refused": "turned_away"})
    other = Keyed.of(old, sums=["mails", "turned_away", "deferred", "bounced"])
    pasts["volume-unusual"] = Partial({"hours": other})
    window = days[1]
    before = list(window.log.notes)
    run(window, ["volume-unusual"], pasts, now)
    (note,) = window.log.notes[len(before) :]
    window.log.notes[:] = before
    assert note.startswith("what earlier runs remembered for volume-unusual is of another version")
    kept, strange = fitting(pasts, {"volume-unusual": Partial({"hours": replace(other)})})
    assert strange == []
    assert kept == pasts


def test_the_newest_rows_are_kept_and_those_of_one_time_all_or_none() -> None:
    part = Keyed.of(
        {"key": np.arange(6), "last": np.array([1, 2, 3, 3, 4, 5]), "n": np.ones(6, np.int64)},
        sums=["n"],
        most=["last"],
    )
    assert sorted(newest(part, "last", 2, 9).frame["last"]) == [2, 3, 3, 4, 5]
    assert sorted(newest(part, "last", 0, 3).frame["last"]) == [4, 5]
    assert sorted(newest(part, "last", 0, 4).frame["last"]) == [3, 3, 4, 5]


@pytest.mark.parametrize("seconds", range(0, 130, 7))
def test_a_past_may_begin_within_a_span(seconds: int, tmp_path: Path) -> None:
    """Wherever the horizon cuts, each span of lines that is left has a first line and a last one."""
    lines = sorted({0, 3, 20, 31, 32, 44, 59, 60, 61, 75, 89, 90, 119, 120, 121, 149, 200, 260})
    base = 1_790_000_000
    text = "".join(
        f"{datetime.fromtimestamp(base + at, UTC):%Y-%m-%dT%H:%M:%S}+00:00 mx1 postfix/qmgr[7]: {at:04X}A1B2C3: removed\n"
        for at in lines
    )
    (tmp_path / "mail.log").write_text(text)
    window = logscan.read(tmp_path, jobs=1)
    now = (base + seconds) * 10**9 + activity.PAST_DAYS * 86_400 * 10**9
    past = Partial(activity.remember(Partial(activity.look(window)), now))
    for each in activity.activity(past):
        assert len(each.first) == len(each.last)
        assert (each.first <= each.last).all()
        assert (each.first[1:] > each.last[:-1]).all()
        each.silences(10)
