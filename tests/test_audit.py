"""The configuration alone: what it foretells, what of it is in force, and that its own patch takes the fault away."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import logscan
from logscan.pipeline import configuration
from logscan.pipeline.running import audit, render
from logscan.samples import stories, story
from logscan.settings import read_settings

Run = Callable[..., "subprocess.CompletedProcess[str]"]
NAMES = ("main.cf", "master.cf", "virtual", "vmailbox", "transport", "dspam.conf", "amavisd.conf", "doveconf-n.txt")


def configured(name: str, folder: Path) -> Path:
    """Copy the configuration of a story, without its logs."""
    folder.mkdir()
    for each in NAMES:
        if (story(name) / each).exists():
            shutil.copy(story(name) / each, folder)
    return folder


FORETOLD = {
    "double-alias-expansion": {("duplicate-delivery", "double-alias-expansion")},
    "alias-not-expanded-before-dspam": {
        ("alias-owns-hash", "alias-not-expanded"),
        ("training-misses-hash", "alias-not-expanded"),
    },
}


@pytest.mark.parametrize("name", stories())
def test_an_audit_foretells_what_the_story_is_about(name: str, tmp_path: Path) -> None:
    report = audit(configured(name, tmp_path / "etc"))
    assert report.audit
    assert {(check.name, each.cause) for check, each in report.predictions} == FORETOLD.get(name, set())
    assert {check.verdict for check in report.checks} <= {"blind", "not-applicable"}


@pytest.mark.skipif(not shutil.which("patch"), reason="patch(1) is not installed")
@pytest.mark.parametrize("name", FORETOLD)
def test_after_its_own_patch_nothing_is_foretold(name: str, tmp_path: Path) -> None:
    folder = configured(name, tmp_path / "etc")
    report = audit(folder)
    assert report.plan is not None
    diff = report.plan.diff("postfix")
    assert diff
    done = subprocess.run(
        ["patch", "-p0", "--fuzz=0"], input=diff.encode(), cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout
    again = audit(folder)
    assert again.audit
    assert again.predictions == []


def test_a_log_beside_the_configuration_is_not_read(tmp_path: Path) -> None:
    report = audit(story("double-alias-expansion"))
    assert report.sources == []
    assert "mail.log" not in {path for path, _ in report.configuration}


def test_where_there_is_a_log_a_prediction_says_whether_it_was_seen(tmp_path: Path) -> None:
    report = logscan.analyse(logscan.read(story("double-alias-expansion"), jobs=1))
    assert not report.audit
    seen = {each.subject: each.seen for _, each in report.predictions}
    found = {each.subject for each in report.found if each.cause == "double-alias-expansion"}
    assert {name for name, yes in seen.items() if yes} == seen.keys() & found
    assert 0 < sum(seen.values()) < len(seen)


def test_every_format_shows_an_audit(tmp_path: Path) -> None:
    report = audit(configured("double-alias-expansion", tmp_path / "etc"))
    text = str(render(report, "text"))
    assert "The configuration foretells 1 fault" in text
    assert "Blind" not in text
    assert "no line" not in text
    assert "receive_override_options" in text
    page = str(render(report, "html"))
    assert "The configuration foretells 1 fault" in page
    assert 'id="blind"' not in page
    told = json.loads(str(render(report, "json")))
    assert told["audit"] is True
    assert {each["kind"] for each in told["configuration"]} >= {"main.cf", "master.cf"}
    (check,) = (each for each in told["checks"] if each["predictions"])
    assert check["predictions"][0]["remedy"]["diff"]
    assert str(render(report, "nagios")).startswith("LOGSCAN CRITICAL - configuration alone: 1 fault foretold")


def test_the_command_ends_as_asked(program: Run, tmp_path: Path) -> None:
    folder = configured("double-alias-expansion", tmp_path / "etc")
    right = configured("healthy", tmp_path / "right")
    assert program("audit", folder).returncode == 0
    assert program("audit", folder, "--fail-on", "problem").returncode == 1
    assert program("audit", right, "--fail-on", "warning").returncode == 0
    missing = program("audit", tmp_path / "nothing")
    assert missing.returncode == 2
    assert "there is no" in missing.stderr
    (tmp_path / "empty").mkdir()
    assert program("audit", tmp_path / "empty").returncode == 2


def test_analyse_without_a_log_is_an_audit(program: Run, tmp_path: Path) -> None:
    done = program("analyse", configured("double-alias-expansion", tmp_path / "etc"))
    assert (done.returncode, "The configuration foretells 1 fault" in done.stdout) == (0, True), done.stderr


def test_configuration_named_on_a_host_without_a_log_is_audited(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("logscan.sources.finding.DEFAULT_LOGS", (str(tmp_path / "mail.log*"),))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(configuration, "OWN", ())
    folder = configured("double-alias-expansion", tmp_path / "etc")
    assert logscan.analyse(logscan.read(config=[folder], jobs=1)).audit
    # A host's own configuration is not asked for: without a log there is nothing to say.
    monkeypatch.setattr(configuration, "OWN", (str(folder),))
    scan = logscan.read(jobs=1)
    assert scan.settings.kinds
    assert not logscan.analyse(scan).audit


# -- what is in force ----------------------------------------------------------------------------------------------------

MAIN = "smtpd_recipient_restrictions = permit_mynetworks\nmydestination = {}\n"


def test_templates_and_backups_beside_a_file_are_not_in_force() -> None:
    files = {"main.cf": "a.example", "main.cf.proto": "b.example", "main.cf.dpkg-dist": "c.example", "main.cf~": "d.example",
             "main.cf.20250301": "e.example", "main.cf.bak": "f.example"}  # fmt: skip
    settings = read_settings((name, MAIN.format(domain)) for name, domain in files.items())
    assert settings.kinds == {"main.cf": "main.cf"}
    assert settings.spare == sorted(files.keys() - {"main.cf"})
    assert settings.local_domains == {"a.example"}


@pytest.mark.parametrize("name", ["main.cf.bak", "main.cf.20250301", "etc-postfix-main.cf.txt", "main.cf.old"])
def test_a_backup_alone_is_what_was_given(name: str) -> None:
    settings = read_settings([(name, MAIN.format("a.example"))])
    assert settings.kinds == {name: "main.cf"}
    assert settings.spare == []


def test_of_dovecot_s_files_those_that_are_included_are_in_force() -> None:
    texts = {
        "dovecot/dovecot.conf": "auth_mechanisms = plain\nmail_debug = no\n!include conf.d/*.conf\n!include_try local.conf\n",
        "dovecot/conf.d/10-auth.conf": "auth_mechanisms = plain login\n!include auth-sql.conf.ext\n#!include auth-ldap.conf.ext",
        "dovecot/conf.d/auth-sql.conf.ext": "passdb {\n  driver = sql\n}\nmail_debug = yes\n",
        "dovecot/conf.d/auth-ldap.conf.ext": "passdb {\n  driver = ldap\n}\nauth_verbose = yes\n",
    }
    settings = read_settings(texts.items())
    assert settings.spare == ["dovecot/conf.d/auth-ldap.conf.ext"]
    assert settings.dovecot.get("auth_mechanisms") == "plain login"
    assert settings.dovecot.get("mail_debug") == "yes"
    assert settings.dovecot.get("auth_verbose") == ""
    assert [each.text for each in settings.problems] == []


def test_an_include_of_what_is_not_given_is_said() -> None:
    settings = read_settings([("dovecot.conf", "mail_debug = yes\n!include conf.d/*.conf\nprotocols = imap\n")])
    assert [each.text for each in settings.problems] == ["!include conf.d/*.conf: not followed"]


# -- this host's own -----------------------------------------------------------------------------------------------------


def test_where_nothing_is_named_this_host_s_own_configuration_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = configured("healthy", tmp_path / "postfix")
    (own / "large").write_bytes(b"x" * (configuration.LARGEST_OWN + 1))
    (own / "queue").mkdir()
    monkeypatch.setattr(configuration, "OWN", (str(own), str(tmp_path / "none")))
    log = tmp_path / "mail.log"
    shutil.copy(story("healthy") / "mail.log", log)
    monkeypatch.setattr("logscan.sources.finding.DEFAULT_LOGS", (str(log),))
    scan = logscan.read(jobs=1)
    assert {"main.cf", "master.cf"} <= set(scan.settings.kinds.values())
    assert "large" not in scan.settings.texts
    assert scan.errors == []
    assert logscan.read(log, jobs=1).settings.kinds == {}
