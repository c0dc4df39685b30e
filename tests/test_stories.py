"""The shipped stories: what logscan says of genuine logs is what really happened, case by case, in any form of the log."""

from __future__ import annotations

import functools
import gzip
import json
import random
import re
import shutil
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from matrix import filter_of, on_record

import logscan
from benchmarks.accuracy import Score, copies, dictionaries, legs, scores
from logscan.checking.check import all_checks
from logscan.pipeline.running import render
from logscan.report.model import Report
from logscan.samples import stories, story
from logscan.scan.scan import Scan

STORIES = tuple(stories())
HEALTHY = tuple(name for name in STORIES if "healthy" in name)
WITH_DSPAM = tuple(name for name in STORIES if not name.startswith(("amavis-", "rspamd-")))
CHECKS = tuple(check.name for check in all_checks())
TWIN = Path(__file__).parent / "data"
"""The ISO log of the same events as a story's traditional one, in a folder named like the story."""
TWINS = ("healthy", "mixed-day")


def read(*sources: Path) -> tuple[Scan, Report]:
    scan = logscan.read(*sources, jobs=1)
    return scan, logscan.analyse(scan)


@functools.cache
def told(name: str) -> tuple[Scan, Report]:
    return read(story(name))


@functools.cache
def truth(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((story(name) / "truth.json").read_text())
    return found


@functools.cache
def scored(name: str) -> dict[str, Score]:
    scan, report = told(name)
    return {score.name: score for score in scores(truth(name), scan, report, dictionaries(story(name)))}


def verdicts(report: Report) -> dict[str, str]:
    return {check.name: check.verdict for check in report.checks}


# -- what really happened ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", STORIES)
def test_every_case_is_reported_and_no_other(name: str, check: str) -> None:
    score = scored(name)[check]
    assert score.expected - score.reported == {}, "missing"
    assert score.reported - score.expected == {}, "too much"
    assert (score.recall, score.precision) == (1.0, 1.0)


@pytest.mark.parametrize("name", STORIES)
def test_every_hop_through_the_filter_is_a_leg_and_no_leg_contradicts_one(name: str) -> None:
    expected, found, contradicted = legs(truth(name), told(name)[0])
    assert (found, contradicted) == (expected, 0)


@pytest.mark.parametrize("name", STORIES)
def test_copies_per_mailbox_are_those_that_lay_there(name: str) -> None:
    total, wrong = copies(truth(name), told(name)[0])
    assert total > 0
    assert wrong == []


@pytest.mark.parametrize("name", STORIES)
def test_every_line_is_understood_or_known_noise(name: str) -> None:
    _, report = told(name)
    assert report.unknown == []
    assert {
        each.path: each.unknown + each.undecodable for each in report.sources if each.unknown or each.undecodable
    } == {}
    assert sum(each.lines for each in report.sources) > 300


@pytest.mark.parametrize("name", STORIES)
def test_nothing_of_a_story_is_an_error(name: str) -> None:
    scan, _ = told(name)
    assert scan.errors == []


# -- causes and states -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STORIES)
def test_each_verdict_is_the_one_on_record(name: str) -> None:
    scan, report = told(name)
    on_record(f"story: {name}", filter_of(scan), verdicts(report))


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_server_has_nothing_found(name: str) -> None:
    assert "found" not in verdicts(told(name)[1]).values()


@pytest.mark.parametrize("name", ["healthy", "healthy-named-reinjection"])
def test_a_healthy_server_with_dspam_is_clear_at_the_heart(name: str) -> None:
    heart = {check.name for check in all_checks() if check.group == "heart"}
    assert {verdict for check, verdict in verdicts(told(name)[1]).items() if check in heart} == {"clear"}


LOGIN, ALIAS, TWICE = "login-without-domain", "alias-not-expanded", "double-alias-expansion"
PORT, SCRIPT = "authenticated-port-25", "local-script"


def due(check: str, cause: str, *who: str, severity: str = "problem", state: str = "active") -> set[tuple[str, ...]]:
    """Return what is to be found of each; a name without a domain is one of example.com, ``alice@`` a bare login."""
    names = [each.removesuffix("@") if "@" in each or "[" in each else f"{each}@example.com" for each in who]
    return {(check, cause, name, severity, state) for name in names}


def noted(check: str, cause: str, subject: str) -> set[tuple[str, ...]]:
    """Return a note about something that is no address."""
    return {(check, cause, subject, "note", "active")}


SOCKET = "mx1.example.com[/var/run/dspam/dspam.sock]"

CAUSES = {
    "healthy": due("duplicate-delivery", "overlapping-aliases", "alice", severity="note")
    | due("duplicate-delivery", "sender-resent", "erin", severity="note"),
    "training-user-without-domain": due("training-misses-hash", LOGIN, "alice@", "carol@", "erin@")
    | noted("stray-dictionary", "bare-name", "names without a domain"),
    "alias-not-expanded-before-dspam": due("training-misses-hash", ALIAS, "alice", "bob", "carol", "erin")
    | due("alias-owns-hash", ALIAS, "sales", "info", "monitoring", "all")
    | due("duplicate-delivery", "overlapping-aliases", "alice", "archive", "dave", severity="note"),
    "double-alias-expansion": due("duplicate-delivery", TWICE, "monitoring", "root", "abuse", "sales-archive")
    | due("duplicate-delivery", "sender-resent", "erin", severity="note")
    | due("local-mail-filtered", SCRIPT, "nagios", severity="note"),
    "dspam-crash": due("duplicate-delivery", "filter-reinjected-twice", SOCKET)
    | due("filter-unreachable", "filter-breaks-off", f"{SOCKET}, 2026-11-22 19:13", severity="warning")
    | due("filter-unreachable", "filter-breaks-off", f"{SOCKET}, 2026-11-22 19:15", severity="note"),
    "authenticated-port-25": due("authenticated-port-25", PORT, "bob", "carol", "erin")
    | due("outgoing-tagged-spam", PORT, "carol", "erin")
    | due("internal-tagged-spam", PORT, "carol"),
    "mixed-day": due("training-misses-hash", "case-or-extension", "frank")
    | due("training-misses-hash", LOGIN, "alice@", "erin@")
    | due("training-misses-hash", ALIAS, "bob", state="residual")
    | due("alias-owns-hash", ALIAS, "sales", "all", "info", "monitoring", state="mended")
    | due("duplicate-delivery", TWICE, "root", state="mended")
    | due("authenticated-port-25", PORT, "bob", "carol")
    | due("outgoing-tagged-spam", SCRIPT, "newsletter")
    | due("outgoing-tagged-spam", PORT, "carol")
    | due("local-mail-filtered", SCRIPT, "newsletter", "shop", severity="warning")
    | due("local-mail-filtered", SCRIPT, "nagios", "root", severity="note")
    | due("filter-unreachable", "socket-missing", f"{SOCKET}, 2026-11-23 07:05", severity="warning")
    | due("filter-unreachable", "filter-not-running", f"{SOCKET}, 2026-11-23 09:11", severity="warning")
    | noted("filter-unreachable", "way-back-closed", "127.0.0.1:10026, 2026-11-23 08:09")
    | noted("mail-stuck", "no-connection", "dead.example.net")
    | noted("stray-dictionary", "bare-name", "names without a domain")
    | noted("postfix-complains", "template-units", "Postfix"),
}


@pytest.mark.parametrize("name", CAUSES)
def test_each_finding_names_its_cause_its_weight_and_its_state(name: str) -> None:
    found = {(f.check, f.cause, f.subject, f.severity, f.state) for f in told(name)[1].found}
    assert found == CAUSES[name]


@pytest.mark.parametrize("name", STORIES)
def test_no_finding_has_a_cause_that_its_check_does_not_name(name: str) -> None:
    named = {check.name: check.causes for check in all_checks()}
    assert [(f.check, f.cause) for f in told(name)[1].found if f.cause not in named[f.check]] == []


@pytest.mark.parametrize("name", STORIES)
def test_what_is_by_design_is_a_note(name: str) -> None:
    by_design = {"overlapping-aliases", "sender-resent"}
    assert {f.severity for f in told(name)[1].found if f.cause in by_design} <= {"note"}


def test_what_three_reloads_mended_makes_no_verdict_found() -> None:
    found = verdicts(told("mixed-day")[1])
    assert (found["alias-owns-hash"], found["duplicate-delivery"]) == ("clear", "clear")


def test_the_day_s_mended_findings_lie_in_the_phases_that_made_them() -> None:
    phases = {event["phase"]: event["t"] for event in truth("mixed-day")["events"] if event["kind"] == "phase"}
    spans = {"alias-owns-hash": ("B", "C"), "duplicate-delivery": ("C", "D")}
    mended = [f for f in told("mixed-day")[1].found if f.state == "mended"]
    assert {f.check for f in mended} == set(spans)
    for finding in mended:
        begin, end = (phases[each] for each in spans[finding.check])
        assert finding.first
        assert finding.last
        assert begin - 1 <= finding.first.timestamp() <= finding.last.timestamp() <= end + 60


def test_a_training_with_two_causes_names_both() -> None:
    causes = {
        tuple(case["causes"]) for f in told("mixed-day")[1].found if (f.check, f.subject) == ("training-misses-hash", "alice")
        for case in f.cases
    }  # fmt: skip
    assert (LOGIN, ALIAS) in causes


def test_every_finding_shows_its_lines() -> None:
    for name in STORIES:
        scan, report = told(name)
        labels = {source.label for source in scan.sources}
        for finding in report.found:
            if finding.check == "stray-dictionary":
                continue  # told by the listing of DSPAM's home: no line of a log
            assert finding.evidence, (name, finding.summary)
            assert {each.source for each in finding.evidence} <= labels


def test_evidence_is_the_very_line_of_the_file() -> None:
    for finding in told("training-user-without-domain")[1].found:
        if finding.check == "stray-dictionary":
            continue
        assert any(each.source == "mail.log" for each in finding.evidence)
        for each in (line for line in finding.evidence if line.source == "mail.log"):
            lines = (story("training-user-without-domain") / each.source).read_text().splitlines()
            assert lines[each.line - 1] == each.text


def test_a_finding_has_the_same_id_in_each_run() -> None:
    ids = [f.id for f in told("mixed-day")[1].found]
    assert ids == [f.id for f in read(story("mixed-day"))[1].found]
    assert len(set(ids)) == len(ids)


# -- what can't be seen isn't clear ------------------------------------------------------------------------------------

DSPAM_FILES = ("dspam", "dspam-data.txt")
CONFIGURATION = ("main.cf", "master.cf", "virtual", "vmailbox", "transport", "doveconf-n.txt", "dspam.conf",
                 "postconf-n.txt", "postconf-M.txt", "postconf-P.txt", "amavisd.conf")  # fmt: skip


def without(name: str, to: Path, *names: str) -> Path:
    """Copy a story without these files, and without its truth."""
    shutil.copytree(story(name), to, ignore=shutil.ignore_patterns("truth.json", *names))
    return to


@pytest.mark.parametrize("name", ["outgoing-tagged-spam", "authenticated-port-25"])
def test_without_dspam_s_files_the_checks_that_need_its_verdicts_are_not_clear(name: str, tmp_path: Path) -> None:
    _, report = read(without(name, tmp_path / "bare", *DSPAM_FILES))
    found = verdicts(report)
    assert found["outgoing-tagged-spam"] == "blind"
    assert found["internal-tagged-spam"] != "clear"
    assert found["duplicate-delivery"] == "clear"
    assert found["authenticated-port-25"] == verdicts(told(name)[1])["authenticated-port-25"]


def test_without_dspam_s_files_a_healthy_server_is_blind_for_training(tmp_path: Path) -> None:
    _, report = read(without("healthy", tmp_path / "bare", *DSPAM_FILES))
    check = next(each for each in report.checks if each.name == "training-misses-hash")
    assert check.verdict == "blind"
    assert "system.log" in " ".join(check.blind_because)


@pytest.mark.parametrize("name", ["training-user-without-domain", "mixed-day"])
def test_without_dspam_s_files_the_misses_are_still_found(name: str, tmp_path: Path) -> None:
    _, report = read(without(name, tmp_path / "bare", *DSPAM_FILES))
    check = next(each for each in report.checks if each.name == "training-misses-hash")
    assert check.verdict == "found"
    cases = {case["signature"] for finding in check.findings for case in finding.cases}
    assert cases == {signature for _, signature in scored(name)["training-misses-hash"].expected}


@pytest.mark.parametrize("name", WITH_DSPAM)
def test_without_a_configuration_nothing_that_was_found_becomes_clear(name: str, tmp_path: Path) -> None:
    before = verdicts(told(name)[1])
    after = verdicts(read(without(name, tmp_path / "bare", *CONFIGURATION))[1])
    assert {check for check in before if before[check] == "found" and after[check] == "clear"} == set()


def test_without_a_configuration_port_25_is_known_with_less_confidence(tmp_path: Path) -> None:
    _, report = read(without("authenticated-port-25", tmp_path / "bare", *CONFIGURATION))
    found = [f for f in report.found if f.check == "authenticated-port-25"]
    assert {f.confidence for f in found} == {"medium"}
    assert {f.remedy.diff for f in found if f.remedy} <= {None}


def test_without_a_configuration_nothing_is_predicted(tmp_path: Path) -> None:
    _, report = read(without("double-alias-expansion", tmp_path / "bare", *CONFIGURATION))
    assert [each for check in report.checks for each in check.predictions] == []


def test_a_dspam_log_of_another_week_is_no_evidence(tmp_path: Path) -> None:
    folder = without("outgoing-tagged-spam", tmp_path / "other", "dspam-data.txt")
    log = folder / "dspam" / "system.log"
    week = 7 * 86400
    log.write_text(re.sub(r"(?m)^\d{10}", lambda epoch: str(int(epoch[0]) - week), log.read_text()))
    found = verdicts(read(folder)[1])
    assert found["outgoing-tagged-spam"] != "clear"
    assert found["internal-tagged-spam"] != "clear"


# -- the same log in another form --------------------------------------------------------------------------------------


def log_of(name: str) -> bytes:
    """Return a story's mail log as one text, oldest line first."""
    parts = sorted(story(name).glob("mail.log*"), key=lambda path: path.name.removesuffix(".gz"), reverse=True)
    return b"".join(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in parts)


def iso_of(name: str) -> bytes:
    return gzip.decompress((TWIN / name / "mail.iso.log.gz").read_bytes())


def as_folder(name: str, to: Path, logs: dict[str, bytes]) -> Path:
    """Copy a story with other logs in place of its own."""
    without(name, to, "mail.log*")
    for file, content in logs.items():
        (to / file).write_bytes(content)
    return to


FRACTION = re.compile(r"(T\d\d:\d\d:\d\d)\.\d+")


def comparable(report: Report) -> Any:
    """Return the JSON document without evidence, sources, parts of seconds, and how year and zone were found."""
    text = FRACTION.sub(r"\1", str(render(report, "json")))
    document = json.loads(text)
    del document["sources"], document["notes"], document["period"]["year_inferred"]
    del document["period"]["zone"], document["period"]["zone_inferred"]
    for check in document["checks"]:
        for finding in check["findings"]:
            del finding["evidence"]
    for each in document["traffic"]["lists"]:
        # Seconds depend on whether the log tells parts of them.
        each["rows"] = [[None if isinstance(value, float) else value for value in row] for row in each["rows"]]
        if each["key"] == "slowest":
            each["rows"], each["total"] = [], 0
    for unknown in document["unknown"]:
        del unknown["example"]
    return document


def unordered(value: Any) -> Any:
    """Return ``value`` with each list sorted: what happened within one second has no order in a log without fractions."""
    if isinstance(value, dict):
        return {key: unordered(each) for key, each in value.items()}
    return sorted(map(unordered, value), key=json.dumps) if isinstance(value, list) else value


def same(name: str, report: Report) -> None:
    assert unordered(comparable(report)) == unordered(comparable(told(name)[1]))


@pytest.mark.parametrize("name", TWINS)
def test_the_iso_log_tells_the_same_as_the_traditional_one(name: str, tmp_path: Path) -> None:
    same(name, read(as_folder(name, tmp_path / "iso", {"mail.log": iso_of(name)}))[1])


@pytest.mark.parametrize("name", TWINS)
def test_both_logs_together_tell_the_same_as_one(name: str, tmp_path: Path) -> None:
    folder = as_folder(name, tmp_path / "both", {"mail.log": log_of(name), "mail.iso.log": iso_of(name)})
    scan, report = read(folder)
    same(name, report)
    assert any("read once" in note for note in scan.notes)


@pytest.mark.parametrize("name", TWINS)
def test_a_log_that_turns_from_traditional_to_iso_tells_the_same(name: str, tmp_path: Path) -> None:
    old, new = log_of(name).splitlines(keepends=True), iso_of(name).splitlines(keepends=True)
    turn = len(old) // 2
    folder = as_folder(name, tmp_path / "mixed", {"mail.log": b"".join([*old[:turn], *new[turn:]])})
    same(name, read(folder)[1])


@pytest.mark.parametrize("name", TWINS)
def test_a_compressed_log_tells_the_same(name: str, tmp_path: Path) -> None:
    folder = as_folder(name, tmp_path / "packed", {"mail.log.gz": gzip.compress(log_of(name))})
    assert comparable(read(folder)[1]) == comparable(told(name)[1])


@pytest.mark.parametrize("name", STORIES)
def test_a_log_split_at_any_line_into_rotated_parts_tells_the_same(name: str, tmp_path: Path) -> None:
    lines = log_of(name).splitlines(keepends=True)
    first, second = sorted(random.Random(name).sample(range(1, len(lines)), 2))
    parts = {
        "mail.log.2.gz": gzip.compress(b"".join(lines[:first])),
        "mail.log.1": b"".join(lines[first:second]),
        "mail.log": b"".join(lines[second:]),
    }
    scan, report = read(as_folder(name, tmp_path / "rotated", parts))
    assert comparable(report) == comparable(told(name)[1])
    assert sum(source.copies for source in scan.sources) == 0, "repeats across parts of one log are no copies"


def second_of(line: bytes) -> bytes:
    return line[:19] if line[:2] == b"20" else line[:15]


def shuffled(log: bytes, seed: str) -> bytes:
    """Return the log with the lines of each second in any order."""
    source = random.Random(seed)
    out: list[bytes] = []
    for _, lines in groupby(log.splitlines(keepends=True), second_of):
        some = list(lines)
        source.shuffle(some)
        out += some
    return b"".join(out)


@pytest.mark.parametrize("name", STORIES)
def test_the_order_of_lines_within_a_second_means_nothing(name: str, tmp_path: Path) -> None:
    folder = as_folder(name, tmp_path / "shuffled", {"mail.log": shuffled(log_of(name), name)})
    same(name, read(folder)[1])


def test_the_sentence_of_a_clear_check_doesn_t_deny_what_was_mended() -> None:
    said = {
        name: {check.name: check.clear_title for check in told(name)[1].checks} for name in ("mixed-day", "healthy")
    }
    assert said["mixed-day"]["duplicate-delivery"].startswith(
        "Mail is stored more than once: mended, and no case since ("
    )
    assert said["healthy"]["duplicate-delivery"].startswith("No mail was stored twice, but for 2 mails by design (")
