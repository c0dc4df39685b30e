"""What a report says of a check that found nothing: true beside notes and beside what was mended, its units named."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import logscan
from logscan import remedies
from logscan.checking.check import Check
from logscan.checking.judging import clear_title, unbidden
from logscan.findings import Finding, Remedy, Result
from logscan.pipeline.running import render
from logscan.remedies.combined import combined
from logscan.samples import stories, story
from logscan.settings import read_settings
from logscan.tables.partials import Partial

MASTER = """smtp inet n - y - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o content_filter=scan:[127.0.0.1]:10024
submission inet n - y - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_sasl_auth_enable=yes
pickup unix n - y 60 1 pickup
  -o content_filter=scan:[127.0.0.1]:10024
127.0.0.1:10025 inet n - y - - smtpd
  -o content_filter=
"""


def finding(**other: Any) -> Finding:
    values: dict[str, Any] = {"severity": "note", "count": 3, "mails": 2, **other}
    return Finding("cause", "ann@example.com", "summary", confidence="high", cases=[], **values)


def check(
    but: str = "but for {noted:mail|mails} by design", clear: str = "Nothing ({checked:mail|mails} seen)"
) -> Check:
    return Check("some-check", "Something happens", lambda *_: Partial(), lambda *_: Result(), clear=clear, but=but)


def said(check: Check, *findings: Finding) -> str:
    return clear_title(check, Result(checked=9, eligible=9, findings=list(findings)))


def test_notes_are_named_in_the_sentence() -> None:
    assert said(check()) == "Nothing (9 mails seen)"
    assert said(check(), finding()) == "Nothing, but for 2 mails by design (9 mails seen)"
    assert said(check(), finding(mails=0, count=1)) == "Nothing, but for 1 mail by design (9 mails seen)"
    assert said(check(clear="Nothing"), finding(mails=1)) == "Nothing, but for 1 mail by design"
    plugin = Check("x", "X", lambda *_: Partial(), lambda *_: Result(), clear="No mail did ({checked} seen)")
    assert said(plugin, finding()) == "No mail did, but for what is noted (9 seen)"


def test_what_was_mended_is_named_and_late_cases_are_not_denied() -> None:
    mended, late = finding(severity="problem", state="mended"), finding(severity="problem", state="residual")
    assert said(check(), mended) == "Something happens: mended, and no case since (9 mails seen)"
    assert said(check(), mended, late) == (
        "Something happens: mended, and since then only late cases of before (9 mails seen)"
    )
    assert said(check(), mended, finding(mails=1)).endswith("no case since, but for 1 mail by design (9 mails seen)")


@pytest.mark.parametrize("name", stories())
def test_no_sentence_of_a_story_miscounts_or_denies_its_own_notes(name: str) -> None:
    report = logscan.analyse(logscan.read(story(name), jobs=1))
    for each in report.checks:
        assert not re.search(r"\b1 (?:mails|deliveries|trainings|hand-overs|recipients|users)\b", each.clear_title)
        notes = [one for one in each.findings if one.severity == "note"]
        assert (", but for " in each.clear_title) == bool(notes), each.clear_title
        assert all(one.remedy is None or one.remedy.diff is None for one in notes)
    counted = {one.id for one in report.found if one.counts}
    assert report.plan is None or set(report.plan.findings) <= counted


def test_a_plan_is_made_of_what_is_to_be_done_only() -> None:
    settings = read_settings([("main.cf", "myhostname = mx1.example.com\n"), ("master.cf", MASTER)])
    cure = remedies.move_to_submission(settings, "ann@example.com")
    assert cure.diff
    note, act = finding(remedy=cure), finding(severity="warning", remedy=cure)
    assert combined(settings, [note]) is None
    assert combined(settings, [act])


def test_a_note_keeps_the_words_of_its_remedy_and_no_diff() -> None:
    one = finding(remedy=Remedy("Do it.", "main.cf", 3, diff="--- a", key="k", needs=("restart",)))
    unbidden(one)
    assert one.remedy == Remedy("Nothing has to be done. Who wants it otherwise: Do it.", "main.cf", 3, key="k-noted")
    words, acting = Remedy("Look at it."), finding(severity="warning", remedy=Remedy("Do it.", diff="--- a"))
    kept = finding(remedy=words)
    unbidden(kept)
    unbidden(acting)
    assert kept.remedy == words
    assert acting.remedy
    assert acting.remedy.diff


def test_json_says_the_sentence_of_clear_checks_only() -> None:
    report = logscan.analyse(logscan.read(story("mixed-day"), jobs=1))
    checks = json.loads(str(render(report, "json")))["checks"]
    assert {check["verdict"] for check in checks} >= {"found", "clear"}
    assert all(bool(check["clear"]) == (check["verdict"] == "clear") for check in checks)
