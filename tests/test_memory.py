"""Reports beside earlier ones: what is new, back, gone, the same or acknowledged; the strip; figures beside their past."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import logscan
from logscan.checking.suppressing import suppress
from logscan.findings import Finding, Result, Severity, State
from logscan.report.comparing import STRIP_DAYS, acknowledgements, compared, remembered_after, told_of
from logscan.report.figures import figures_of, pasts
from logscan.report.memory import Memory
from logscan.report.model import Period, Report
from logscan.store import state as store
from logscan.store.model import Acknowledgement, Remembered, Run, Told

START = date(2026, 11, 3)


def finding(
    subject: str, *, state: State = "active", severity: Severity = "problem", check: str = "mail-loop"
) -> Finding:
    return Finding("cause", subject, f"{subject} is wrong", severity, "high", 3, [], state=state, check=check)


def report(day: date, *findings: Finding, blind: Iterable[str] = (), mails: Mapping[str, int] | None = None) -> Report:
    """A report of one day, of two checks: mail-loop and mail-stuck."""
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    for each in findings:
        each.first = each.last = at
    checks = [
        Result(
            checked=0 if name in blind else 5,
            eligible=5,
            findings=[each for each in findings if each.check == name],
            blind_because=["nothing was logged"] if name in blind else [],
            name=name,
            title=name,
        )
        for name in ("mail-loop", "mail-stuck")
    ]
    return Report(
        version="1",
        generated=at,
        period=Period(at, at + timedelta(hours=1)),
        hosts=["mx1"],
        sources=[],
        unknown=[],
        mails=dict(mails or {"total": 5}),
        checks=checks,
    )


def story(*reports: Report, remembered: Sequence[Remembered] = ()) -> list[Memory]:
    """What each report is beside those before it, as a state would remember them."""
    out, known = [], list(remembered)
    strip: dict[str, list[tuple[str, str]]] = {}
    for number, each in enumerate(reports, 1):
        out.append(compared(known, each, run_number=number, strip=strip))
        assert each.period.last is not None
        for check in each.checks:
            strip.setdefault(check.name, []).append((each.period.last.date().isoformat(), check.verdict))
        known = remembered_after(known, each, run_number=number, ended=int(each.period.last.timestamp()) * 10**9)
    return out


def subjects(memory: Memory, of: Sequence[Report]) -> dict[str, set[str]]:
    names = {each.id: each.subject for one in of for each in one.found}
    return {
        "new": {names[key] for key in memory.new},
        "back": {names[key] for key in memory.back},
        "same": {names[key] for key in memory.same},
        "gone": {each.subject for each in memory.gone},
        "paused": {each.subject for each in memory.paused},
        "unseen": {each.subject for each in memory.unseen},
    }


def test_a_story_is_new_once_then_known_then_gone_and_back() -> None:
    a, b = "alice", "bob"
    days = [
        report(START),
        report(START + timedelta(1), finding(a)),
        report(START + timedelta(2), finding(a), finding(b)),
        report(START + timedelta(3), finding(b)),
        report(START + timedelta(4), finding(b)),
        report(START + timedelta(5), finding(a), finding(b)),
        report(START + timedelta(6), finding(b, state="mended")),
        report(START + timedelta(7)),
        report(START + timedelta(8), finding(b)),
        report(START + timedelta(9), finding(b)),
    ]
    told = [{key: who for key, who in subjects(each, days).items() if who} for each in story(*days)]
    assert told == [
        {},
        {"new": {a}},
        {"same": {a}, "new": {b}},
        {"gone": {a}, "same": {b}},
        {"same": {b}},
        {"back": {a}, "same": {b}},
        {"gone": {b}, "paused": {a}},
        {"paused": {a}},
        {"back": {b}, "paused": {a}},
        {"same": {b}, "paused": {a}},
    ]


def test_what_comes_and_goes_is_news_once_and_gone_after_a_week_of_silence() -> None:
    """A user who sends by the wrong port on working days."""
    there = [0, 1, 4, 5, 6, 7, 8, 11, 12, 13, 27]
    days = [report(START + timedelta(at), *([finding("bob")] if at in there else [])) for at in range(28)]
    told = [next((key for key, who in subjects(each, days).items() if who), "") for each in story(*days)]
    assert told == [
        "new", "same", "gone", "", "back", "same", "same", "same", "same", "paused", "paused", "same", "same", "same",
        *["paused"] * 7, "gone", "", "", "", "", "", "back",
    ]  # fmt: skip
    hourly = [report(START, finding("bob")), report(START), report(START, finding("bob")), *[report(START)] * 5]
    told = [next((key for key, who in subjects(each, days).items() if who), "") for each in story(*hourly)]
    assert told == ["new", "gone", "back", *["paused"] * 5]


def test_what_comes_and_goes_is_gone_even_where_nobody_could_look_on_the_day() -> None:
    days = [report(START, finding("bob")), report(START + timedelta(1)), report(START + timedelta(2), finding("bob"))]
    later = [report(START + timedelta(2 + at), blind=["mail-loop"] if at in (8, 9) else []) for at in range(1, 12)]
    told = [next((key for key, who in subjects(each, days).items() if who), "") for each in story(*days, *later)]
    assert told[3:] == [*["paused"] * 7, "unseen", "unseen", "gone", ""]


def test_what_is_known_says_since_when_and_when_it_was_seen_last() -> None:
    days = [report(START), report(START + timedelta(1), finding("a")), report(START + timedelta(2)),
            report(START + timedelta(5), finding("a"))]  # fmt: skip
    last = story(*days)[-1]
    (known,) = last.known.values()
    assert (known.status, known.since, known.seen, known.reports) == (
        "back", START + timedelta(1), START + timedelta(1), 3,
    )  # fmt: skip
    gone = story(*days[:3])[-1].gone[0]
    assert (gone.since, gone.last, gone.summary, gone.mended) == (
        START + timedelta(1), START + timedelta(1), "a is wrong", False,
    )  # fmt: skip


def test_a_run_that_reads_old_lines_knows_a_finding_since_their_day() -> None:
    before, after = report(START, finding("a")), report(START + timedelta(1), finding("a"))
    late = int(datetime(2026, 11, 28, tzinfo=UTC).timestamp()) * 10**9
    known = remembered_after([], before, run_number=7, ended=late)
    (told,) = compared(known, after, run_number=7).known.values()
    assert (told.status, told.since, told.reports) == ("same", START, 1)


def test_days_that_one_run_catches_up_with_are_days_to_each_other() -> None:
    days = [report(START + timedelta(at), *([finding("bob")] if at in (0, 2) else [])) for at in range(13)]
    known: list[Remembered] = []
    told: list[Told] = []
    said = []
    for each in days:
        memory = compared(known, each, run_number=1, earlier=told)
        assert memory.first == (not told)
        said.append(next((key for key, who in subjects(memory, days).items() if who), ""))
        known = remembered_after(known, each, run_number=1, ended=10**19)
        told.append(told_of(each, b""))
    assert said == ["new", "gone", "back", *["paused"] * 7, "gone", "", ""]
    assert memory.strip["mail-loop"][-13:] == ("found", "clear", "found", *["clear"] * 10)


def test_what_nobody_could_look_for_is_neither_gone_nor_the_same() -> None:
    days = [
        report(START, finding("a"), finding("b", check="mail-stuck")),
        report(START + timedelta(1), blind=["mail-loop"]),
        report(START + timedelta(2), finding("a")),
    ]
    told = [subjects(each, days) for each in story(*days)]
    assert (told[1]["unseen"], told[1]["gone"], told[1]["same"]) == ({"a"}, {"b"}, set())
    assert (told[2]["same"], told[2]["back"]) == ({"a"}, set())


def test_a_check_that_was_not_asked_for_says_nothing_of_its_findings() -> None:
    before = report(START, finding("a"))
    after = report(START + timedelta(1))
    after.checks = after.checks[1:]
    told = story(before, after)[1]
    assert [each.subject for each in told.unseen] == ["a"]
    assert told.gone == ()


def test_notes_are_no_news_until_they_are_something_to_act_on() -> None:
    days = [
        report(START, finding("a", severity="note")),
        report(START + timedelta(1), finding("a", severity="note")),
        report(START + timedelta(2), finding("a", severity="warning")),
        report(START + timedelta(3), finding("a", severity="note")),
        report(START + timedelta(4)),
    ]
    told = [subjects(each, days) for each in story(*days)]
    assert not any(any(each.values()) for each in told[:2])
    assert told[2]["new"] == {"a"}
    assert not any(told[3].values()), "it is told as a note, so it isn't gone"
    assert not any(told[4].values()), "that a note is gone is no news"


def test_what_is_mended_is_gone_though_it_is_a_note_by_now() -> None:
    days = [
        report(START, finding("a", severity="warning")),
        report(START + timedelta(1), finding("a", severity="note", state="mended")),
    ]
    last = story(*days)[-1]
    assert [(each.subject, each.mended) for each in last.gone] == [("a", True)]


def test_the_first_report_has_nothing_to_compare_with() -> None:
    first, second = story(report(START, finding("a")), report(START + timedelta(1), finding("a")))
    assert (first.first, second.first) == (True, False)
    assert len(first.new) == len(second.same) == 1


def ack(subject: str, until: str = "") -> Remembered:
    (known,) = remembered_after([], report(START, finding(subject)), run_number=1, ended=10**18)
    return replace(known, ack=Acknowledgement(known.sighting.id, until, "the user knows", "root", 10**18))


@pytest.mark.parametrize(("until", "holds"), [("", True), ("2026-11-05", True), ("2026-11-04", False)])
def test_an_acknowledgement_holds_until_its_day_and_the_report_says_when_it_ended(until: str, holds: bool) -> None:
    known = [ack("alice*", until)]
    mine = report(date(2026, 11, 5), finding("alice*"), finding("alice2"), finding("ALICE*"))
    check = mine.checks[0]
    suppress(check, acknowledgements(known), date(2026, 11, 5))
    assert [each.state for each in check.findings] == ["suppressed" if holds else "active", "active", "active"]
    assert any("its acknowledgement ended on" in each for each in check.notes) == (not holds)
    memory = compared(known, mine, run_number=2)
    assert memory.acknowledged == ((check.findings[0].id,) if holds else ())
    assert (memory.same, len(memory.new)) == ((check.findings[0].id,), 2)


def test_what_is_acknowledged_and_comes_back_is_no_news_and_its_going_is() -> None:
    known = [replace(ack("a"), gone_run=2)]
    mine = report(START + timedelta(3), finding("a"))
    suppress(mine.checks[0], acknowledgements(known), START)
    memory = compared(known, mine, run_number=4)
    assert (memory.back, memory.news) == ((), False)
    assert memory.same == memory.acknowledged != ()
    assert len(compared([ack("a")], report(START + timedelta(3)), run_number=4).gone) == 1


STATES: list[State] = ["active", "mended", "residual", "suppressed"]
SEVERITY: dict[str, Severity] = {"a": "problem", "b": "problem", "c": "warning", "d": "note"}
FINDINGS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(STATES), max_size=4)


@given(st.lists(st.tuples(FINDINGS, st.booleans()), max_size=8))
def test_each_finding_that_counts_stands_in_one_place_and_nothing_goes_twice(days: list[tuple[Any, bool]]) -> None:
    reports = [
        report(
            START + timedelta(at), *(finding(who, state=state, severity=SEVERITY[who]) for who, state in some.items()),
            blind=["mail-loop"] if blind and not some else [],
        )
        for at, (some, blind) in enumerate(days)
    ]  # fmt: skip
    there: set[str] = set()
    for memory, each in zip(story(*reports), reports, strict=True):
        now = {one.id for one in each.found if one.severity != "note" and one.state in ("active", "suppressed")}
        placed = [*memory.new, *memory.back, *memory.same]
        assert sorted(placed) == sorted(now)
        assert memory.known.keys() == now
        assert set(memory.acknowledged) <= set(memory.same)
        left = [one.id for some in (memory.gone, memory.paused, memory.unseen) for one in some]
        assert sorted(left) == sorted(there - now)
        there = now | {one.id for some in (memory.paused, memory.unseen) for one in some}


def test_the_strip_has_thirty_days_and_todays_answer_last() -> None:
    day = date(2026, 11, 28)
    told = {"mail-loop": [("2026-10-29", "clear"), ("2026-10-30", "found"), ("2026-11-27", "blind"), ("2026-11-28", "clear")],
            "mail-stuck": [("2026-11-28", "found")],
            "no-more": [("2026-11-20", "found")]}  # fmt: skip
    memory = compared([], report(day, finding("a")), run_number=9, strip=told)
    assert (len(memory.days), memory.days[0], memory.days[-1]) == (30, date(2026, 10, 30), day)
    loops = memory.strip["mail-loop"]
    assert (len(loops), loops[0], loops[-2], loops[-1]) == (30, "found", "blind", "found")
    assert set(loops[1:-2]) == {None}
    assert memory.strip["mail-stuck"][-1] == "found", "an earlier report of the same day"
    assert memory.strip["no-more"].count("found") == 1
    assert memory.strip["no-more"][-1] is None
    assert list(memory.strip) == ["mail-loop", "mail-stuck", "no-more"]


Figures = list[tuple[str, dict[str, float]]]


def before(day: date, values: Sequence[float], name: str = "mails.total", step: int = 1) -> Figures:
    return [((day - timedelta(days=step * back)).isoformat(), {name: value}) for back, value in enumerate(values, 1)]


def test_a_figure_is_compared_with_its_weekday_first_and_says_nothing_of_too_few_days() -> None:
    day = date(2026, 11, 24)
    weeks = before(day, [400, 420, 390, 450], step=7)
    past = pasts({"mails.total": 412.0}, weeks, day)["mails.total"]
    assert (past.median, past.low, past.high, past.days, past.weekday, past.odd) == (410, 390, 450, 4, True, False)
    assert pasts({"mails.total": 412.0}, before(day, [400, 420, 390], step=7), day) == {}
    every = pasts({"mails.total": 412.0}, before(day, [100.0] * 7), day)["mails.total"]
    assert (every.days, every.weekday, every.odd) == (7, False, True)
    assert pasts({"mails.total": 412.0}, before(day, [100.0] * 6), day) == {}
    assert pasts({"mails.total": 412.0}, [], day) == {}


def test_a_part_of_a_day_is_no_measure_of_a_day() -> None:
    day = date(2026, 11, 24)
    weeks = before(day, [400, 420, 390, 450, 410], step=7)
    assert pasts({"mails.total": 5.0}, [(day.isoformat(), {"mails.total": 300.0}), *weeks], day) == {}
    assert pasts({"mails.total": 400.0}, [*weeks, weeks[0]], day)["mails.total"].days == 4
    whole = report(day, mails={"total": 412})
    assert compared([], whole, run_number=9, figures=weeks).past == {}, "an hour's lines, and nobody says since when"
    last = int((whole.generated - timedelta(hours=25)).timestamp()) * 10**9
    assert compared([], whole, run_number=9, figures=weeks, previous=last).past["mails.total"].days == 5
    assert compared([], whole, run_number=9, figures=weeks, previous=last - 2 * 86400 * 10**9).past == {}


def test_one_wild_day_of_the_past_is_not_what_is_usual() -> None:
    day = date(2026, 11, 24)
    past = pasts({"mails.total": 400.0}, before(day, [400, 410, 390, 9000, 405, 395, 402], step=7), day)["mails.total"]
    assert (past.low, past.high, past.odd) == (390, 410, False)
    assert pasts({"mails.total": 9000.0}, before(day, [400, 410, 390, 9000, 405], step=7), day)["mails.total"].odd


@pytest.mark.parametrize(
    ("name", "usual", "today", "odd"),
    [
        ("mails.rejected", 0.0, 1.0, False),
        ("mails.rejected", 0.0, 40.0, True),
        ("mails.total", 100.0, 120.0, False),
        ("mails.total", 100.0, 140.0, True),
        ("delay.p50", 0.2, 2.0, False),
        ("delay.p50", 0.2, 60.0, True),
        ("tagged.share", 0.1, 0.15, False),
        ("tagged.share", 0.1, 0.6, True),
    ],
)
def test_what_was_the_same_each_day_may_differ_by_chance(name: str, usual: float, today: float, odd: bool) -> None:
    day = date(2026, 11, 24)
    assert pasts({name: today}, before(day, [usual] * 8, name, 7), day)[name].odd == odd


def test_the_figures_are_what_the_report_shows() -> None:
    import report_sample

    figures = figures_of(report_sample.sample())
    assert figures["mails.total"] == report_sample.sample().mails["total"]
    assert 0 < figures["tagged.share"] < 1
    assert figures["lines"] > figures["lines.unknown"]
    assert figures["findings"] > 0


def test_what_is_told_of_a_report_is_what_the_next_is_compared_with() -> None:
    told = told_of(report(START, finding("a")), b"{}")
    assert (told.day, told.json) == ("2026-11-03", b"{}")
    assert [(each.subject, each.state, each.check) for each in told.sightings] == [("a", "active", "mail-loop")]
    assert {each.check: each.verdict for each in told.judged} == {"mail-loop": "found", "mail-stuck": "clear"}
    assert told.since == int(datetime(2026, 11, 3, 12, tzinfo=UTC).timestamp()) * 10**9


def test_json_tells_ids_and_the_run_and_nothing_without_a_memory() -> None:
    days = [report(START, finding("a"), finding("b")), report(START + timedelta(1), finding("a"), finding("c"))]
    plain = json.loads(str(logscan.render(days[1], "json")))
    assert not {"memory", "runs"} & plain.keys()
    days[1].memory = story(*days)[1]
    page = json.loads(str(logscan.render(days[1], "json")))
    ids = {each.subject: each.id for one in days for each in one.found}
    assert {key: page["memory"][key] for key in ("new", "back", "gone", "same", "acknowledged")} == {
        "new": [ids["c"]], "back": [], "gone": [ids["b"]], "same": [ids["a"]], "acknowledged": [],
    }  # fmt: skip
    assert page["runs"] == {
        "number": 2, "from": "2026-11-04T12:00:00+00:00", "until": "2026-11-04T13:00:00+00:00", "previous": None,
    }  # fmt: skip
    assert page["memory"]["former"][0]["summary"] == "b is wrong"
    assert {key: value for key, value in page.items() if key not in ("memory", "runs")} == plain


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(FINDINGS, st.booleans()), min_size=1, max_size=6))
def test_the_state_remembers_what_the_next_report_of_a_run_is_told(days: list[tuple[Any, bool]]) -> None:
    known: list[Remembered] = []
    with store.State.volatile("a test", Path("nowhere")) as state:
        for number, (some, blind) in enumerate(days, 1):
            mine = report(
                START + timedelta(number), *(finding(who, state=how, severity=SEVERITY[who]) for who, how in some.items()),
                blind=["mail-loop"] if blind and not some else [],
            )  # fmt: skip
            assert compared(known, mine, run_number=number, strip=state.strip(STRIP_DAYS)) == compared(
                state.remembered(), mine, run_number=number, strip=state.strip(STRIP_DAYS)
            )
            ended = number * 86400 * 10**9
            known = remembered_after(known, mine, run_number=number, ended=ended)
            state.commit(Run(ended, ended, "1", [told_of(mine, b"{}")], [], {}))
            assert sorted(known, key=lambda each: each.sighting.id) == sorted(
                state.remembered(), key=lambda each: each.sighting.id
            )
