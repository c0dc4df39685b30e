"""``logscan daily``: whatever the runs are cut into, they say together what one look at all lines says; nothing is forgotten."""

from __future__ import annotations

import email
import email.policy
import random
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from daily_runs import ENDS, Server, parts

import logscan
from logscan.commands import mailing
from logscan.samples import story
from logscan.store.places import StateError
from logscan.store.state import State

STORIES = ("mixed-day", "double-alias-expansion", "amavis-outgoing-tagged-spam", "rspamd-healthy")


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def lines_of(name: str) -> list[bytes]:
    return (story(name) / "mail.log").read_bytes().splitlines(keepends=True)


def whole(server: Server, lines: list[bytes]) -> logscan.Report:
    path = server.folder / "whole.log"
    path.write_bytes(b"".join(lines))
    return logscan.analyse(logscan.read(path, jobs=1, timezone="UTC"))


@pytest.mark.parametrize("name", STORIES)
def test_the_runs_count_together_what_one_look_counts(server: Server, name: str) -> None:
    lines = lines_of(name)
    rng = random.Random(name)
    for part in parts(lines, rng.sample(range(len(lines)), 4)):
        server.write(part)
        server.run()
        if rng.random() < 0.5:
            server.rotate()
    expected = whole(server, lines)
    assert server.counts() == {each: expected.mails[each] for each in ("total", *ENDS)}
    assert sum(source["lines"] for report in server.reports for source in report["sources"]) == len(lines)
    told = {(each.check, each.cause, each.subject) for each in expected.found if each.counts}
    assert told <= server.findings()


def test_the_tables_hold_each_closed_mail_once(server: Server) -> None:
    lines = lines_of("mixed-day")
    for part in parts(lines, [300, 1100, 1900]):
        server.write(part)
        server.run()
    with State.read(server.state) as state:
        rows = {"mails": 0, "entries": 0}
        numbers: list[int] = []
        for each in state.partitions():
            table = pq.read_table(server.state / each.path)
            assert (each.rows, each.size) == (len(table), (server.state / each.path).stat().st_size)
            if each.table in rows:
                rows[each.table] += each.rows
            if each.table == "mails":
                numbers += table.column("entry").to_pylist()
        named = {each.path for each in state.partitions()}
    with State.read(server.state) as state:
        tables: dict[str, Any] = {name: [] for name in ("entries", "deliveries", "legs", "mails")}
        for each in state.partitions():
            if each.table in tables:
                tables[each.table].append(pq.read_table(server.state / each.path).to_pandas())
    entries, deliveries, legs, mails = (pd.concat(tables[name]) for name in tables)
    for numbered in (entries, deliveries, mails):
        assert sorted(numbered["number"]) == list(range(len(numbered)))
    by_number = entries.set_index("number")
    assert set(deliveries["entry"]) <= set(by_number.index)
    assert (by_number.loc[deliveries["entry"], "mail"].to_numpy() == deliveries["mail"].to_numpy()).all()
    assert set(legs["child"]) | set(legs["parent"]) <= set(by_number.index)
    assert set(legs.loc[legs["delivery"] >= 0, "delivery"]) <= set(deliveries["number"])
    assert rows["mails"] == sum(report["mails"]["total"] for report in server.reports)
    assert rows["entries"] == sum(report["mails"]["entries"] for report in server.reports)
    assert len(set(numbers)) == len(numbers)
    assert {path.stat().st_mode & 0o777 for path in server.state.rglob("*") if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in server.state.rglob("*") if path.is_file()} == {0o600}
    there = {str(path.relative_to(server.state)) for path in server.state.rglob("*.parquet")}
    assert there == named


def test_a_line_of_an_open_mail_is_shown_though_its_file_is_gone(server: Server) -> None:
    """The mail of which the first line proves a login on port 25 is open when the first run ends."""
    lines = lines_of("authenticated-port-25")
    at = next(
        i
        for i, line in enumerate(lines)
        if b"/smtpd" in line and b"submission" not in line and b"sasl_username=" in line
    )
    server.write(lines[: at + 1])
    server.run()
    server.log.unlink()
    server.write(lines[at + 1 :])
    server.run()
    found = [
        evidence
        for check in server.reports[-1]["checks"]
        if check["name"] == "authenticated-port-25"
        for finding in check["findings"]
        for evidence in finding["evidence"]
    ]
    first = lines[at].decode().rstrip("\n")
    assert [(each["line"], each["text"]) for each in found if " of 2" in each["source"]] == [(at + 1, first)]


def test_findings_are_new_then_known_then_gone(server: Server) -> None:
    lines = lines_of("double-alias-expansion")
    server.write(_day(lines, 0))
    server.run()
    first = server.reports[-1]
    assert first["runs"]["number"] == 1
    (there,) = [check for check in first["checks"] if check["name"] == "duplicate-delivery"]
    ids = {each["id"] for each in there["findings"] if each["state"] == "active" and each["severity"] != "note"}
    assert ids
    server.write(_day(lines, 1))
    server.run()
    assert ids <= set(server.reports[-1]["memory"]["same"])
    server.write(_day(lines_of("healthy"), 2))
    server.run()
    assert ids <= set(server.reports[-1]["memory"]["gone"])
    server.write(_day(lines, 3))
    server.run()
    assert ids <= set(server.reports[-1]["memory"]["back"])


def _day(lines: list[bytes], days: int) -> list[bytes]:
    """Return the lines of a day, so many days later, and one of its last minutes: by then its mails are closed."""
    last = lines[-1].split()
    end = b"%s %s 23:59:00 %s postfix/smtpd[77]: disconnect from unknown[192.0.2.7]\n" % (last[0], last[1], last[3])
    return [_later(line, days) for line in (*lines, end)]


def _later(line: bytes, days: int) -> bytes:
    """Return a line with a BSD stamp, of another mail as many days later within its month."""
    day = int(line[4:6]) + days
    return line[:4] + b"%2d" % day + re.sub(rb"(msgid=|message-id=)<", rb"\1<%d." % days, line[6:])


def test_a_report_a_day_after_days_off(server: Server) -> None:
    days = [[_later(line, day) for line in lines_of("healthy")] for day in range(3)]
    server.write([line for day in days for line in day])
    server.run("--catch-up")
    paths = sorted(server.folder.glob("report-*.json"))
    assert len(paths) == 2
    import json

    reports = [*(json.loads(path.read_text()) for path in paths), server.reports[-1]]
    starts = [report["period"]["first"][:10] for report in reports]
    assert starts == sorted(set(starts))
    one = whole(server, days[0]).mails["total"]
    assert reports[0]["mails"]["total"] + reports[0]["mails"]["open"] == one
    closed = sum(report["mails"]["total"] for report in reports)
    assert closed + reports[-1]["mails"]["open"] == whole(server, [line for day in days for line in day]).mails["total"]
    with State.read(server.state) as state:
        assert state.runs(1)[0].lines == sum(map(len, days))
        assert [figures.get("lines") for _, figures in state.figures(30)] == [None] * 3


def test_no_new_line_is_said_and_no_fault(server: Server) -> None:
    server.write(lines_of("healthy"))
    server.run()
    done = server.run("-o", "-")
    assert "no new line since the last report" in done.stdout
    assert server.reports[-1]["mails"]["total"] == 0


def test_the_mail_lies_in_the_outbox_until_it_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailing, "SENDMAIL", ())
    monkeypatch.setenv("PATH", "")
    server.write(lines_of("healthy"))
    done = server.run("--mail-to", "root@example.org", status=4)
    assert "waits in the outbox" in done.stderr
    with State.read(server.state) as state:
        (waiting,) = state.outbox()
    monkeypatch.setenv("PATH", str(server.sendmail()))
    server.run("--mail-to", "root@example.org")
    sent = server.mails()
    assert sent[0] == waiting.mail.content.replace(b"\r\n", b"\n")
    assert len(sent) == 2
    mails = [email.message_from_bytes(each, policy=email.policy.default) for each in sent]
    assert mails[0]["Message-ID"] == waiting.mail.message_id != mails[1]["Message-ID"]
    assert "no new line" in mails[1]["Subject"]
    with State.read(server.state) as state:
        assert state.outbox() == []


def test_what_isn_t_to_be_sent_yet_waits_for_the_one_that_sends(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailing, "SENDMAIL", ())
    monkeypatch.setenv("PATH", str(server.sendmail()))
    server.write(lines_of("healthy"))
    server.run("--mail-to", "root@example.org", "--no-send")
    assert server.mails() == []
    server.run("--send-only")
    assert len(server.mails()) == 1
    server.run("--send-only")
    assert len(server.mails()) == 1


def test_a_run_that_can_t_be_remembered_is_reported_and_repeated(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailing, "SENDMAIL", ())
    monkeypatch.setenv("PATH", str(server.sendmail()))
    lines = lines_of("mixed-day")
    for part in parts(lines, [1000]):
        server.write(part)
        with monkeypatch.context() as broken:
            broken.setattr(State, "commit", _full)
            done = server.run("--mail-to", "root@example.org", status=3)
        assert "can't be remembered" in done.stderr
        assert "No space left" in done.stderr
        lost = server.reports.pop()
        server.run("--mail-to", "root@example.org")
        assert server.reports[-1]["mails"] == lost["mails"]
    sent = [email.message_from_bytes(each, policy=email.policy.default) for each in server.mails()]
    assert len(sent) == 4
    assert [mail["Message-ID"] for mail in sent[:1]] == [mail["Message-ID"] for mail in sent[1:2]]
    expected = whole(server, lines)
    assert server.counts() == {each: expected.mails[each] for each in ("total", *ENDS)}
    assert len(list(server.state.rglob("mails-*.parquet"))) == 2


def _full(*_: Any) -> int:
    raise StateError("No space left on device")


def test_a_state_that_can_t_be_used_keeps_no_report_from_being_made(server: Server) -> None:
    server.write(lines_of("mixed-day"))
    server.state.mkdir(mode=0o777)
    server.state.chmod(0o777)
    done = server.run(status=3)
    assert str(server.state) in done.stderr
    assert server.reports[-1]["mails"]["total"] > 0
    assert any("remembers nothing" in note for note in server.reports[-1]["notes"])


def test_an_analysis_that_fails_is_mailed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from logscan.pipeline import pieces

    monkeypatch.setattr(mailing, "SENDMAIL", ())
    monkeypatch.setenv("PATH", str(server.sendmail()))
    server.write(lines_of("mixed-day"))

    def fails(*_: Any) -> None:
        raise RuntimeError("the \x1b[31mroof is on fire")

    with monkeypatch.context() as broken:
        broken.setattr(pieces, "concluded", fails)
        with pytest.raises(RuntimeError):
            server.run("--mail-to", "root@example.org")
    (sent,) = (email.message_from_bytes(each, policy=email.policy.default) for each in server.mails())
    assert "FAILED" in sent["Subject"]
    body = sent.get_body(("plain",))
    assert body is not None
    assert "roof is on fire" in body.get_content()
    assert "\x1b" not in body.get_content()
    server.run("--mail-to", "root@example.org")
    assert server.reports[-1]["runs"]["number"] == 1
    assert server.reports[-1]["mails"]["total"] > 0


def test_what_daily_can_t_do_is_wrong_usage(server: Server) -> None:
    assert "can't go on in standard input" in server.run("-", status=2).stderr
    assert "logscan analyse looks at any period" in server.run("--since", "yesterday", status=2).stderr
    assert "write 90d" in server.run("--keep", "for ever", status=2).stderr
    assert "--mail-from" in server.run("--mail-to", "a@example.org", "--smtp", "mx.example.org", status=2).stderr
    assert not server.state.exists()


def test_stamps_without_a_year_go_on_from_what_was_read(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the last run tells here that these lines are of one night."""
    import os

    lines = [line.replace(b"2026", b"") for line in lines_of("mixed-day") if b" dspam[" not in line]
    server.write(lines[:1200])
    server.run("--year", "2019")
    server.write(lines[1200:])
    os.utime(server.log, (1_790_000_000, 1_790_000_000))
    server.run()
    assert server.reports[-1]["period"]["first"].startswith("2019")
    expected = whole(server, lines)
    assert server.counts() == {each: expected.mails[each] for each in ("total", *ENDS)}


def test_a_second_run_says_that_another_is_at_work(server: Server) -> None:
    server.write(lines_of("healthy"))
    with State.open(server.state):
        done = server.run("--wait", "0", status=3)
    assert "another run" in done.stderr


def test_without_a_new_line_nothing_is_called_gone(server: Server) -> None:
    """The mails that are open are looked at again: what isn't found in them was not looked for elsewhere."""
    server.write(lines_of("mixed-day")[:2000])
    server.run()
    found = set(server.reports[-1]["memory"]["new"])
    server.run()
    second = server.reports[-1]
    assert found
    assert second["mails"]["open"]
    assert second["memory"]["gone"] == []
    with State.read(server.state) as state:
        assert {each.sighting.id for each in state.remembered() if each.gone_run is None} >= found


def test_nagios_is_told_of_a_mail_that_waits_by_a_status_that_it_knows(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logscan.commands.daily_run.flush", lambda *_, **__: 4)
    server.write(lines_of("healthy")[:40])
    done = server.run("-f", "json", "-f", "nagios", "-o", "-", "--mail-to", "postmaster@example.com", status=3)
    assert done.stdout.startswith("LOGSCAN ")


MAIL = """\
Nov 26 {t} mx postfix/smtpd[11]: {q}: client=mail.example.net[203.0.113.9]
Nov 26 {t} mx postfix/cleanup[12]: {q}: message-id=<{q}@example.net>
Nov 26 {t} mx postfix/qmgr[13]: {q}: from=<a@example.net>, size=1417, nrcpt=1 (queue active)
Nov 26 {t} mx postfix/virtual[14]: {q}: to=<b@example.com>, relay=virtual, delay=0, dsn=2.0.0, status=sent (stored)
Nov 26 {t} mx postfix/qmgr[13]: {q}: removed
"""


def test_mails_whose_lines_are_missing_are_told_once(server: Server) -> None:
    """They stay open, since their last line is among what is missing, and are no news the next day."""

    def mails(hour: int, count: int, *, whole: bool = True) -> list[bytes]:
        text = "".join(MAIL.format(t=f"{hour:02}:{n:02}:00", q=f"AB{hour:02}{n:02}D2922") for n in range(count))
        return [line for line in text.encode().splitlines(keepends=True) if whole or b"qmgr" not in line]

    told = []
    for part in (mails(8, 9) + mails(9, 4, whole=False), mails(10, 9), mails(11, 9)):
        server.write(part)
        server.run()
        server.rotate()
        (check,) = [each for each in server.reports[-1]["checks"] if each["name"] == "log-gap"]
        told.append([each["cause"] for each in check["findings"]])
    assert told == [["lines-missing"], [], []]
    assert server.reports[-1]["mails"]["open"] >= 4
