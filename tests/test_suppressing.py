"""What the settings file says of checks: thresholds that it sets, findings that it suppresses, and what it can't say."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

import logscan
from logscan.checking.check import all_checks
from logscan.checking.limits import Threshold, fault, thresholds
from logscan.findings import Suppression
from logscan.rendering.renderers import renderers
from logscan.rendering.summary import summarise, verdict_line
from logscan.report.model import Report
from logscan.samples import story
from logscan.scan.options import Options

Run = Callable[..., "subprocess.CompletedProcess[str]"]

STORY = story("training-user-without-domain")
NAME = "training-misses-hash"
TODAY = datetime(2026, 12, 1, tzinfo=UTC)
ALL = Suppression(NAME, "moves to the new server in January", until=date(2027, 1, 31))


def report(*suppressions: Suppression, now: datetime = TODAY) -> Report:
    scan = logscan.read(STORY, jobs=1, options=Options(suppressions=suppressions))
    return logscan.analyse(scan, now=now)


def states(found: Report) -> set[str]:
    return {finding.state for check in found.checks if check.name == NAME for finding in check.findings}


def test_a_suppressed_finding_is_shown_with_its_reason_and_counts_for_nothing() -> None:
    found = report(ALL)
    (check,) = [each for each in found.checks if each.name == NAME]
    assert {finding.state for finding in check.findings if finding.severity != "note"} == {"suppressed"}
    assert check.verdict != "found"
    assert "only what the settings suppress" in check.clear_title
    assert all(finding.check != NAME for finding in found.found if finding.counts)
    for name in renderers():
        if name in ("prometheus", "csv"):
            continue
        text = logscan.render(found, name, verbose=True, mail_from="a@example.org", mail_to=("b@example.org",))
        shown = text if isinstance(text, str) else bytes(text).decode()  # type: ignore[arg-type]
        shown = " ".join(shown.replace("=\r\n", "").replace("=\n", "").split())
        assert "suppressed" in shown, name
        if name != "nagios":
            assert "moves to the new server" in shown, name


def test_the_forms_for_programs_tell_it() -> None:
    found = report(ALL)
    (check,) = [each for each in json.loads(str(logscan.render(found, "json")))["checks"] if each["name"] == NAME]
    told = [each["suppressed"] for each in check["findings"] if each["state"] == "suppressed"]
    assert told
    assert told[0] == {
        "check": NAME, "subject": "*", "cause": "*", "until": "2027-01-31", "reason": "moves to the new server in January",
    }  # fmt: skip
    assert f'severity="problem",state="suppressed"}} {len(told)}' in str(logscan.render(found, "prometheus"))
    assert verdict_line(summarise(found)).startswith(f"All clear but for {len(told)} suppressed findings: ")
    line = str(logscan.render(found, "nagios"))
    assert f"{len(told)} suppressed" in line


def test_without_suppressions_no_form_speaks_of_them() -> None:
    found = report()
    for name in ("text", "prometheus", "nagios"):
        assert "suppress" not in str(logscan.render(found, name)), name


@pytest.mark.parametrize(
    ("suppression", "works"),
    [
        (Suppression(NAME, "why", subject="*"), True),
        (Suppression(NAME, "why", subject="ALICE*"), True),
        (Suppression(NAME, "why", subject="nobody*"), False),
        (Suppression(NAME, "why", cause="login-*"), True),
        (Suppression(NAME, "why", cause="signature-expired"), False),
        (Suppression("mail-loop", "why"), False),
        (Suppression(NAME, "why", until=date(2026, 12, 1)), True),
        (Suppression(NAME, "why", until=date(2026, 11, 30)), False),
    ],
)
def test_check_subject_cause_and_day_tell_what_is_suppressed(suppression: Suppression, works: bool) -> None:
    found = states(report(suppression))
    assert ("suppressed" in found) == works


def test_a_suppression_that_has_ended_is_named_where_its_finding_shows_again() -> None:
    found = report(Suppression(NAME, "till the move", until=date(2026, 11, 30)))
    assert any("suppression ended on 2026-11-30" in note and "till the move" in note for note in found.notes)


def test_what_was_acknowledged_by_name_is_that_finding_alone_and_the_check_says_so() -> None:
    every = [each for each in report().found if each.check == NAME and each.counts]
    acks = [Suppression(NAME, "asked her", each.subject, each.cause, by="root") for each in every]
    found = report(*acks, Suppression(NAME, "another", subject="*", by="root"))
    (check,) = [each for each in found.checks if each.name == NAME]
    assert states(found) == {"suppressed"}
    assert check.clear_title.startswith("Users train in vain: only what is acknowledged (")
    shown = " ".join(str(logscan.render(found, "text")).split())
    assert "acknowledged by root without an end: asked her" in shown
    assert "suppress" not in shown
    assert verdict_line(summarise(found)).startswith(f"All clear but for {len(every)} acknowledged finding")
    mixed = report(acks[0], replace(ALL, reason="moves"))
    assert any("only what" in each.clear_title for each in mixed.checks if each.name == NAME)
    assert states(report(replace(acks[0], subject="ALIC*"))) != {"suppressed"}


def test_what_is_no_finding_any_more_is_not_suppressed() -> None:
    mended = logscan.read(
        story("mixed-day"), jobs=1, options=Options(suppressions=(Suppression("alias-owns-hash", "x"),))
    )
    (check,) = logscan.analyse(mended, checks=["alias-owns-hash"]).checks
    assert {finding.state for finding in check.findings} == {"mended"}


def test_the_settings_file_suppresses_and_fail_on_heeds_it(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    path.write_text(f'[[suppress]]\ncheck = "{NAME}"\nsubject = "*"\nuntil = 2099-12-31\nreason = "we know"\n')
    plain = run("analyse", STORY, "--check", NAME, "--fail-on", "warning")
    done = run("analyse", STORY, "--check", NAME, "--fail-on", "warning", "--settings", path)
    assert (plain.returncode, done.returncode) == (1, 0)
    assert "suppressed until 2099-12-31: we know" in " ".join(done.stdout.split())


LIMITED = [check for check in all_checks() if check.limits is not None]


@pytest.mark.parametrize("check", LIMITED, ids=lambda check: check.name)
def test_each_threshold_has_a_reason_and_can_be_set(check: logscan.checking.check.Check) -> None:
    told = thresholds(check.limits)
    assert [each.name for each in told] == [each.name for each in fields(check.limits)]  # type: ignore[arg-type]
    for each in told:
        assert len(each.reason.split()) > 4, each
        assert not fault(each.default, each.default if not isinstance(each.default, tuple) else list(each.default))


def test_a_threshold_of_the_file_reaches_the_check(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    ids = iter(range(1, 99))
    lines = []

    def mail(sender: str, recipient: str, client: str) -> None:
        number = f"4F1A2B{next(ids):04X}"
        outside = recipient.endswith("example.net")
        relay = "mx.example.net[192.0.2.9]:25" if outside else "virtual"
        lines.extend(
            [
                f"postfix/submission/smtpd[8]: {number}: client={client}",
                f"postfix/cleanup[9]: {number}: message-id=<{number}@example.org>",
                f"postfix/qmgr[7]: {number}: from=<{sender}>, size=8, nrcpt=1 (queue active)",
                f"postfix/{'smtp' if outside else 'virtual'}[6]: {number}: to=<{recipient}>, relay={relay}, delay=1, "
                "delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)",
                f"postfix/qmgr[7]: {number}: removed",
            ]
        )

    mail("kim@example.net", "nora@example.org", "mx.example.net[192.0.2.9]")
    login = "unknown[192.0.2.7], sasl_method=PLAIN, sasl_username=nora@example.org"
    for sender in ("nora@example.org", "nora@example.org", "nora@example.org", "nora@example.com", "nora@example.com"):
        mail(sender, "kim@example.net", login)
    log.write_text("".join(f"Mar  2 09:{at:02d}:00 mx7 {line}\n" for at, line in enumerate(lines)))
    path = tmp_path / "own.toml"
    path.write_text("[checks.sends-as-others]\nmails = 2\n")
    args = ("analyse", log, "--year", "2026", "--check", "sends-as-others", "--fail-on", "warning")
    assert run(*args).returncode == 0
    assert run(*args, "--settings", path).returncode == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[checks.no-such]\nx = 1\n", "there is no check 'no-such'"),
        (
            "[checks.sends-as-others]\nmial = 1\n",
            "[checks.sends-as-others]: there is no threshold 'mial'; there are mails, domains",
        ),
        ("[checks.sends-as-others]\nmails = 1.5\n", "mails takes a whole number, 0 or more, not 1.5"),
        ("[checks.sends-as-others]\nmails = -1\n", "mails takes a whole number, 0 or more, not -1"),
        ("[checks.sends-as-others]\nmails = true\n", "mails takes a whole number"),
        ("[checks.sends-as-others]\nusual_share = nan\n", "usual_share takes a number, 0 or more, not nan"),
        ('[checks.sends-as-others]\nmails = "3"\n', "mails takes a whole number"),
        ("[checks.passwords-in-log]\nx = 1\n", "this check has no threshold"),
        ("checks = 3\n", "write [checks.NAME]"),
        ("[checks]\nsends-as-others = 3\n", "write [checks.sends-as-others]"),
        ("suppress = 3\n", "write [[suppress]]"),
        ('[[suppress]]\nreason = "x"\n', "number 1: check is missing"),
        ('[[suppress]]\ncheck = "mail"\nreason = "x"\n', "there is no check 'mail'"),
        ('[[suppress]]\ncheck = "alias-owns-hash"\n', "reason is missing"),
        ('[[suppress]]\ncheck = "alias-owns-hash"\nreason = " "\n', "reason takes a text"),
        ('[[suppress]]\ncheck = "alias-owns-hash"\nreason = "x"\nuntil = "2027-01-01"\n', "until takes a day"),
        ('[[suppress]]\ncheck = "alias-owns-hash"\nreason = "x"\nuntil = 2027-01-01T00:00:00\n', "until takes a day"),
        (
            '[[suppress]]\ncheck = "alias-owns-hash"\nreason = "x"\ncause = "y"\n',
            "has no cause 'y'; there are alias-not-expanded",
        ),
        ('[[suppress]]\ncheck = "alias-owns-hash"\nreason = "x"\nsubjects = "y"\n', "there is no key 'subjects'"),
    ],
)
def test_what_the_file_cannot_say_is_refused_by_name(text: str, words: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    done = run("analyse", STORY, "--settings", path)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())
    assert "own.toml" in done.stderr


def test_explain_shows_thresholds_with_their_reasons(run: Run) -> None:
    text = run("explain", "sends-as-others").stdout
    assert "- `usual_share = 0.5`: A foreign domain of so much of an account's mail" in text
    assert "below `[checks.sends-as-others]`" in text
    assert "Thresholds" not in run("explain", "alias-owns-hash").stdout


def test_the_text_below_a_field_is_its_reason() -> None:
    @dataclass(frozen=True)
    class Some:
        """Thresholds."""

        mails: int = 3
        """Fewer are
        chance."""
        bare: float = 0.5

    assert thresholds(Some) == [Threshold("mails", 3, "Fewer are chance."), Threshold("bare", 0.5, "")]
    assert thresholds(None) == []
