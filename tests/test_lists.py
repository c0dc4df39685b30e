"""Lists of small logs written by hand: what each must say, and what makes a report less than all clear."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import logscan
from logscan.rendering.summary import summarise, verdict_line
from logscan.report.model import Report
from logscan.samples import story


def report_of(folder: Path, *lines: str, **files: str) -> Report:
    """Analyse lines, each given as ``10:00:01 program[1]: text``, of 22 November 2026."""
    folder.mkdir(exist_ok=True)
    (folder / "mail.log").write_text("".join(f"Nov 22 {line.replace(' ', ' mx1 ', 1)}\n" for line in lines))
    for name, text in files.items():
        (folder / name).write_text(text)
    return logscan.analyse(logscan.read(folder, jobs=1, year=2026, timezone="UTC"))


def rows(report: Report, key: str) -> list[dict[str, Any]]:
    for listing in report.traffic.listings:
        if listing.key == key:
            return [dict(zip(listing.columns, row, strict=True)) for row in listing.rows]
    return []


def mail(
    identity: str, at: str, *, client: str = "mx.example.org[203.0.113.9]", login: str = "", pid: int = 7
) -> list[str]:
    """Lines of a mail from its arrival until qmgr has it."""
    sasl = f", sasl_method=PLAIN, sasl_username={login}" if login else ""
    service = "postfix/submission" if login else "postfix"
    return [
        f"{at} {service}/smtpd[{pid}]: {identity}: client={client}{sasl}",
        f"{at} postfix/cleanup[8]: {identity}: message-id=<{identity}@example.org>",
        f"{at} postfix/qmgr[9]: {identity}: from=<ann@example.org>, size=2000, nrcpt=1 (queue active)",
    ]


def delivery(identity: str, at: str, status: str, reply: str, **fields: str) -> str:
    to, relay = fields.get("to", "bob@example.com"), fields.get("relay", "mx1[private/dovecot-lmtp]")
    delay, dsn, pid = fields.get("delay", "1"), fields.get("dsn", "2.0.0"), fields.get("pid", "11")
    agent = "lmtp" if "lmtp" in relay else "smtp"
    return (
        f"{at} postfix/{agent}[{pid}]: {identity}: to=<{to}>, relay={relay}, delay={delay}, "
        f"delays={fields.get('delays', f'{delay}/0/0/0')}, dsn={dsn}, status={status} ({reply})"
    )


SAVED = "250 2.0.0 <bob@example.com> kJ8eL Saved"
OUT = "mx.example.net[198.51.100.7]:25"


def test_encryption_is_that_of_the_mail_s_own_session(tmp_path: Path) -> None:
    tls = "Anonymous TLS connection established from"
    report = report_of(
        tmp_path,
        "10:00:00 postfix/smtpd[7]: connect from mx.example.org[203.0.113.9]",
        f"10:00:00 postfix/smtpd[7]: {tls} mx.example.org[203.0.113.9]: TLSv1.2 with cipher X (256/256 bits)",
        *mail("A1A1A1A1A1", "10:00:01"),
        delivery("A1A1A1A1A1", "10:00:02", "sent", SAVED),
        "10:00:02 postfix/qmgr[9]: A1A1A1A1A1: removed",
        "10:00:03 postfix/smtpd[7]: disconnect from mx.example.org[203.0.113.9] ehlo=2 mail=1 rcpt=1 data=1 quit=1",
        # The same process and client again, this time in plain text.
        "10:01:00 postfix/smtpd[7]: connect from mx.example.org[203.0.113.9]",
        *mail("B2B2B2B2B2", "10:01:01"),
        delivery("B2B2B2B2B2", "10:01:02", "sent", SAVED),
        "10:01:02 postfix/qmgr[9]: B2B2B2B2B2: removed",
    )
    assert {row["encryption"]: row["mails"] for row in rows(report, "tls-in")} == {"TLSv1.2": 1, "plain text": 1}
    assert rows(report, "tls-in-plain") == [{"client": "mx.example.org", "address": "203.0.113.9", "mails": 1}]


def test_nobody_is_said_to_speak_plain_text_where_tls_is_not_logged(tmp_path: Path) -> None:
    report = report_of(
        tmp_path,
        "10:00:00 postfix/smtpd[7]: connect from mx.example.org[203.0.113.9]",
        *mail("A1A1A1A1A1", "10:00:01"),
        delivery("A1A1A1A1A1", "10:00:02", "sent", "250 2.0.0 Ok", to="x@example.net", relay=OUT),
    )
    for key in ("tls-in", "tls-out"):
        (row,) = rows(report, key)
        assert row["encryption"].startswith("not logged (")
    assert rows(report, "tls-in-plain") == rows(report, "tls-out-plain") == []


def test_encryption_of_what_went_out(tmp_path: Path) -> None:
    report = report_of(
        tmp_path,
        *mail("A1A1A1A1A1", "10:00:01", login="bob"),
        f"10:00:01 postfix/smtp[21]: Trusted TLS connection established to {OUT}: TLSv1.3 with cipher X (256/256 bits)",
        delivery("A1A1A1A1A1", "10:00:02", "sent", "250 2.0.0 Ok", to="x@example.net", relay=OUT, pid="21"),
        *mail("B2B2B2B2B2", "10:00:01", login="bob"),
        delivery("B2B2B2B2B2", "10:00:02", "sent", "250 Ok", to="y@example.edu", relay="mx.example.edu[192.0.2.2]:25", pid="22"),
    )  # fmt: skip
    assert {row["encryption"]: row["deliveries"] for row in rows(report, "tls-out")} == {"TLSv1.3": 1, "plain text": 1}
    assert rows(report, "tls-out-plain") == [{"next hop": "mx.example.edu[192.0.2.2]:25", "deliveries": 1}]


def test_dkim_dmarc_and_spf_results_by_domain(tmp_path: Path) -> None:
    report = report_of(
        tmp_path,
        *mail("A1A1A1A1A1", "10:00:01"),
        "10:00:01 opendkim[3]: A1A1A1A1A1: DKIM verification successful",
        "10:00:01 opendmarc[4]: A1A1A1A1A1: example.org pass",
        delivery("A1A1A1A1A1", "10:00:02", "sent", SAVED),
        *mail("B2B2B2B2B2", "10:00:03"),
        "10:00:03 policyd-spf[5]: prepend Received-SPF: Softfail (mailfrom) identity=mailfrom; client-ip=203.0.113.9; "
        "helo=mx.example.org; envelope-from=ann@example.org; receiver=bob@example.com",
        "10:00:03 opendmarc[4]: B2B2B2B2B2: example.org fail",
        delivery("B2B2B2B2B2", "10:00:04", "sent", SAVED),
    )
    told = {(row["check"], row["result"]): row["times"] for row in rows(report, "authentication")}
    assert told[("DMARC", "pass")] == told[("DMARC", "fail")] == told[("SPF", "softfail")] == 1
    bad = {(row["domain"], row["check"], row["result"]) for row in rows(report, "authentication-domains")}
    assert ("example.org", "DMARC", "fail") in bad
    assert not any(result == "pass" for _, _, result in bad)


def test_a_mail_that_waited_is_slow_by_its_own_reason_and_not_before_the_queue(tmp_path: Path) -> None:
    greylisted = "host mx.example.net[198.51.100.7] said: 450 4.2.0 Greylisted (in reply to RCPT TO command)"
    out = {"to": "x@example.net", "relay": OUT}
    report = report_of(
        tmp_path,
        *mail("A1A1A1A1A1", "10:00:01", login="bob"),
        delivery("A1A1A1A1A1", "10:00:02", "deferred", greylisted, dsn="4.2.0", delays="0.5/0/0.3/0.2", **out),
        "10:10:01 postfix/qmgr[9]: A1A1A1A1A1: from=<ann@example.org>, size=2000, nrcpt=1 (queue active)",
        delivery("A1A1A1A1A1", "10:10:02", "sent", "250 Ok", delay="601", delays="600.2/0.1/0.4/0.3", **out),
        "10:10:02 postfix/qmgr[9]: A1A1A1A1A1: removed",
    )  # fmt: skip
    (slow,) = rows(report, "slowest")
    assert (slow["queue id"], slow["seconds"], slow["mostly"], slow["of it"]) == ("A1A1A1A1A1", 601, "waiting", 599.8)
    assert "Greylisted" in slow["put off for"]
    parts = {row["part"]: row["longest"] for row in rows(report, "delays")}
    assert parts["before the queue"] == 0.5
    assert parts["waiting"] == 599.8
    by_end = {row["how it ended"]: row for row in rows(report, "put-off")}
    assert by_end["delivered later"]["recipients"] == by_end["in all"]["attempts put off"] == 1
    assert by_end["in all"]["longest wait"] == 600
    assert report.mails["deferrals"] == 1
    assert report.mails["deferred"] == 0


def test_attempts_recipients_and_mails_put_off_are_three_counts(tmp_path: Path) -> None:
    refused = "connect to mx.example.net[198.51.100.7]:25: Connection refused"
    late = {"relay": "none", "dsn": "4.4.1"}
    report = report_of(
        tmp_path,
        *mail("A1A1A1A1A1", "10:00:01", login="bob"),
        delivery("A1A1A1A1A1", "10:00:02", "deferred", refused, to="x@example.net", **late),
        delivery("A1A1A1A1A1", "10:00:02", "deferred", refused, to="y@example.net", **late),
        delivery("A1A1A1A1A1", "10:05:02", "deferred", refused, to="x@example.net", delay="301", **late),
    )
    (row,) = rows(report, "put-off-reasons")
    assert (row["attempts"], row["recipients"], row["mails"], row["waiting"]) == (3, 2, 1, 2)
    assert row["next hop"] == "mx.example.net[198.51.100.7]:25"
    (row,) = [row for row in rows(report, "put-off") if row["how it ended"] == "still waiting"]
    assert (row["attempts put off"], row["recipients"], row["mails"], row["longest wait"]) == (3, 2, 1, 300)
    (row,) = rows(report, "deferred")
    assert (row["recipients"], row["mails"]) == (2, 1)
    (edge,) = [edge for edge in report.flow.edges if edge.target == "waiting"]
    assert (edge.count, edge.mails) == (2, 1)


def test_expired_mail_is_counted_once(tmp_path: Path) -> None:
    refused = "connect to mx.example.net[198.51.100.7]:25: Connection refused"
    report = report_of(
        tmp_path,
        *mail("A1A1A1A1A1", "10:00:01", login="bob"),
        delivery("A1A1A1A1A1", "10:00:02", "deferred", refused, to="x@example.net", relay="none", dsn="4.4.1"),
        delivery("A1A1A1A1A1", "15:00:02", "deferred", refused, to="x@example.net", relay="none", dsn="4.4.1", delay="18001"),
        "15:00:02 postfix/qmgr[9]: A1A1A1A1A1: from=<ann@example.org>, status=expired, returned to sender",
        "15:00:02 postfix/bounce[12]: A1A1A1A1A1: sender non-delivery notification: C3C3C3C3C3",
        "15:00:02 postfix/cleanup[8]: C3C3C3C3C3: message-id=<20261122150002.C3C3C3C3C3@mx1>",
        "15:00:02 postfix/qmgr[9]: C3C3C3C3C3: from=<>, size=4000, nrcpt=1 (queue active)",
        "15:00:02 postfix/qmgr[9]: A1A1A1A1A1: removed",
        delivery("C3C3C3C3C3", "15:00:03", "sent", SAVED, to="ann@example.org"),
        "15:00:03 postfix/qmgr[9]: C3C3C3C3C3: removed",
    )  # fmt: skip
    mails = report.mails
    assert [mails[name] for name in ("delivered", "deferred", "bounced", "expired", "deferrals")] == [1, 0, 0, 1, 2]
    ends = {edge.target: edge.count for edge in report.flow.edges if edge.target in ("expired", "bounced", "waiting")}
    assert ends == {"expired": 1}
    assert [row["recipients"] for row in rows(report, "put-off") if row["how it ended"].startswith("expired")] == [1]
    (bounce,) = [edge for edge in report.flow.edges if edge.source == "source:postfix"]
    assert (bounce.count, bounce.mails) == (1, 1), "the bounce that Postfix made stands on the map"


def test_mail_opened_before_the_log_is_said_and_drawn_as_such(tmp_path: Path) -> None:
    report = report_of(
        tmp_path, delivery("A1A1A1A1A1", "10:00:02", "sent", SAVED), "10:00:02 postfix/qmgr[9]: A1A1A1A1A1: removed"
    )
    assert report.mails["opened_before"] == report.mails["total"] == 1
    assert [(edge.source, edge.target, edge.count) for edge in report.flow.edges] == [("source:before", "store", 1)]
    (series,) = [each for each in report.traffic.by_direction if each.name == "opened before"]
    assert sum(series.values) == 1


def days(report: Report) -> tuple[str, list[str]]:
    return verdict_line(summarise(report)), report.concerns


@pytest.mark.parametrize("good", [200, 400])
def test_a_few_deferrals_are_usual_many_are_a_concern(tmp_path: Path, good: int) -> None:
    greylisted = "host mx.example.net[198.51.100.7] said: 450 4.2.0 Greylisted (in reply to RCPT TO command)"
    lines = []
    for number in range(good):
        identity, at = f"A{number:09X}", f"10:{number % 3600 // 60:02}:{number % 60:02}"
        lines += mail(identity, at, login="bob")
        if number < 12:
            lines.append(delivery(identity, at, "deferred", greylisted, to="x@example.net", relay=OUT, dsn="4.2.0"))
        lines.append(delivery(identity, at, "sent", "250 Ok", to="x@example.net", relay=OUT))
        lines.append(f"{at} postfix/qmgr[9]: {identity}: removed")
    report = report_of(tmp_path, *lines)
    assert report.mails["deferrals"] == 12
    assert bool(report.concerns) == (good == 200), report.concerns
    if good == 200:
        assert report.concerns == ["12 mails of 200 (6 %) were put off, 12 attempts in all"]
        assert verdict_line(summarise(report)).startswith("No check found a fault, but 12 mails")


def found(report: Report) -> set[tuple[str, str]]:
    return {(each.check, each.cause) for each in report.found if each.counts}


def test_failed_logins_are_found_and_few_refusals_of_one_host_are_a_concern(tmp_path: Path) -> None:
    failed = "postfix/submission/smtpd[5]: warning: unknown[45.90.7.66]: SASL LOGIN authentication failed: UGFzc3dvcmQ6"
    lines = [f"10:{number // 60:02}:{number % 60:02} {failed}" for number in range(60)]
    reply = "host mx.example.net[198.51.100.7] said: 550 5.7.1 Blocked, see our list (in reply to RCPT TO command)"
    for number in range(3):
        identity = f"B{number:09X}"
        lines += mail(identity, f"11:00:0{number}", login="bob")
        lines.append(
            delivery(identity, f"11:00:0{number}", "bounced", reply, to="x@example.net", relay=OUT, dsn="5.7.1")
        )
    report = report_of(tmp_path, *lines)
    assert found(report) == {("password-guessing", "one-source")}
    assert report.concerns == ["3 recipients elsewhere refused this server’s mail for policy"]


def test_a_loop_is_found(tmp_path: Path) -> None:
    report = report_of(
        tmp_path,
        *mail("A1A1A1A1A1", "10:00:01"),
        delivery(
            "A1A1A1A1A1", "10:00:02", "bounced", "mail for example.com loops back to myself", relay="none", dsn="5.4.6"
        ),
    )
    assert found(report) == {("mail-loop", "loops-back-to-this-host")}


def test_a_busy_account_from_many_networks_is_found(tmp_path: Path) -> None:
    lines = []
    for number in range(60):
        identity = f"A{number:09X}"
        client = f"unknown[{(61, 77, 91, 113, 190)[number % 5]}.{number}.3.9]"
        lines += mail(identity, f"10:00:{number:02}", login="bob", client=client)
        lines.append(delivery(identity, f"10:00:{number:02}", "sent", SAVED))
    assert found(report_of(tmp_path / "wild", *lines)) == {("account-misused", "many-networks")}
    calm = [re.sub(r"unknown\[\d+\.\d+\.3\.9", "unknown[203.0.113.9", line) for line in lines]
    assert found(report_of(tmp_path / "calm", *calm)) == set()


FIELD = Path(__file__).with_name("data") / "field"


def test_a_day_on_which_one_provider_puts_off_all_mail_of_an_account_is_not_all_clear() -> None:
    report = logscan.analyse(logscan.read(FIELD / "account-misused", jobs=1))
    assert not summarise(report).all_clear
    (blocked,) = (each for each in report.checks if each.name == "delivery-blocked")
    assert [(each.cause, each.subject, each.mails) for each in blocked.findings] == [("rate", "yahoodns.net", 60)]
    assert any(each.startswith("60 mails of 65 (92.3 %) were put off") for each in report.concerns)
    assert ("password-guessing", "one-source") in found(report)
    assert sum(row["failed"] for row in rows(report, "failed-logins")) == 400


def test_a_day_with_outages_of_the_filter_is_not_all_clear() -> None:
    report = logscan.analyse(logscan.read(story("dspam-crash"), jobs=1))
    assert not any("outage" in each for each in report.concerns), "the check filter-unreachable says it"
    assert not summarise(report).all_clear
    outages = rows(report, "outages")
    assert outages
    assert {row["kind"] for row in outages} == {"filter"}
    assert sum(row["attempts"] for row in outages) <= report.mails["deferrals"]


def test_a_healthy_day_raises_no_concern() -> None:
    for name in ("healthy", "amavis-healthy", "rspamd-healthy"):
        report = logscan.analyse(logscan.read(story(name), jobs=1))
        assert report.concerns == []
        assert verdict_line(summarise(report)).startswith(("All clear: ", "Nothing wrong found, but "))


def test_mail_that_came_out_of_the_filter_nowhere_has_its_place_on_the_map(tmp_path: Path) -> None:
    lines = []
    for number in range(4):
        identity, back = f"A{number:09X}", f"B{number:09X}"
        lines += mail(identity, f"10:0{number}:01")
        queued = f"250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as {back}"
        lines.append(delivery(identity, f"10:0{number}:02", "sent", queued, relay="127.0.0.1[127.0.0.1]:10024"))
        lines.append(f"10:0{number}:02 postfix/qmgr[9]: {identity}: removed")
        if number != 1:
            lines += mail(back, f"10:0{number}:02", client="localhost[127.0.0.1]", pid=17)
            lines.append(delivery(back, f"10:0{number}:03", "sent", SAVED))
            lines.append(f"10:0{number}:03 postfix/qmgr[9]: {back}: removed")
    lines.append("11:00:00 postfix/anvil[3]: statistics: max cache size 1 at Nov 22 10:00:01")
    lines += mail("C1C1C1C1C1", "11:00:01", login="bob")
    report = report_of(tmp_path, *lines)
    ends = {edge.target: edge.count for edge in report.flow.edges if edge.target in ("store", "open")}
    assert ends == {"store": 3, "open": 1}


def test_the_way_of_tagged_own_mail_is_marked_where_a_milter_judges_it() -> None:
    report = logscan.analyse(logscan.read(story("rspamd-outgoing-tagged-spam"), jobs=1))
    (check,) = [each for each in report.checks if each.name == "outgoing-tagged-spam"]
    marked = {finding: edge for edge in report.flow.edges for finding in edge.problem if edge.target == "outside"}
    assert set(marked) == {finding.id for finding in check.findings if finding.counts} != set()


def test_times_are_shown_in_the_offset_of_the_stamps(tmp_path: Path) -> None:
    reject = (
        "NOQUEUE: reject: RCPT from unknown[203.0.113.5]: 550 5.1.1 <x@example.com>: User unknown; from=<a@example.org>"
    )
    stamps = ("2026-07-01T00:30:00.5+02:00", "2026-07-01T01:10:00.0+02:00")
    (tmp_path / "mail.log").write_text(
        "".join(f"{at} mx1 postfix/smtpd[7]: {reject} to=<x@example.com> proto=ESMTP helo=<h>\n" for at in stamps)
    )
    report = logscan.analyse(logscan.read(tmp_path, jobs=1))
    (row,) = rows(report, "rejects")
    assert [row[key].isoformat() for key in ("first", "last")] == [
        "2026-07-01T00:30:00+02:00", "2026-07-01T01:10:00+02:00",
    ]  # fmt: skip
    assert report.traffic.hours[0].isoformat() == "2026-07-01T00:30:00+02:00"
    page, text = str(logscan.render(report, "html")), str(logscan.render(report, "text", width=200))
    assert "2026-07-01 00:30:00" in page
    assert "2026-07-01 00:30:00" in text
    assert "2026-06-30" not in page
    assert "2026-06-30" not in text
