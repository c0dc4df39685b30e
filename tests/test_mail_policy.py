"""Which reports are mailed: never noise, and never silence by accident."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

import pytest
import report_sample
from hypothesis import given
from hypothesis import strategies as st

from logscan.commands.mail_policy import Facts, Policy, facts_of, last_mailed, mailed, wanted

TODAY = date(2026, 11, 28)
YESTERDAY = TODAY - timedelta(days=1)
QUIET = Facts()


@pytest.mark.parametrize(
    ("policy", "facts", "why"),
    [
        ("always", QUIET, "Every report is mailed."),
        ("news", QUIET, None),
        ("news", Facts(problems=3), None),
        ("news", Facts(new=1, gone=2), "Mailed because of news: 1 new, 2 gone."),
        ("news", Facts(back=1), "Mailed because of news: 1 back."),
        ("news", Facts(losses=1), "Mailed because of news: 1 part of the log was lost."),
        ("news", Facts(new=1, unread=2), "Mailed because of news: 1 new; 2 sources could not be read."),
        ("problems", QUIET, None),
        ("problems", Facts(new=2, gone=1), None),
        ("problems", Facts(problems=1), "Mailed because of problems: 1 problem."),
        ("problems", Facts(losses=2), "Mailed because of problems: 2 parts of the log were lost."),
        ("problems", Facts(troubles=1), "Mailed because of problems: 1 trouble with mail or the state."),
    ],
)
def test_the_day_after_a_mail(policy: Policy, facts: Facts, why: str | None) -> None:
    assert wanted(policy, facts, YESTERDAY, TODAY) == why


@pytest.mark.parametrize("policy", ["news", "problems"])
def test_the_first_mail_comes_in_any_case(policy: Policy) -> None:
    assert wanted(policy, QUIET, None, TODAY) == "The first mail: it shows that mail from here arrives."
    assert wanted(policy, QUIET, TODAY, TODAY) is None


@pytest.mark.parametrize("policy", ["news", "problems"])
def test_a_week_of_silence_ends_with_a_sign_of_life(policy: Policy) -> None:
    assert wanted(policy, QUIET, TODAY - timedelta(days=6), TODAY) is None
    assert wanted(policy, QUIET, TODAY - timedelta(days=7), TODAY) == (
        f"A sign of life: no {policy} since the last mail on 2026-11-21."
    )


def test_a_clock_that_was_put_back_keeps_nobody_waiting() -> None:
    why = wanted("news", QUIET, TODAY + timedelta(days=400), TODAY)
    assert why == "A sign of life: the last mail is dated 2028-01-02, which is still to come."


@given(
    st.sampled_from(["always", "news", "problems"]),
    st.lists(st.builds(Facts, *[st.integers(0, 2)] * 7), min_size=1, max_size=40),
)
def test_whatever_happens_no_week_is_without_a_mail(policy: Policy, runs: list[Facts]) -> None:
    last: date | None = None
    for number, facts in enumerate(runs):
        today = TODAY + timedelta(days=number)
        if wanted(policy, facts, last, today):
            last = last_mailed(mailed(today))
        assert last is not None
        assert today - last < timedelta(days=7)
        assert last == today or not (facts.losses or facts.unread or facts.troubles)


class Memory(NamedTuple):
    new: tuple[str, ...]
    back: tuple[str, ...]
    gone: tuple[str, ...]


def test_what_counts_is_counted_of_report_and_memory() -> None:
    report = report_sample.sample()
    found = facts_of(report, Memory(("a", "b"), (), ("c",)), losses=2, troubles=1)
    assert found == Facts(new=2, gone=1, problems=4, losses=2, unread=1, troubles=1)
    assert facts_of(replace(report_sample.healthy(), sources=[]), None) == Facts()


@pytest.mark.parametrize("kept", [None, b"", b"\xff", b"2026-13-01", b"yesterday"])
def test_a_memory_that_is_lost_leads_to_a_mail(kept: bytes | None) -> None:
    assert last_mailed(kept) is None
