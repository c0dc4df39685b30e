"""The order of lines tells whose a filter's trouble is, and a process writes into two files around a rotation."""

from __future__ import annotations

from pathlib import Path

import pytest

import logscan

HEAD = "Dec 14 08:{:02d}:{:02d} mx postfix/"
SESSION = """\
{t}smtpd[11749]: connect from mail{n}.example.net[203.0.113.{n}]
{t}smtpd[11749]: warning: milter inet:127.0.0.1:11332: can't read SMFIC_OPTNEG reply packet header: Connection timed out
{t}smtpd[11749]: warning: milter inet:127.0.0.1:11332: read error in initial handshake
{t}smtpd[11749]: {q}: client=mail{n}.example.net[203.0.113.{n}]
{t}cleanup[11722]: {q}: message-id=<{n}@example.net>
{t}qmgr[11698]: {q}: from=<a@example.net>, size=1417, nrcpt=1 (queue active)
{t}smtpd[11749]: disconnect from mail{n}.example.net[203.0.113.{n}] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5
{t}virtual[11750]: {q}: to=<b@example.com>, relay=virtual, delay=0.01, delays=0/0/0/0, dsn=2.0.0, status=sent (stored)
{t}qmgr[11698]: {q}: removed
"""
"""All of one second, as it is where the milter is waited for before the connection is told."""


def lines() -> list[str]:
    text = "".join(SESSION.format(t=HEAD.format(43 + n, 5), n=n, q=f"{n}206D2922DB") for n in range(1, 5))
    return text.splitlines(keepends=True)


@pytest.mark.parametrize("cut", [0, 8, 14, 20])
def test_a_mail_that_passed_is_known_whichever_file_its_session_is_in(tmp_path: Path, cut: int) -> None:
    (tmp_path / "mail.log.1").write_text("".join(lines()[:cut]))
    (tmp_path / "mail.log").write_text("".join(lines()[cut:]))
    report = logscan.analyse(logscan.read(tmp_path, jobs=1, year=2026, timezone="UTC"))
    found = [each for each in report.found if each.check == "filter-failed-open"]
    assert [(each.cause, each.mails) for each in found] == [("milter-away", 4)]
    assert {case["message_id"] for case in found[0].cases} == {f"<{n}@example.net>" for n in range(1, 5)}
