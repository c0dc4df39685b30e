"""What the reports show of earlier ones: the first line, pills, what is gone, the strip of days, what figures usually are."""

from __future__ import annotations

import email
import email.policy
import functools
import json
import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import memory_sample
import pytest
import report_sample
from test_reports import FORBIDDEN, NAMES, Outline, everything, text_of

import logscan
from logscan.findings import Finding
from logscan.rendering.remembering import MARKS, known_text, marks, news, short_news, strip, strip_rest, usual
from logscan.rendering.renderers import RenderOptions
from logscan.report.memory import Former, Known, Memory
from logscan.report.model import Report

SAMPLE = memory_sample.remembering()
DAY = memory_sample.DAY


def memory_of(report: Report) -> Memory:
    assert report.memory is not None
    return report.memory


@functools.cache
def _mail_of_sample() -> Any:
    return mail_of(memory_sample.remembering())


def mail_of(report: Report) -> Any:
    if report is SAMPLE:
        return _mail_of_sample()
    content = logscan.render(report, "email", mail_from="logscan@mx1.example.com", mail_to=("root@example.com",))
    return email.message_from_bytes(content, policy=email.policy.default)  # type: ignore[arg-type]


def words(page: str) -> str:
    """The text of HTML, in one line."""
    page = re.sub(r"<(style|script|svg|title)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", "", page)).split())


NEWS = "2 new findings, 1 back, 1 gone, 3 the same as before (1 acknowledged), 1 not seen this time, 1 couldn't be looked at."


def test_the_first_line_of_text_mail_and_page_says_what_is_new() -> None:
    assert text_of(SAMPLE, "text", width=200).splitlines()[0] == NEWS
    mail = mail_of(SAMPLE)
    assert mail["Subject"].startswith(
        "[logscan] mx1: 2 new, 1 back, 1 gone, 1 not looked at · 3 problems, 2 warnings, 1 acknowledged, "
    )
    assert " ".join(mail.get_body(("plain",)).get_content().splitlines()[:2]).startswith(NEWS), "80 columns"
    body = mail.get_body(("html",)).get_content().partition("<body")[2]
    assert words(f"<p{body}").startswith(NEWS)
    assert (
        words(text_of(SAMPLE, "html").partition('<section id="verdict"')[2]).partition(">")[2].strip().startswith(NEWS)
    )


@pytest.mark.parametrize(
    ("memory", "line", "short"),
    [
        (Memory(1, DAY, True), "The first report of this state: there is nothing to compare it with yet.", "first report"),
        (Memory(2, DAY), "Nothing new.", "nothing new"),
        (Memory(2, DAY, same=("a", "b")), "Nothing new: 2 the same as before.", "nothing new"),
        (
            Memory(2, DAY, same=("a",), acknowledged=("a",)),
            "Nothing new: 1 the same as before (1 acknowledged).", "nothing new",
        ),
        (Memory(2, DAY, new=("a",)), "1 new finding.", "1 new"),
        (Memory(2, DAY, back=("a",), same=("b",)), "1 back, 1 the same as before.", "1 back"),
        (Memory(2, DAY, gone=memory_of(SAMPLE).gone), "1 gone.", "1 gone"),
        (
            Memory(2, DAY, unseen=memory_of(SAMPLE).unseen),
            "Nothing new: 1 couldn't be looked at.", "nothing new, 1 not looked at",
        ),
    ],
)  # fmt: skip
def test_news_are_said_as_people_say_them(memory: Memory, line: str, short: str) -> None:
    assert (news(memory), short_news(memory)) == (line, short)


def test_each_finding_says_since_when_it_is_known() -> None:
    text, page = text_of(SAMPLE, "text"), words(text_of(SAMPLE, "html"))
    html = words(mail_of(SAMPLE).get_body(("html",)).get_content())
    for shown in (text, page, html):
        assert "back, last seen 19 Nov" in shown
        assert "known since 12 Nov, 12 reports" in shown
        assert "known since 12 Dec 2025, 347 reports" in shown
    assert text.count("  NEW") == 2
    assert text.count("  BACK") == 1


def test_what_is_gone_has_one_line_each_and_what_nobody_could_look_at_too() -> None:
    for shown in (
        text_of(SAMPLE, "text", width=200), words(text_of(SAMPLE, "html")),
        words(mail_of(SAMPLE).get_body(("html",)).get_content()),
    ):  # fmt: skip
        gone = shown.index("Gone since the last report")
        unseen = shown.replace("’", "'").index("couldn't be looked at", gone)
        assert gone < shown.index("not seen this time", gone) < shown.index("erin trained 2 times in vain") < unseen
        assert gone < shown.index("57 mails wait for relay.example.net", gone) < unseen
        assert "known since 14 Nov, last seen 21 Nov" in shown
        assert "Mail of dave@example.com is tagged" in shown[unseen:]


def test_what_is_acknowledged_is_shown_at_the_end_with_its_reason_and_counts_for_nothing() -> None:
    why = "acknowledged by root until 2026-12-31: the printer is replaced in December"
    for shown in (
        text_of(SAMPLE, "text", width=200), words(text_of(SAMPLE, "html")),
        words(mail_of(SAMPLE).get_body(("html",)).get_content()),
    ):  # fmt: skip
        assert why in shown
        assert "suppressed" not in shown.lower().replace("acknowledged or suppressed", "")
        assert shown.index("carol@example.com submits") < shown.index(why)
    assert "1 acknowledged" in text_of(SAMPLE, "nagios")
    page = json.loads(text_of(SAMPLE, "json"))
    told = [each["suppressed"] for check in page["checks"] for each in check["findings"] if each["suppressed"]]
    assert [(each["by"], each["until"]) for each in told] == [("root", "2026-12-31")]


def test_the_strip_tells_days_apart_by_letter_and_shape_and_says_them() -> None:
    rows = {row.check: row for row in strip(SAMPLE)}
    assert rows["duplicate-delivery"].letters == "......... .......  .?XXXXXXXXX"
    assert len(set(MARKS.values())) == len(MARKS)
    told = rows["duplicate-delivery"].told
    assert told.startswith("30 days: found on 9 days (1 earlier ones, 16 Nov")
    assert told.endswith("blind on 1; no report on 3")
    text = text_of(SAMPLE, "text")
    assert f"|{rows['duplicate-delivery'].letters}|" in text
    page = text_of(SAMPLE, "html")
    drawn = page[page.index('<section id="days"') :].partition("</section>")[0]
    assert drawn.count('role="img"') == len(rows)
    own = drawn[drawn.index(f'aria-label="{rows["duplicate-delivery"].title}') :]
    found = re.findall(r'class="d-found" d="([^"]*)"', own)[0]
    assert re.findall(r"M(\d+) 0", found) == [str(10 * at) for at in range(21, 30)]
    assert unescape(drawn).count(told) == 2, "as its name, and for the mouse"
    html = mail_of(SAMPLE).get_body(("html",)).get_content()
    cells = re.findall(r"<td align=\"center\"[^>]*>([^<]*)</td>", html)
    assert len(cells) == 30 * len(rows)
    assert cells.count("X") == sum(row.letters.count("X") for row in rows.values())
    assert "9 checks found nothing on any of these days; 3 checks could never look." in words(html)


def test_one_day_is_no_strip() -> None:
    report = memory_sample.first()
    assert strip(report) == []
    assert strip_rest(report) == ""
    assert "The last 30 days" not in words(text_of(report, "html"))


def test_a_figure_far_from_what_is_usual_is_said_and_the_rest_stands_beside_its_past() -> None:
    said = "Unusual: mails 2,158 (Mondays usually 647–791); bounced recipients 14 (Mondays usually 4–5)."
    assert said in text_of(SAMPLE, "text", width=120)
    assert said in words(mail_of(SAMPLE).get_body(("html",)).get_content())
    page = words(text_of(SAMPLE, "html"))
    assert said in page
    assert "inbound1,719Mondays 1,547–1,891" in page.replace(" inbound ", "inbound").replace("inbound 1", "inbound1")
    assert usual(memory_of(SAMPLE), "mails.inbound") == "Mondays usually 1,547–1,891"
    assert usual(memory_of(SAMPLE), "mails.nothing") == usual(None, "mails.total") == ""


def test_the_weekday_is_that_of_most_of_the_lines() -> None:
    memory = memory_of(SAMPLE)
    early = replace(memory, since=report_sample.at(-12), until=report_sample.at(12))
    assert usual(early, "mails.inbound").startswith("Sundays usually")


def test_a_pause_before_the_report_is_said() -> None:
    memory = memory_of(memory_sample.remembering())
    report = memory_sample.remembering()
    report.memory = replace(memory, previous=report_sample.at(-24 * 5))
    assert "The report before this one was made on 17 Nov." in text_of(report, "text")
    assert "The report before" not in text_of(SAMPLE, "text")


def test_the_first_report_calls_nothing_new() -> None:
    report = memory_sample.first()
    assert "The first report of this state" in text_of(report, "text").splitlines()[0]
    assert "NEW" not in text_of(report, "text")
    assert 'class="pill new"' not in text_of(report, "html")
    assert "new" not in mail_of(report)["Subject"]
    assert len(json.loads(text_of(report, "json"))["memory"]["new"]) == 6


def test_findings_of_one_cause_say_how_many_of_each_kind() -> None:
    some = [Finding("c", who, "s", "problem", "high", 1, [], check="x") for who in "abcd"]
    keys = [each.id for each in some]
    known = {
        keys[0]: Known("new"), keys[1]: Known("back", DAY, 3, DAY), keys[2]: Known("same", DAY - timedelta(5), 3),
        keys[3]: Known("same", DAY, 1),
    }  # fmt: skip
    report = replace(report_sample.healthy(), memory=Memory(9, DAY, known=known))
    told = [each.text for each in marks(report, RenderOptions(), some)]
    assert told == ["1 new", "1 back", "2 known since 18 Nov"]
    assert [each.text for each in marks(report, RenderOptions(), some[2:])] == ["known since 18 Nov"]
    assert known_text(Memory(9, DAY), "unheard") == ""


@pytest.mark.parametrize("name", NAMES)
def test_without_a_memory_no_form_speaks_of_one(name: str) -> None:
    shown = re.sub(r"<style>.*?</style>", "", everything(report_sample.sample(), name), flags=re.DOTALL)
    for word in (
        "Nothing new",
        "the same as before",
        "Gone since",
        "The last 30 days",
        "usually",
        "acknowledged",
        '"memory"',
    ):
        assert word not in shown, word


@pytest.mark.parametrize("name", NAMES)
def test_the_past_may_be_hostile(name: str) -> None:
    shown = everything(memory_sample.hostile(), name)
    assert not FORBIDDEN.search(shown.replace("\r\n", "\n"))


def test_a_hostile_past_becomes_no_element() -> None:
    report = memory_sample.hostile()
    for page, scripts in ((everything(report, "html"), 1), (mail_of(report).get_body(("html",)).get_content(), 0)):
        outline = Outline()
        outline.feed(page)
        outline.close()
        assert outline.open == []
        assert page.count("<script") == page.count("</script") == scripts
        assert "<img src=x" not in page
        assert "<b onmouseover" not in page


def test_a_long_past_stays_within_the_limits_of_page_and_mail() -> None:
    report = report_sample.large(80, 500)
    days = memory_of(SAMPLE).days
    gone = tuple(Former(f"{at:08x}", "x", "c", "s", "problem", "w" * 2000, DAY, DAY) for at in range(3000))
    verdicts = tuple(("found", "clear", "blind", None)[at % 4] for at in range(len(days)))
    report.memory = replace(
        memory_of(SAMPLE),
        gone=gone,
        paused=gone,
        unseen=gone,
        strip={f"check-{at}-with-a-long-name": verdicts for at in range(60)},
    )
    assert len(text_of(report, "html").encode()) < 1_500_000
    assert len(mail_of(report).get_body(("html",)).get_content().encode()) < 102_000


def test_names_are_replaced_in_what_earlier_reports_had(tmp_path: Path) -> None:
    from logscan.report.anonymise import Anonymiser

    log = tmp_path / "mail.log"
    log.write_text(
        "Nov 22 19:03:25 mx1 postfix/qmgr[10607]: 8926D554163: from=<peter@example.org>, size=1377, nrcpt=3\n"
    )
    scan = logscan.read(log, jobs=1)
    names = Anonymiser(scan.log)
    names.learn(scan)
    report = memory_sample.remembering()
    memory = memory_of(report)
    shown = names.learnt().report(report)
    text = str(logscan.render(shown, "json"))
    for name in ("dave", "alice", "relay.example.net", memory.new[0], memory.gone[0].id):
        assert name in str(logscan.render(report, "json")), name
        assert name not in text, name
    ids = {each.id for each in shown.found}
    assert {*memory_of(shown).known} <= ids
    assert len(memory_of(shown).known) == len(memory.known)
    assert [each.check for each in memory_of(shown).gone] == ["mail-stuck"]
