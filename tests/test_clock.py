"""Clocks: years and zones are found from what else is known, and nothing jumps a year for a late line."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.clocks.model import Anchor, Solution, SourceClock
from logscan.clocks.solving import host_timezone, solve
from logscan.clocks.wall import NEVER, Pass, naive, to_utc
from logscan.clocks.zones import Steps, fixed, named, zone_name
from logscan.sources import rotation

SECOND = 10**9
HOUR = 3600 * SECOND
DAY = 24 * HOUR
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NEW_YORK = zoneinfo.ZoneInfo("America/New_York")
START = datetime(2024, 1, 1, tzinfo=UTC)


def wall(text: str) -> int:
    """Return the wall clock of ``MM-DD HH:MM:SS``: nanoseconds in a leap year."""
    return round((datetime.fromisoformat(f"2024-{text}").replace(tzinfo=UTC) - START).total_seconds()) * SECOND


def utc(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def iso(times: npt.NDArray[np.int64]) -> list[str]:
    return [datetime.fromtimestamp(int(time) // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S") for time in times]


def epoch(text: str) -> float:
    return utc(text) / SECOND


def clock(name: str, first: str, last: str, *, turns: int = 0, mtime: str | None = None, **more: object) -> SourceClock:
    return SourceClock(
        name, wall(first), wall(last), turns, min(0, turns), max(0, turns),
        epoch(mtime) if mtime else None, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def anchor(source: int, local: str, zone: tzinfo, *, turn: int = 0, slack: int = SECOND) -> Anchor:
    """Return the anchor of a line at this local time (with year)."""
    at = datetime.fromisoformat(local).replace(tzinfo=zone)
    return Anchor(source, wall(local[5:]), turn, round(at.timestamp()) * SECOND, slack, slack)


def converted(stamps: list[str], year: int, zone: tzinfo, previous: int | None = None) -> list[str]:
    clocks = np.array([wall(stamp) for stamp in stamps], np.int64)
    return iso(to_utc(clocks, np.zeros(len(stamps), np.int16), year, zone, state=Pass(previous)))


def years(solution: Solution) -> list[int]:
    return [solution.base_year[key] for key in sorted(solution.base_year)]


NOW = epoch("2026-01-05 12:00:00")

# --- conversion


def test_29_february_is_1_march_in_a_common_year() -> None:
    assert converted(["02-28 12:00:00", "02-29 12:00:00", "03-01 12:00:00", "12-31 00:00:00"], 2025, UTC) == [
        "2025-02-28 12:00:00",
        "2025-03-01 12:00:00",
        "2025-03-01 12:00:00",
        "2025-12-31 00:00:00",
    ]
    assert converted(["02-29 12:00:00"], 2024, UTC) == ["2024-02-29 12:00:00"]


def test_a_turn_is_a_year() -> None:
    clocks = np.array([wall("12-31 23:59:59"), wall("01-01 00:00:00"), wall("12-31 23:59:58"), -1], np.int64)
    turns = np.array([0, 1, 0, 0], np.int16)
    times = to_utc(clocks, turns, 2025, UTC)
    assert iso(times[:3]) == ["2025-12-31 23:59:59", "2026-01-01 00:00:00", "2025-12-31 23:59:58"]
    assert times[3] == NEVER


def test_summer_and_winter_have_their_offsets() -> None:
    assert converted(["01-10 12:00:00", "07-10 12:00:00"], 2026, BERLIN) == [
        "2026-01-10 11:00:00",
        "2026-07-10 10:00:00",
    ]
    assert converted(["01-10 12:00:00"], 2026, timezone(timedelta(hours=-3, minutes=-30))) == ["2026-01-10 15:30:00"]


def test_the_repeated_hour_is_told_by_the_step_back() -> None:
    stamps = [
        "10-25 01:59:00",
        "10-25 02:10:00",
        "10-25 02:59:58",
        "10-25 02:00:01",
        "10-25 02:30:00",
        "10-25 03:00:00",
    ]
    assert converted(stamps, 2026, BERLIN) == [
        "2026-10-24 23:59:00",
        "2026-10-25 00:10:00",
        "2026-10-25 00:59:58",
        "2026-10-25 01:00:01",
        "2026-10-25 01:30:00",
        "2026-10-25 02:00:00",
    ]


def test_jitter_in_the_repeated_hour_is_no_step_back() -> None:
    stamps = ["10-25 02:10:05", "10-25 02:10:01", "10-25 02:11:00"]
    assert converted(stamps, 2026, BERLIN)[-1] == "2026-10-25 00:11:00"


def test_the_repeated_hour_goes_on_in_the_next_piece() -> None:
    stamps = ["10-25 02:20:00", "10-25 02:30:00"]
    first, second = utc("2026-10-25 00:19:00"), utc("2026-10-25 01:19:00")
    assert converted(stamps, 2026, BERLIN, previous=first) == ["2026-10-25 00:20:00", "2026-10-25 00:30:00"]
    assert converted(stamps, 2026, BERLIN, previous=second) == ["2026-10-25 01:20:00", "2026-10-25 01:30:00"]


def test_a_file_that_starts_in_the_second_pass() -> None:
    stamps = ["10-25 02:20:00", "10-25 02:59:00", "10-25 03:00:00"]
    assert converted(stamps, 2026, BERLIN)[0] == "2026-10-25 01:20:00"


def test_the_hour_that_summer_time_skips_does_not_crash() -> None:
    assert converted(["03-29 01:59:59", "03-29 02:30:00", "03-29 03:00:00"], 2026, BERLIN) == [
        "2026-03-29 00:59:59",
        "2026-03-29 01:30:00",
        "2026-03-29 01:00:00",
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 366 * 86_400), min_size=1, max_size=40),
    st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
    st.integers(1975, 2100),
)
def test_conversion_agrees_with_zoneinfo(seconds: list[int], name: str, year: int) -> None:
    """Outside repeated and skipped hours the result is zoneinfo's."""
    zone = zoneinfo.ZoneInfo(name)
    clocks = np.array([second * SECOND for second in seconds], np.int64)
    turn = np.zeros(len(clocks), np.int16)
    for local, time in zip(naive(clocks, turn, year), to_utc(clocks, turn, year, zone), strict=True):
        there = datetime.fromtimestamp(int(local) // SECOND, UTC).replace(tzinfo=None)
        both = {there.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1)}
        assert int(time) / SECOND in both


# --- years


def test_december_read_in_january_is_last_year() -> None:
    solution = solve([clock("mail.log", "12-01 00:00:00", "12-31 10:00:00")], [], [], now=NOW, host_zone=UTC)
    assert years(solution) == [2025]
    assert solution.inferred_year
    assert any("mail.log" in note for note in solution.notes)


def test_a_log_over_new_year_ends_this_year() -> None:
    over = clock("mail.log", "12-30 00:00:00", "01-03 10:00:00", turns=1, mtime="2026-01-03 10:00:00")
    assert years(solve([over], [], [], now=NOW, host_zone=UTC)) == [2025]


def test_a_clock_slightly_ahead_of_the_file_s_time_is_not_last_year() -> None:
    ahead = clock("mail.log", "01-03 00:00:00", "01-03 20:00:00", mtime="2026-01-03 10:00:00")
    assert years(solve([ahead], [], [], now=NOW, host_zone=UTC)) == [2026]


def test_the_file_s_time_limits_the_year() -> None:
    old = clock("mail.log", "03-01 00:00:00", "03-31 00:00:00", mtime="2021-04-01 00:00:00")
    assert years(solve([old], [], [], now=NOW, host_zone=UTC)) == [2021]


def test_the_chain_of_a_rotated_set_goes_back_over_years() -> None:
    """Copied files have fresh times: the order of the set tells."""
    copied = "2026-01-04 00:00:00"
    chain = [
        clock("mail.log.3.gz", "05-01 00:00:00", "09-30 23:59:59", mtime=copied),
        clock("mail.log.2.gz", "10-01 00:00:00", "05-31 23:59:59", turns=1, mtime=copied),
        clock("mail.log.1", "06-01 00:00:00", "11-30 23:59:59", mtime=copied),
        clock("mail.log", "12-01 00:00:00", "01-04 00:00:00", turns=1, mtime=copied),
    ]
    assert years(solve(chain, [], [], now=NOW, host_zone=UTC)) == [2024, 2024, 2025, 2025]


def test_file_times_before_the_lines_that_a_user_dates_tell_nothing_of_the_set() -> None:
    """A log of a clock that is ahead: the files are as old as their copy, and their lines of the year the user names."""
    copied = "2026-01-04 00:00:00"
    chain = [
        clock("mail.log.2.gz", "12-31 23:00:00", "01-01 22:00:00", turns=1, mtime=copied),
        clock("mail.log.1", "01-01 23:00:00", "01-02 22:00:00", mtime=copied),
        clock("mail.log", "01-03 00:00:00", "01-03 09:00:00", mtime=copied),
    ]
    assert years(solve(chain, [], [], year=2027, now=NOW, host_zone=UTC)) == [2026, 2027, 2027]


def test_a_set_whose_parts_overlap_by_jitter_stays_in_one_year() -> None:
    pair = [
        clock("m/mail.log.1", "06-01 00:00:00", "06-30 00:00:07"),
        clock("m/mail.log", "06-30 00:00:00", "07-05 00:00:00"),
    ]
    assert years(solve(pair, [], [], now=NOW, host_zone=UTC)) == [2025, 2025]


def test_an_anchor_beats_fresh_file_times_and_carries_its_set() -> None:
    copied = "2026-01-04 00:00:00"
    chain = [
        clock("mail.log.1", "11-01 00:00:00", "12-15 00:00:00", mtime=copied),
        clock("mail.log", "12-15 00:00:00", "01-02 00:00:00", turns=1, mtime=copied),
    ]
    known = anchor(0, "2019-11-02 10:00:00", UTC)
    solution = solve(chain, [known], [], now=NOW, host_zone=UTC)
    assert years(solution) == [2019, 2019]
    assert solution.year_from == {0: "anchors", 1: "set"}
    assert not solution.inferred_zone


def test_a_loose_anchor_tells_the_year_and_not_the_zone() -> None:
    trained = Anchor(0, wall("03-10 12:00:00"), 0, utc("2022-02-01 12:00:00"), SECOND, 120 * DAY)
    solution = solve([clock("mail.log", "03-01 00:00:00", "03-31 00:00:00")], [trained], [], now=NOW, host_zone=BERLIN)
    assert years(solution) == [2022]
    assert solution.zone is BERLIN


def test_one_false_anchor_among_many_is_outvoted() -> None:
    good = [anchor(0, f"2021-05-{day:02} 10:00:00", UTC) for day in range(1, 21)]
    false = anchor(0, "2025-05-01 10:00:00", UTC)
    solution = solve(
        [clock("mail.log", "05-01 00:00:00", "05-31 00:00:00")], [false, *good], [], now=NOW, host_zone=UTC
    )
    assert years(solution) == [2021]


def test_the_year_option_is_that_of_the_newest_last_line() -> None:
    chain = [
        clock("mail.log.1", "06-01 00:00:00", "12-15 00:00:00"),
        clock("mail.log", "12-15 00:00:00", "01-02 00:00:00", turns=1),
    ]
    solution = solve(chain, [], [], year=2015, now=NOW, host_zone=UTC)
    assert years(solution) == [2014, 2014]
    both = [anchor(1, "2020-12-20 10:00:00", UTC)]
    contradicted = solve(chain, both, [], year=2015, now=NOW, host_zone=UTC)
    assert years(contradicted) == [2020, 2020]
    assert any("--year 2015" in note for note in contradicted.notes)


def test_files_with_absolute_time_tell_the_year_of_their_neighbours() -> None:
    absolute = [(utc("2023-06-10 00:00:00"), utc("2023-07-10 00:00:00"))]
    near = clock("mail.log", "06-11 00:00:00", "06-20 00:00:00")
    assert years(solve([near], [], absolute, now=NOW, host_zone=UTC)) == [2023]
    far = clock("mail.log", "12-11 00:00:00", "12-20 00:00:00")
    assert years(solve([far], [], absolute, now=NOW, host_zone=UTC)) == [2025]


def test_the_date_in_a_name_tells_the_year() -> None:
    yearly = clock("mail.log-20210101.gz", "01-05 00:00:00", "12-31 23:00:00")
    monthly = clock("mail-2022-02.log", "02-01 00:00:00", "02-28 23:00:00")
    assert years(solve([yearly, monthly], [], [], now=NOW, host_zone=UTC)) == [2020, 2022]


def test_29_february_needs_a_leap_year() -> None:
    leap = clock("mail.log", "02-20 00:00:00", "03-02 00:00:00", leap_turns=(0,))
    assert years(solve([leap], [], [], now=NOW, host_zone=UTC)) == [2024]


def test_lines_that_tell_their_year_need_no_guess() -> None:
    told = clock("rspamd.log", "12-31 00:00:00", "01-02 00:00:00", turns=1, year=2018)
    solution = solve([told], [], [], now=NOW, host_zone=UTC)
    assert years(solution) == [2018]
    assert not solution.inferred_year


# --- zones


def solved(zone: tzinfo, host: tzinfo, months: tuple[int, ...] = (1, 2, 7, 8), **more: str) -> Solution:
    known = [anchor(0, f"2025-{month:02}-{day:02} 10:00:00", zone) for month in months for day in (3, 9, 21)]
    source = clock("mail.log", "01-01 00:00:00", "08-30 00:00:00")
    return solve([source], known, [], now=NOW, host_zone=host, **more)  # type: ignore[arg-type]


def test_the_host_s_zone_is_taken_where_it_agrees() -> None:
    solution = solved(BERLIN, BERLIN)
    assert solution.zone is BERLIN
    assert not solution.inferred_zone


def test_a_fixed_offset_is_fitted_to_a_quarter_of_an_hour() -> None:
    assert solved(named("Asia/Kathmandu") or UTC, BERLIN).zone_name == "+05:45"
    assert solved(UTC, BERLIN).zone_name == "UTC"


def test_summer_time_of_another_place_is_found() -> None:
    assert solved(NEW_YORK, BERLIN).zone_name == "America/New_York"


def test_offsets_that_follow_no_rule_are_kept_as_steps() -> None:
    known = [anchor(0, f"2025-01-{day:02} 10:00:00", fixed(HOUR)) for day in range(1, 11)]
    known += [anchor(0, f"2025-01-{day:02} 10:00:00", fixed(5 * HOUR)) for day in range(11, 21)]
    solution = solve([clock("mail.log", "01-01 00:00:00", "01-30 00:00:00")], known, [], now=NOW, host_zone=BERLIN)
    assert solution.zone_name == "+01:00/+05:00"
    clocks = np.array([wall("01-05 12:00:00"), wall("01-15 12:00:00")], np.int64)
    assert iso(solution.utc(0, clocks, np.zeros(2, np.int16))) == ["2025-01-05 11:00:00", "2025-01-15 07:00:00"]
    shown = datetime(2025, 1, 15, 7, tzinfo=UTC).astimezone(solution.zone)
    assert (shown.hour, shown.utcoffset()) == (12, timedelta(hours=5))


def test_the_timezone_option_wins_and_a_contradiction_is_noted() -> None:
    solution = solved(BERLIN, UTC, timezone="Asia/Tokyo")
    assert solution.zone_name == "Asia/Tokyo"
    assert any("Asia/Tokyo" in note for note in solution.notes)


def test_an_unknown_zone_is_refused_with_advice() -> None:
    with pytest.raises(ValueError, match="Europe/Berlin"):
        solve([], [], [], timezone="Mars/Olympus")


def test_without_anchors_the_host_s_zone_is_assumed_and_said() -> None:
    solution = solve([clock("mail.log", "12-01 00:00:00", "12-31 10:00:00")], [], [], now=NOW, host_zone=BERLIN)
    assert solution.zone is BERLIN
    assert solution.inferred_zone
    assert any("Europe/Berlin" in note for note in solution.notes)


def test_sources_of_different_zones_keep_their_own() -> None:
    two = [
        clock("a/mail.log", "01-01 00:00:00", "01-30 00:00:00"),
        clock("b/mail.log", "01-01 00:00:00", "01-30 00:00:00"),
    ]
    known = [anchor(0, "2025-01-05 10:00:00", UTC), anchor(1, "2025-01-05 10:00:00", NEW_YORK)]
    solution = solve(two, known, [], now=NOW, host_zone=UTC)
    assert [zone_name(solution.zones[key]) for key in (0, 1)] == ["UTC", "-05:00"]


def test_nothing_to_solve() -> None:
    solution = solve({}, [], [], host_zone=BERLIN)
    assert (solution.base_year, solution.zone) == ({}, BERLIN)
    assert host_timezone() is not None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("UTC", "UTC"),
        ("z", "UTC"),
        ("+02:00", "+02:00"),
        ("-0330", "-03:30"),
        ("Europe/Berlin", "Europe/Berlin"),
        ("GMT+1", "+01:00"),
    ],
)
def test_zones_by_name(name: str, shown: str) -> None:
    zone = named(name)
    assert zone is not None
    assert zone_name(zone) == shown


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "+99:00"])
def test_no_zone_by_that_name(name: str) -> None:
    assert named(name) is None


# --- names of rotated files


@pytest.mark.parametrize(
    "names",
    [
        ["mail.log.4.gz", "mail.log.3.gz", "mail.log.1", "mail.log"],
        ["maillog-20251231.xz", "maillog-20260131", "maillog"],
        ["mail-2025-12.log.zst", "mail-2026-01.log", "mail.log"],
        ["mail.log.10.gz", "mail.log.9.gz", "mail.log.0"],
        ["mail.log-20260131-1769800000.gz", "mail.log-20260201-1769900000.gz"],
    ],
)
def test_names_of_a_set_sort_oldest_first(names: list[str]) -> None:
    assert len({rotation.parse(name).set for name in names}) == 1
    assert sorted([*names[1:], names[0]], key=lambda name: rotation.parse(name).age) == names


def test_other_names_are_other_sets() -> None:
    names = ["mail.log", "mail.info", "a/mail.log", "dspam.log", "mail2026.log"]
    assert len({rotation.parse(name).set for name in names}) == len(names)


def test_steps_are_a_zone() -> None:
    steps = Steps(np.array([0, DAY], np.int64), np.array([0, HOUR], np.int64))
    assert datetime(1970, 1, 3, tzinfo=UTC).astimezone(steps).hour == 1
    assert datetime(1970, 1, 1, 3, tzinfo=UTC).astimezone(steps).hour == 3
