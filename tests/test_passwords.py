"""A password that stands in a log stands in nothing that logscan writes: neither as it is nor encoded."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import logscan
from logscan.rendering.renderers import renderers
from logscan.visible import HIDDEN, visible, without_passwords

Run = Callable[..., "subprocess.CompletedProcess[str]"]

SECRET = "Sommer)2026 'x' (y)"
CODED = base64.b64encode(f"\0nora\0{SECRET}".encode()).decode()
HEX = SECRET.encode().hex()
CALLED = "sql(nora,192.0.2.9): "
LINES = [
    f"dovecot: auth: passwd-file(nora,192.0.2.9,<abc>): Password mismatch (given password: {SECRET})",
    f"dovecot: auth: passwd-file(nora,192.0.2.9,<abc>): unknown user (given password: {SECRET}) - trying the next passdb",
    f"dovecot: auth-worker(71): conn unix:auth-worker (pid=1,uid=97): auth-worker<3>: {CALLED}Password mismatch "
    f"(SHA1 of given password: {HEX})",
    f"dovecot: auth(nora,192.0.2.9,sasl:plain)<42><abc>: request [1]: pam: Password mismatch (given password: {SECRET})",
    f"dovecot: auth: pam(nora,192.0.2.9): pam_authenticate() failed: Authentication failure (Password mismatch?) (given "
    f"password: {SECRET})",
    f"dovecot: auth: Debug: client in: AUTH#0111#011PLAIN#011service=imap#011resp={CODED} (previous base64 data may contain "
    "sensitive data)",
    f"dovecot: auth: Debug: client in: AUTH\t1\tPLAIN\tservice=imap\tresp={CODED}",
    f"dovecot: auth: Debug: client in: CONT\t1\t{CODED} (previous base64 data may contain sensitive data)",
    f"dovecot: auth: Debug: client passdb out: OK\t1\tuser=nora\tpass={SECRET}",
    f"dovecot: auth: Debug: {CALLED}Credentials: {HEX}",
    f"dovecot: auth: Debug: {CALLED}PLAIN({SECRET}) != '{HEX}'",
    f"dovecot: auth: Debug: {CALLED}Generating CRAM-MD5 from user 'nora', password '{SECRET}'",
    f"dovecot: auth: Debug: {CALLED}cache hit: {{PLAIN}}{SECRET}\tnopassword",
    f"dovecot: auth: Error: {CALLED}Invalid password '{SECRET}' in passdb: too short",
    f"dovecot: auth: Error: {CALLED}Requested CRAM-MD5 scheme, but we have only MD5 (input: {SECRET})",
    f"postfix/submission/smtpd[821]: < unknown[192.0.2.9]: AUTH PLAIN {CODED}",
    f"postfix/submission/smtpd[821]: < unknown[192.0.2.9]: {CODED}",
    f"postfix/submission/smtpd[821]: xsasl_dovecot_server_first: sasl_method PLAIN, init_response {CODED}",
    f"postfix/submission/smtpd[821]: xsasl_cyrus_server_first: decoded initial response {SECRET}",
    f"otherd[3]: 4F1A2B0001: nobody knows this line (given password: {SECRET})",
    f"otherd[3]: connecting with host=db user=mail password={HEX}",
]
LINES += [
    '{"MESSAGE":"' + line.partition(": ")[2].replace("\t", "\\t") + '","_HOSTNAME":"mx7"}'
    for line in LINES
    if "\t" in line
]
LINES.append('{"MESSAGE":[' + ",".join(map(str, f"(given password: {SECRET})".encode())) + '],"_HOSTNAME":"mx7"}')
WORDS = (",".join(map(str, SECRET.encode())), "Sommer", "2026 '", CODED, CODED[:12], HEX, HEX[:12])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "mail.log"
    mail = [
        "postfix/smtpd[811]: 4F1A2B0001: client=mx.example.net[192.0.2.9]",
        "postfix/cleanup[813]: 4F1A2B0001: message-id=<m1@example.net>",
        "postfix/qmgr[700]: 4F1A2B0001: from=<kim@example.net>, size=812, nrcpt=1 (queue active)",
        "postfix/virtual[815]: 4F1A2B0001: to=<nora@example.org>, relay=virtual, delay=0.8, delays=0.1/0/0.2/0.5, dsn=2.0.0, "
        "status=sent (delivered to maildir)",
        "postfix/qmgr[700]: 4F1A2B0001: removed",
    ]
    path.write_text("".join(f"Mar  2 09:00:{at:02d} mx7 {line}\n" for at, line in enumerate([*mail, *LINES])))
    return path


def clean(text: str) -> None:
    for word in WORDS:
        assert word not in text, text[max(0, text.index(word) - 200) :][:400]


@pytest.mark.parametrize("line", LINES)
def test_a_line_loses_its_password_and_says_so(line: str) -> None:
    hidden = without_passwords(line)
    clean(hidden)
    assert HIDDEN in hidden
    assert without_passwords(hidden) == hidden
    assert HIDDEN in visible(line)
    # What is known of whom stays.
    assert hidden.startswith(line[:9])


@pytest.mark.parametrize(
    "line",
    [
        "dovecot: auth: Debug: client in: AUTH\t1\tPLAIN\tservice=imap\tresp=<hidden>",
        "postfix/smtpd[1]: < unknown[192.0.2.9]: STARTTLS",
        "postfix/smtpd[1]: < unknown[192.0.2.9]: MAIL FROM:<a@example.org>",
        "rspamd[1]: spf=pass, dkim=pass (2048-bit key), dmarc=pass",
        "postfix/postscreen[1]: PASS NEW [192.0.2.9]:4711",
        "dovecot: auth: passwd-file(nora,192.0.2.9,<abc>): Password mismatch",
        "the page says: auth_verbose_passwords = plain writes `given password:` into the log",
    ],
)
def test_what_holds_no_password_stays_as_it_is(line: str) -> None:
    assert without_passwords(line) == line


def test_no_form_of_a_report_holds_a_password(log: Path) -> None:
    report = logscan.analyse(logscan.read(log, jobs=1, year=2026, timezone="UTC"))
    assert {"auth-verbose-passwords", "password-hashes", "auth-debug-passwords", "smtpd-verbose"} == {
        finding.cause for check in report.checks if check.name == "passwords-in-log" for finding in check.findings
    }
    for name in renderers():
        made = logscan.render(report, name, verbose=True, mail_from="a@example.org", mail_to=("b@example.org",))
        clean(made if isinstance(made, str) else str(made))


def test_no_command_shows_a_password(log: Path, run: Run, tmp_path: Path) -> None:
    for args in (
        ("analyse", log, "--verbose", "--year", "2026"),
        ("analyse", log, "--format", "json", "--tables", tmp_path / "tables", "--year", "2026"),
        ("formats", "--check", log),
        ("trace", "4F1A2B0001", log, "--verbose", "--year", "2026"),
        ("trace", "nora", log, "--format", "json", "--year", "2026"),
    ):
        done = run(*args)
        clean(done.stdout + done.stderr)
    for path in (tmp_path / "tables").glob("*.parquet"):
        clean(pd.read_parquet(path).to_csv())


def test_the_text_of_an_unknown_line_and_its_template_are_kept_without_the_password(log: Path) -> None:
    scan = logscan.read(log, jobs=1, year=2026, timezone="UTC")
    told = scan.log.read.templates
    assert any(HIDDEN in example for *_, example in told.values())
    clean(str(told))
