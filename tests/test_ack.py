"""``logscan ack``: which finding is meant, until when, and what the state holds then."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from test_memory import START, finding, report

from logscan.commands.ack import LONGEST, command, day_of, found, reason_of
from logscan.report.comparing import remembered_after, told_of
from logscan.store.model import Remembered, Run
from logscan.store.state import State

HOSTILE = "\x1b]0;owned\x07 </script>\u202e evil"
TODAY = date.today()


def committed(folder: Path, *subjects: str, number: int = 1) -> list[str]:
    """Remember a run whose report has these findings; return their ids."""
    mine = report(START + timedelta(number), *(finding(each) for each in subjects))
    with State.open(folder) as state:
        state.commit(Run(number * 10**18, number * 10**18, "1", [told_of(mine, b"{}")], [], {}))
    return [each.id for each in mine.found]


def ran(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(command, [*args, "--state", str(folder)])


def test_a_finding_is_acknowledged_by_the_beginning_of_its_id_and_taken_back(tmp_path: Path) -> None:
    key, other = committed(tmp_path / "state", "alice", "bob")
    done = ran(tmp_path / "state", key[:4], "--until", "+30d", "--why", "moves\n in  January")
    assert done.exit_code == 0, done.output
    with State.read(tmp_path / "state") as state:
        (ack,) = state.acknowledgements()
        assert [each.sighting.id for each in state.remembered() if each.ack] == [key]
    assert (ack.id, ack.until, ack.why) == (key, (TODAY + timedelta(30)).isoformat(), "moves in January")
    assert ack.by
    listed = ran(tmp_path / "state", "--list").output
    assert "moves in January" in listed
    assert other in listed
    assert ran(tmp_path / "state", other, "--remove").exit_code == 2
    assert ran(tmp_path / "state", key.upper(), "--remove").exit_code == 0
    with State.read(tmp_path / "state") as state:
        assert state.acknowledgements() == []


def test_without_an_end_it_holds_for_good_and_a_missing_reason_is_said(tmp_path: Path) -> None:
    (key,) = committed(tmp_path, "alice")
    done = ran(tmp_path, key)
    assert "for good" in done.output
    assert "--why" in done.output
    with State.read(tmp_path) as state:
        assert state.acknowledgements()[0].until == ""


def test_what_is_gone_can_be_acknowledged_before_it_comes_back(tmp_path: Path) -> None:
    (key,) = committed(tmp_path, "alice")
    committed(tmp_path, number=2)
    assert "gone at the moment" in ran(tmp_path, key, "--why", "x").output
    assert "gone" in ran(tmp_path, "--list").output


@pytest.mark.parametrize(
    "args",
    [
        (), ("--list", "abc"), ("--list", "--why", "x"), ("abc", "--remove", "--until", "+3d"), ("abc",), ("",),
        ("--list", "--remove"), ("abc", "--until", "someday"), ("abc", "--until", "2020-01-01"),
        ("abc", "--until", "+99999d"), ("abc", "--why", "x" * 501),
    ],
)  # fmt: skip
def test_wrong_usage_is_said_and_changes_nothing(tmp_path: Path, args: tuple[str, ...]) -> None:
    committed(tmp_path, "alice")
    done = ran(tmp_path, *args)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    with State.read(tmp_path) as state:
        assert state.acknowledgements() == []


def test_an_unknown_id_is_answered_with_near_ones(tmp_path: Path) -> None:
    (key,) = committed(tmp_path, "alice")
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    said = ran(tmp_path, wrong).output
    assert key in said
    assert "alice is wrong" in said


def test_a_beginning_that_several_share_is_answered_with_them() -> None:
    some = remembered_after([], report(START, *(finding(f"u{n}") for n in range(40))), run_number=1, ended=1)
    shared = next(
        each.sighting.id[0] for each in some if sum(one.sighting.id[0] == each.sighting.id[0] for one in some) > 1
    )
    with pytest.raises(click.BadParameter, match="begins"):
        found(some, shared)
    assert found(some, some[3].sighting.id).sighting.subject == "u3"


@given(st.text(max_size=12))
def test_no_text_means_a_finding_that_is_not_its_beginning(text: str) -> None:
    some: list[Remembered] = remembered_after([], report(START, finding("a"), finding("b")), run_number=1, ended=1)
    try:
        one = found(some, text)
    except click.BadParameter:
        return
    assert one.sighting.id.startswith(text.strip().casefold())
    assert text.strip()


def test_no_state_is_an_error_that_makes_none(tmp_path: Path) -> None:
    done = ran(tmp_path / "none", "abc")
    assert done.exit_code == 3
    assert "there is no state" in done.output
    assert not (tmp_path / "none").exists()


def test_what_strangers_wrote_is_shown_escaped(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (key,) = committed(tmp_path / "state", HOSTILE)
    for args in ((key, "--why", HOSTILE), ("--list",), (key, "--remove"), (key, "--remove"), (HOSTILE,)):
        done = run("ack", *args, "--state", tmp_path / "state")
        output = done.stdout + done.stderr
        assert "owned" in output, args
        assert "Traceback" not in output
        assert not any(sign in output for sign in "\x1b\x07\u202e"), args


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-12-31", "2026-12-31"), ("+30d", "2026-12-28"), ("2w", "2026-12-12"), ("+0d", "2026-11-28"),
        (" 2026-11-28 ", "2026-11-28"), (f"+{LONGEST}d", (date(2026, 11, 28) + timedelta(LONGEST)).isoformat()),
    ],
)  # fmt: skip
def test_days_are_written_as_people_write_them(text: str, day: str) -> None:
    assert day_of(text, date(2026, 11, 28)) == day


@given(st.text(max_size=20))
def test_any_other_text_is_no_day(text: str) -> None:
    try:
        day = day_of(text, date(2026, 11, 28))
    except click.BadParameter:
        return
    assert date(2026, 11, 28) <= date.fromisoformat(day)


def test_a_reason_is_one_line() -> None:
    assert reason_of("a\r\n\tb ") == "a b"
    assert reason_of("\udcff") == "\\xff"
