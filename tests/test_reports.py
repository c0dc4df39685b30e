"""The renderers: what each says of a report, and that no log can make any of them say something else."""

from __future__ import annotations

import csv
import email
import email.policy
import html.parser
import io
import json
import math
import os
import re
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
import report_sample
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.amounts import percent
from logscan.findings import Finding, Severity
from logscan.plugins import modules
from logscan.rendering.renderers import RenderError, exit_status, for_stdout, render, renderers
from logscan.rendering.summary import acting, summarise
from logscan.report.model import Report
from logscan.report.subjects import hide_subjects
from logscan.visible import visible
from logscan.writing import save

GOLDEN = Path(__file__).with_name("golden")
NAMES = tuple(sorted(renderers()))
# What no output may hold: a terminal's commands, overrides of direction, lone surrogates.
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b-\u200f\ud800-\udfff]")


def text_of(report: Report, name: str, **options: Any) -> str:
    content = for_stdout(render(report, name, **options), name)
    return content if isinstance(content, str) else content.decode()


def everything(report: Report, name: str, **options: Any) -> str:
    content = render(report, name, **options)
    if isinstance(content, dict):
        return "\n".join(content.values())
    return content if isinstance(content, str) else content.decode()


# -- all of them -----------------------------------------------------------------------------------------------------


def test_the_plug_ins_are_found_by_their_names() -> None:
    assert {"csv", "email", "html", "json", "nagios", "prometheus", "text"} <= {*NAMES}
    assert all(module.__doc__ for module in modules("logscan.reports"))


def test_an_unknown_format_is_answered_with_those_there_are() -> None:
    with pytest.raises(RenderError, match="html, json"):
        render(report_sample.sample(), "pdf")


@pytest.mark.parametrize("name", NAMES)
def test_the_same_report_gives_the_same_bytes(name: str) -> None:
    assert render(report_sample.sample(), name) == render(report_sample.sample(), name)


GOLDENS = {
    "report.json": ("json", {}),
    "report.txt": ("text", {"width": 100}),
    "report-80.txt": ("text", {"width": 40}),
    "report.ansi": ("text", {"width": 100, "color": True, "new": frozenset({report_sample.TRAINING.id})}),
    "report.nagios": ("nagios", {}),
    "report.prom": ("prometheus", {}),
}


@pytest.mark.parametrize("file", GOLDENS)
def test_a_report_is_as_it_was_accepted(file: str) -> None:
    name, options = GOLDENS[file]
    check_golden(file, everything(report_sample.sample(), name, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("table", ["findings", "checks", "cases-duplicate-delivery", "listing-senders", "flow"])
def test_a_table_is_as_it_was_accepted(table: str) -> None:
    files = render(report_sample.sample(), "csv")
    assert isinstance(files, dict)
    check_golden(f"{table}.csv", files[f"{table}.csv"])


def test_the_page_without_style_script_and_charts_is_as_it_was_accepted() -> None:
    page = text_of(report_sample.sample(), "html")
    for start, end in (("<style>", "</style>"), ("<script>", "</script>")):
        page = re.sub(f"{start}.*?{end}", start + end, page, flags=re.DOTALL)
    page = re.sub(r'<svg class="chart".*?</svg>', "<svg></svg>", page, flags=re.DOTALL)
    page = re.sub(r"sha256-[A-Za-z0-9+/=]+", "sha256", page)
    check_golden("page.html", re.sub(r"\n\s*\n+", "\n", page))


def check_golden(file: str, text: str) -> None:
    """Compare with the golden file; LOGSCAN_ACCEPT=1 writes it anew, on purpose."""
    path = GOLDEN / file
    if os.environ.get("LOGSCAN_ACCEPT") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())
    assert path.exists(), f"{path.name} is missing: LOGSCAN_ACCEPT=1 pytest writes it"
    assert text == path.read_bytes().decode(), "LOGSCAN_ACCEPT=1 accepts the change"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "make", [report_sample.hostile, report_sample.empty, report_sample.healthy], ids=lambda f: f.__name__
)
def test_no_report_holds_a_control_character_or_half_a_character(name: str, make: Any) -> None:
    text = everything(make(), name)
    assert not FORBIDDEN.search(text.replace("\r\n", "\n"))
    text.encode("utf-8")


@pytest.mark.parametrize("text", report_sample.HOSTILE, ids=range(len(report_sample.HOSTILE)))
@pytest.mark.parametrize("name", NAMES)
def test_every_string_may_be_hostile_at_once(name: str, text: str) -> None:
    shown = everything(report_sample.hostile_by(text), name)
    assert not FORBIDDEN.search(shown.replace("\r\n", "\n"))


@pytest.mark.parametrize("name", NAMES)
def test_subjects_of_mails_are_shown_only_on_request_and_never_mailed(name: str) -> None:
    secrets = ("winter sale", "Minutes of Monday")
    hidden = everything(report_sample.sample(), name)
    assert not any(secret in hidden for secret in secrets)
    shown = everything(report_sample.sample(), name, show_subjects=True)
    if name in {"html", "json", "text", "csv"}:
        assert "winter sale" in shown
    if name == "email":
        assert not any(secret in shown for secret in secrets)


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        (
            "1795374198\tS\ta@b\tsig\tthe secret\t0.9\tu\tD\t<m>",
            "1795374198\tS\ta@b\tsig\t(subject hidden)\t0.9\tu\tD\t<m>",
        ),
        (
            "A1: warning: header Subject: a secret from b from c[192.0.2.1]; from=<a> to=<b>",
            "A1: warning: header Subject: (subject hidden) from c[192.0.2.1]; from=<a> to=<b>",
        ),
        ("copy: box=Junk, subject=the secret, size=3", "copy: box=Junk, subject=(subject hidden), size=3"),
        ('Passed CLEAN, Subject: "a secret, b", From: x', "Passed CLEAN, Subject: (subject hidden), From: x"),
        ("the subject of this line is none", "the subject of this line is none"),
    ],
)
def test_a_subject_is_hidden_wherever_a_log_has_it(line: str, hidden: str) -> None:
    assert hide_subjects(line) == hidden
    assert hide_subjects(hidden) == hidden


# -- counts and words ------------------------------------------------------------------------------------------------


def test_the_headline_counts_what_is_to_act_on() -> None:
    report = report_sample.sample()
    counts = summarise(report)
    assert (counts.problems, counts.warnings, counts.notes, counts.mended) == (4, 2, 1, 1)
    assert (counts.found, counts.clear, counts.blind, counts.not_applicable) == (5, 8, 3, 1)
    assert counts.headline() == "4 problems, 2 warnings, 8 clear, 3 blind, 1 not applicable"
    assert counts.lines == 14730 + 1733 + 3120  # the copies are not counted twice


def test_problems_stand_before_warnings() -> None:
    assert [each.severity for each in acting(report_sample.sample())] == ["problem"] * 4 + ["warning"] * 2


@pytest.mark.parametrize(
    ("share", "text"),
    [(1, "100 %"), (0.99999, "99.9 %"), (0, "0 %"), (1e-9, "0.1 %"), (0.182, "18.2 %"), (0.5, "50 %")],
)
def test_a_share_never_rounds_to_all_or_nothing(share: float, text: str) -> None:
    assert percent(share) == text


@given(st.text(st.characters(), max_size=200))
@settings(max_examples=300)
def test_visible_text_is_printable_and_keeps_what_is(text: str) -> None:
    shown = visible(text)
    assert not FORBIDDEN.search(shown)
    assert "\n" not in shown
    assert visible(shown) == shown
    shown.encode()
    if text.isascii() and text.isprintable():
        assert shown == text


# -- json ------------------------------------------------------------------------------------------------------------


def test_json_has_the_keys_of_version_2() -> None:
    page = json.loads(text_of(report_sample.sample(), "json"))
    assert list(page) == [
        "logscan", "period", "audit", "configuration", "hosts", "sources", "unknown", "mails", "checks", "plan", "concerns",
        "notes", "traffic",
    ]  # fmt: skip
    assert page["logscan"] == {"version": "0.1.0", "schema": 2}
    assert page["period"] == {
        "first": "2026-11-22T19:00:00+00:00", "last": "2026-11-23T18:55:48+00:00", "year_inferred": True,
        "zone": "UTC", "zone_inferred": True,
    }  # fmt: skip
    assert set(page["sources"][0]) >= {"path", "kind", "lines", "understood", "noise", "unknown", "undecodable"}
    assert set(page["unknown"][0]) == {"program", "template", "count", "example"}
    assert set(page["unknown"][0]["example"]) == {"source", "line", "text"}
    check = page["checks"][2]
    assert set(check) >= {"name", "verdict", "checked", "eligible", "blind_because", "predictions", "findings"}
    assert set(check["predictions"][0]) == {"cause", "subject", "text", "file", "line", "seen", "remedy"}
    keys = ["id", "severity", "confidence", "state", "cause", "subject", "summary", "count"]
    keys += ["first", "last", "cases", "remedy", "evidence"]
    assert set(check["findings"][0]) >= set(keys)
    assert set(check["findings"][0]["remedy"]) >= {"text", "file", "line", "diff"}
    assert check["findings"][1]["remedy"] is None
    assert check["findings"][0]["cases"][0]["time"] == "2026-11-22T19:03:36+00:00"


def test_json_is_valid_whatever_a_case_holds() -> None:
    report = report_sample.sample()
    odd = {
        "nan": math.nan, "inf": math.inf, "nat": pandas.NaT, "na": pandas.NA, "int": numpy.int64(3),
        "float": numpy.float64("nan"), "array": numpy.array([1, 2]), "set": {"b", "a"},
        "time": pandas.Timestamp(0, tz="UTC"), "bytes": b"\xff", "path": Path("x"), "bool": numpy.bool_(True),
        "\udc80": "\udc80",
    }  # fmt: skip
    report.checks[0].findings = [replace(report_sample.TRAINING, cases=[odd])]

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    page = json.loads(text_of(report, "json"), parse_constant=refuse)
    case = page["checks"][0]["findings"][0]["cases"][0]
    assert case == {
        "nan": None, "inf": None, "nat": None, "na": None, "int": 3, "float": None, "array": [1, 2], "set": ["a", "b"],
        "time": "1970-01-01T00:00:00+00:00", "bytes": "\\xff", "path": "x", "bool": True, "\\udc80": "\\udc80",
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name in NAMES if name != "json"])
def test_the_others_take_such_cases_too(name: str) -> None:
    report = report_sample.sample()
    odd: dict[str, Any] = {
        "nan": math.nan,
        "nat": pandas.NaT,
        "na": pandas.NA,
        "int": numpy.int64(3),
        "set": {"b", "a"},
    }
    report.checks[0].findings = [replace(report_sample.TRAINING, cases=[odd, {"time": pandas.NaT}, {}])]
    assert everything(report, name)


# -- text ------------------------------------------------------------------------------------------------------------


def test_text_is_plain_unless_colour_is_asked_for() -> None:
    assert "\x1b" not in text_of(report_sample.sample(), "text")
    assert "\x1b[1;31m" in text_of(report_sample.sample(), "text", color=True)


def test_text_in_colour_holds_no_command_of_a_log() -> None:
    shown = text_of(report_sample.hostile(), "text", color=True)
    assert not FORBIDDEN.search(re.sub(r"\x1b\[[\d;]*m", "", shown))
    assert "[bold red]markup[/bold red]" in shown
    assert "]8;" not in shown
    assert ":smile:" in shown


@pytest.mark.parametrize("width", [20, 80, 120])
def test_text_keeps_to_the_width_but_for_what_is_to_be_copied(width: int) -> None:
    lines = text_of(report_sample.sample(), "text", width=width).splitlines()
    long = [line for line in lines if len(line) > max(80, width)]
    assert all(line.lstrip().startswith(("+", "-")) for line in long)


def test_a_diff_is_never_cut_in_text() -> None:
    assert report_sample.DUPLICATE.remedy is not None
    shown = text_of(report_sample.sample(), "text", width=80)
    for line in str(report_sample.DUPLICATE.remedy.diff).splitlines():
        assert line in shown


def test_text_of_a_healthy_server_says_so_and_what_is_not_looked_at() -> None:
    assert text_of(report_sample.healthy(), "text").splitlines()[2:4] == [
        "All clear: 13 checks looked, 3 are blind  ·  13 clear  ·  3 blind  ·  1 not applicable",
        "Not looked at, the evidence is missing: dictionary-full, stray-dictionary, mailbox-refused.",
    ]


# -- csv -------------------------------------------------------------------------------------------------------------


def test_csv_reads_back_and_starts_no_formula() -> None:
    files = render(report_sample.hostile(), "csv")
    assert isinstance(files, dict)
    for name, text in files.items():
        assert re.fullmatch(r"[A-Za-z0-9_-]+\.csv", name)
        rows = list(csv.reader(io.StringIO(text, newline="")))
        assert len({len(row) for row in rows}) == 1, name
        for value in (value for row in rows for value in row):
            assert not re.match(r"\s*[=+@\t\r|%]", value), value
            assert not re.match(r"\s*-(?![\d.]+$)", value), value


def test_csv_goes_into_a_folder_and_its_findings_to_stdout(tmp_path: Path) -> None:
    content = render(report_sample.sample(), "csv")
    save(content, tmp_path / "tables")
    assert (tmp_path / "tables" / "findings.csv").read_bytes().decode() == for_stdout(content, "csv")
    assert len(list(csv.reader(io.StringIO(str(for_stdout(content, "csv")))))) == 1 + 8


# -- nagios ----------------------------------------------------------------------------------------------------------


def only(severity: Severity) -> Report:
    report = report_sample.healthy()
    report.checks[0].findings = [replace(report_sample.TRAINING, severity=severity)]
    return report


@pytest.mark.parametrize(
    ("report", "status", "word"),
    [
        (only("problem"), 2, "CRITICAL"),
        (only("warning"), 1, "WARNING"),
        (only("note"), 0, "OK"),
        (report_sample.healthy(), 0, "OK"),
        (report_sample.empty(), 3, "UNKNOWN"),
        (report_sample.empty(40), 3, "UNKNOWN"),
    ],
)
def test_nagios_says_its_status_in_word_and_number(report: Report, status: int, word: str) -> None:
    assert exit_status(report, "nagios") == status
    assert text_of(report, "nagios").startswith(f"LOGSCAN {word} - ")


@pytest.mark.parametrize("text", report_sample.HOSTILE, ids=range(len(report_sample.HOSTILE)))
def test_nagios_stays_one_line_with_one_pipe(text: str) -> None:
    line = text_of(report_sample.hostile_by(text), "nagios")
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert line.count("|") == 1
    assert len(line) < 1500
    data = line.rstrip("\n").partition("|")[2]
    assert all(re.fullmatch(r"[a-z_]+=\d+(;\d*){0,2}", each) for each in data.split(" "))


# -- prometheus ------------------------------------------------------------------------------------------------------

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\\\|\\"|\\n)*",?)*)\})? (-?[0-9.e+-]+)')


@pytest.mark.parametrize(
    "make", [report_sample.sample, report_sample.hostile, report_sample.empty], ids=lambda f: f.__name__
)
def test_prometheus_lines_are_of_its_grammar_each_metric_explained_once(make: Any) -> None:
    explained: list[str] = []
    seen = set()
    for line in text_of(make(), "prometheus").splitlines():
        if line.startswith("# HELP "):
            explained.append(line.split(" ")[2])
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2:] == [explained[-1], "gauge"]
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            assert found[1] == explained[-1]
            if make is not report_sample.hostile:
                assert (found[1], found[2]) not in seen
            seen.add((found[1], found[2]))
    assert len(explained) == len(set(explained)) > 5


def test_prometheus_tells_the_verdict_of_each_check_and_the_end_of_the_period() -> None:
    shown = text_of(report_sample.sample(), "prometheus")
    assert 'logscan_check_verdict{check="duplicate-delivery",verdict="found"} 1\n' in shown
    assert f"logscan_period_last_timestamp_seconds {int(report_sample.at(23.93).timestamp())}" in shown


# -- html ------------------------------------------------------------------------------------------------------------

VOID = {"meta", "link", "br", "wbr", "input", "img"}


class Outline(html.parser.HTMLParser):
    """Checks that elements nest and collects what a page could load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in {"src", "href", "srcset", "action", "data", "poster"}:
                self.loads.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    "make", [report_sample.sample, report_sample.hostile, report_sample.empty], ids=lambda f: f.__name__
)
def test_the_page_nests_and_loads_nothing(make: Any) -> None:
    outline = Outline()
    outline.feed(text_of(make(), "html"))
    outline.close()
    assert outline.open == []
    assert all(each.startswith(("#", "data:image/svg+xml,")) for each in outline.loads)


def test_the_policy_names_the_page_s_own_style_and_script_and_nothing_else() -> None:
    page = text_of(report_sample.sample(), "html")
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0])
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; ")
    assert " style=" not in page


def test_a_page_of_a_million_lines_stays_below_its_limit() -> None:
    for findings in (10, 25, 80, 400):
        page = text_of(report_sample.large(findings), "html")
        assert len(page.encode()) < 1_500_000, findings


def test_long_lists_are_folded_with_their_count() -> None:
    page = text_of(report_sample.large(), "html")
    assert re.search(r"3\d\d more causes", page)
    assert re.search(r"\d+ of 1,204 shown", page)


def of_people(count: int) -> Report:
    """Return a report in which one cause met so many people, the later ones more often."""
    report = report_sample.sample()
    check = report.checks[0]
    check.findings = [
        replace(
            report_sample.TRAINING, subject=f"user{number}", summary=f"user{number} trained in vain", count=number + 1
        )
        for number in range(count)
    ]
    check.many = {"login-without-domain": "{n} people log in without a domain"}
    return report


def test_what_has_one_cause_and_one_cure_is_one_thing_to_do_whoever_it_happened_to() -> None:
    page, text = (text_of(of_people(300), name) for name in ("html", "text"))
    raw = render(of_people(300), "email", mail_to=("root@example.com",))
    assert isinstance(raw, bytes)
    body = email.message_from_bytes(raw, policy=email.policy.default).get_body(("html",))
    assert body is not None
    mail = body.get_content()
    assert page.count("300 people log in without a domain") == 2  # in the list, and on its card
    assert page.count("Spell the domain in the arguments") == 1
    assert page.count("+  antispam_dspam_args") <= 2  # the change, and all changes as one
    assert page.index("user299 trained in vain") < page.index("user298 trained in vain")
    assert len(page) < 1_500_000
    assert "300 people log in without a domain" in text
    assert text.count("Spell the domain in the arguments") == 1
    assert "… and 288 more" in text
    assert len(text.splitlines()) < 400
    assert "300 people log in without a domain" in mail
    assert json.loads(text_of(of_people(300), "json"))["checks"][0]["findings"][299]["subject"] == "user299"
    assert summarise(of_people(300)).problems == summarise(report_sample.sample()).problems
    assert "300 people" not in text_of(of_people(1), "text")


def test_times_are_the_server_s_and_the_page_says_so() -> None:
    report = report_sample.sample()
    from zoneinfo import ZoneInfo

    berlin = ZoneInfo("Europe/Berlin")
    first, last = report.period.first, report.period.last
    assert first
    assert last
    report.period = replace(
        report.period, first=first.astimezone(berlin), last=last.astimezone(berlin), zone="Europe/Berlin"
    )
    page = text_of(report, "html")
    assert "Times are the server’s: <b>Europe/Berlin</b>" in page
    assert "<time>2026-11-22 20:03</time>" in page  # 19:03 UTC
    assert "2026-11-22 20:03:00" in text_of(report, "text")


def test_what_is_new_is_marked() -> None:
    new = frozenset({report_sample.TRAINING.id})
    assert text_of(report_sample.sample(), "html", new=new).count(">new</span>") == 2
    assert "1 new" in text_of(report_sample.sample(), "text", new=new)
    assert "(1 new)" in text_of(report_sample.sample(), "nagios", new=new)
    assert "logscan_findings_new 1\n" in text_of(report_sample.sample(), "prometheus", new=new)


# -- writing ---------------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "report.prom"
    save("one\n", path)
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0o077 & ~_umask() & 0o666
    path.chmod(0o640)
    save("two\n", path)
    assert path.read_text() == "two\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["report.prom"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_cannot_be_written_leaves_no_rest(tmp_path: Path) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
        save("x", tmp_path / "missing" / "report.html")
    with pytest.raises(UnicodeEncodeError):
        save("\udc80", tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_a_finding_keeps_its_number() -> None:
    again = Finding("login-without-domain", "alice", "other words", "note", "low", 1, [], check="training-misses-hash")
    assert again.id == report_sample.TRAINING.id
    assert report_sample.sample().generated == datetime(2026, 11, 23, 19, 30, tzinfo=UTC)


def test_a_format_is_called_like_its_module_so_that_it_reaches_the_command_line_by_itself() -> None:
    from logscan.plugins import names
    from logscan.rendering.renderers import by_suffix, renderers

    assert names("logscan.reports") == sorted(renderers())
    assert by_suffix()[".txt"] == "text"
