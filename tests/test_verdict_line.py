"""The first words of a report: all clear only where what was looked at is right, and never without what wasn't."""

from __future__ import annotations

import email
import email.policy
import json
import re
from dataclasses import replace

import pytest
import report_sample

from logscan.findings import Finding, Result
from logscan.rendering.grouping import groups, remedy_of, shared_cures
from logscan.rendering.renderers import render
from logscan.rendering.summary import clear_text, summarise, verdict_line, verdict_more
from logscan.report.model import Report

FORMS = ("html", "text", "email")


def report_of(*checks: Result, concerns: tuple[str, ...] = ()) -> Report:
    report = report_sample.healthy()
    report.checks = list(checks)
    report.concerns = list(concerns)
    return report


CLEAR = Result(4, 4, name="some-check", title="Something is wrong", clear_title="Nothing is wrong (4 mails looked at)")
BLIND = Result(0, 4, blind_because=["rspamd.log is missing."], name="blind-check", title="Other things are wrong")
ABSENT = Result(name="absent-check", title="Training is in vain", not_applicable="No filter here learns per user.")


def shown(report: Report, form: str) -> str:
    if form == "email":
        raw = render(report, form)
        assert isinstance(raw, bytes)
        parts = email.message_from_bytes(raw, policy=email.policy.default).walk()
        return "\n".join(str(part.get_content()) for part in parts if part.get_content_maintype() == "text")
    text = render(report, form)
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(
    ("checks", "concerns", "words"),
    [
        ((CLEAR,), (), "All clear: 1 check looked"),
        ((CLEAR, ABSENT), (), "All clear: 1 check looked"),
        ((CLEAR, BLIND), (), "All clear: 1 check looked, 1 is blind"),
        ((CLEAR, BLIND, BLIND), (), "Nothing wrong found, but 2 checks could not see"),
        ((BLIND,), (), "Nothing could be judged"),
        ((ABSENT,), (), "Nothing could be judged"),
        ((CLEAR,), ("46 attempts were put off",), "No check found a fault, but 46 attempts were put off"),
    ],
)
def test_the_first_words(checks: tuple[Result, ...], concerns: tuple[str, ...], words: str) -> None:
    report = report_of(*checks, concerns=concerns)
    assert verdict_line(summarise(report)) == words
    assert words in shown(report, "html")
    assert words in shown(report, "text")


def test_what_nobody_looked_at_is_named_beside_it() -> None:
    report = report_of(CLEAR, BLIND, ABSENT)
    report.mails = report.mails | {"opened_before": 3}
    said = " ".join(verdict_more(report, summarise(report)))
    assert "blind-check" in said
    assert "absent-check" in said
    assert "3 mails were opened before the log begins" in said
    for form in FORMS:
        for word in ("blind-check", "absent-check", "3 mails were opened before"):
            assert word in " ".join(shown(report, form).split()), (form, word)


@pytest.mark.parametrize("form", FORMS)
def test_a_clear_check_says_what_is_true_and_one_that_does_not_apply_why(form: str) -> None:
    text = " ".join(shown(report_of(CLEAR, ABSENT), form).split())
    assert "Nothing is wrong (4 mails looked at)" in text
    assert "Something is wrong" not in text.replace("some-check: clear", "").replace("Something is wrong: clear", "")
    assert "No filter here learns per user." in text


def test_machines_get_the_verdict_that_does_not_apply() -> None:
    report = report_of(CLEAR, ABSENT)
    page = json.loads(str(render(report, "json")))
    assert [each["verdict"] for each in page["checks"]] == ["clear", "not-applicable"]
    assert page["checks"][1]["not_applicable"] == ABSENT.not_applicable
    assert page["checks"][0]["clear"] == CLEAR.clear_title
    tables = render(report, "csv")
    assert isinstance(tables, dict)
    assert (
        "absent-check,Training is in vain,not-applicable,0,0,0,,No filter here learns per user." in tables["checks.csv"]
    )
    assert 'logscan_check_verdict{check="absent-check",verdict="not-applicable"} 1' in str(render(report, "prometheus"))
    assert "not_applicable=1" in str(render(report, "nagios"))
    assert str(render(report_of(ABSENT), "nagios")).startswith("LOGSCAN OK")


def test_a_clear_check_without_a_sentence_does_not_state_the_fault() -> None:
    assert clear_text(replace(CLEAR, clear_title="")) == "Not found: Something is wrong"


def found(state: str = "active", user: str = "alice") -> Finding:
    return replace(report_sample.TRAINING, subject=user, state=state)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", ["mended", "residual"])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_mended_stands_under_its_check_and_has_nothing_to_do(form: str, state: str) -> None:
    finding = replace(found(state), summary="It stopped: mended by the reload at 10:07")
    assert remedy_of(finding) is None
    text = shown(report_of(replace(CLEAR, findings=[finding])), form)
    assert "mended by the reload at 10:07" in " ".join(text.split())
    assert "Spell the domain" not in text
    assert "antispam_dspam_args = --deliver" not in text


@pytest.mark.parametrize("form", FORMS)
def test_one_cure_is_printed_once_and_referred_to(form: str) -> None:
    people = [
        replace(found(user=user), cause=cause)
        for user, cause in (("alice", "login-without-domain"), ("bob", "other-domain"), ("carol", "unknown-user"))
    ]
    report = report_of(replace(CLEAR, findings=people))
    assert set(shared_cures(groups(report, report.found)).values()) == {1}
    text = shown(report, form)
    assert text.count("+  antispam_dspam_args") == 1
    copies = 2 if form == "email" else 1  # its text part, which is short, and its HTML part
    told = re.sub(r"<a href=[^>]*>|</a>", "", text).lower()
    assert told.count("the same as for finding 1, once for both") == 2 * copies
    other = replace(found(user="dora"), remedy=replace(report_sample.TRAINING.remedy, diff="+x"))  # type: ignore[type-var]
    assert len(shared_cures(groups(report, [*report.found, other]))) == 2


def test_a_note_with_the_cure_of_a_finding_refers_to_it_on_the_page() -> None:
    note = replace(found(user="bob"), severity="note")
    page = shown(report_of(replace(CLEAR, findings=[found(), note])), "html")
    assert page.count("+  antispam_dspam_args") == 1
    assert f'The same as for <a href="#g-{found().id}">finding 1</a>' in page


def test_findings_say_mails_and_recipients_apart() -> None:
    finding = replace(found(), count=28, mails=7, recipients=28, remedy=None)
    for form in FORMS:
        assert "28 cases (7 mails to 28 recipients)" in " ".join(
            shown(report_of(replace(CLEAR, findings=[finding])), form).split()
        )
    page = json.loads(str(render(report_of(replace(CLEAR, findings=[finding])), "json")))
    assert [page["checks"][0]["findings"][0][name] for name in ("count", "mails", "recipients")] == [28, 7, 28]
