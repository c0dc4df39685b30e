"""Logs made to hurt: what a stranger can write costs no crash, no memory beyond the lines' own, and misleads no reader."""

from __future__ import annotations

import functools
import itertools
import json
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

import logscan
from logscan.pipeline.running import render
from logscan.reading import parsing as parse
from logscan.reading import working as reading
from logscan.reading.whole import read_sources
from logscan.samples import story
from logscan.scan.options import Options
from logscan.scan.scan import Scan

HEAD = "Nov 22 18:44:26 mx1 "


@pytest.fixture
def scanned(tmp_path: Path) -> Callable[..., Scan]:
    def read(*lines: str, **options: Any) -> Scan:
        path = tmp_path / "mail.log"
        path.write_text("".join(f"{line}\n" for line in lines))
        scan = logscan.read(path, jobs=1, **options)
        render(logscan.analyse(scan), "json")
        return scan

    return read


Scanned = Callable[..., Scan]


# -- what pieces a log is read in must not show ---------------------------------------------------------------------------


@functools.cache
def reported(size: int) -> tuple[dict[str, Any], str]:
    """Return the report of a day, as JSON and as a page, read in pieces of that many bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CHUNK", size)
        report = logscan.analyse(logscan.read(story("mixed-day"), jobs=1))
    page = render(report, "html")
    found = render(report, "json")
    assert isinstance(page, str)
    assert isinstance(found, str)
    return json.loads(found), page


def test_evidence_is_the_line_it_names_whatever_pieces_the_log_was_read_in() -> None:
    folder = Path(str(story("mixed-day")))
    lines = {name: (folder / name).read_text().splitlines() for name in ("mail.log", "mail.log.1")}
    seen = 0
    for check in reported(3000)[0]["checks"]:
        for item in (item for finding in check["findings"] for item in finding["evidence"]):
            if item["source"] in lines:
                assert item["text"] == lines[item["source"]][item["line"] - 1]
                seen += 1
    assert seen > 20


@pytest.mark.parametrize("size", [3000, 40_000])
def test_pieces_do_not_show_in_a_report(size: int) -> None:
    document, page = reported(size)
    whole, whole_page = reported(reading.CHUNK)
    assert document == whole
    made = whole_page.split("Made ", 1)[1].split(" by ", 1)[0]
    assert page.replace(page.split("Made ", 1)[1].split(" by ", 1)[0], made) == whole_page


def test_what_comes_next_is_imported_meanwhile_however_short_the_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "mail.log"
    path.write_text(f"{HEAD}postfix/qmgr[7]: 4A97F54A7D9: removed\n" * 3)
    from logscan.sources.finding import discover

    called: list[bool] = []
    read_sources(discover([str(path)]).sources, jobs=2, meanwhile=lambda: called.append(True))
    assert called == [True]


# -- names --------------------------------------------------------------------------------------------------------------


def test_hosts_times_instances_cost_no_memory(scanned: Scanned) -> None:
    lines = [f"Nov 22 18:44:26 h{i} postfix-{i}/qmgr[1]: {0xABCDE00000 + i:X}: removed" for i in range(20_000)]
    tracemalloc.start()
    try:
        scan = scanned(*lines)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(scan.entries) == 20_000
    assert peak < 150 * 2**20, "a table of all pairs of them would have 400 million places"


TWO_INSTANCES = """\
postfix/cleanup[1]: 2AFC6548599: message-id=<1@x>
postfix/qmgr[2]: 2AFC6548599: from=<q@x.org>, size=1380, nrcpt=1 (queue active)
postfix-in/cleanup[9]: 1AFC6548590: message-id=<9@x>
postfix-in/qmgr[9]: 1AFC6548590: from=<q@x.org>, size=1, nrcpt=1 (queue active)
postfix/smtpd[3]: 4A7DF54859C: client=localhost[127.0.0.1], orig_queue_id=2AFC6548599, orig_client=m.x.org[203.0.113.26]
postfix/cleanup[1]: 4A7DF54859C: message-id=<1@x>
postfix/qmgr[2]: 4A7DF54859C: from=<q@x.org>, size=1900, nrcpt=1 (queue active)
postfix/lmtp[4]: 2AFC6548599: to=<a@e.com>, relay=127.0.0.1[127.0.0.1]:10024, delay=0.14, delays=0/0/0/0.14, dsn=2.0.0, \
status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4A7DF54859C)
postfix/qmgr[2]: 2AFC6548599: removed
postfix-in/lmtp[5]: 4A7DF54859C: to=<a@e.com>, relay=mx1[private/dovecot-lmtp], delay=0.02, delays=0.01/0/0/0.02, \
dsn=2.0.0, status=sent (250 2.0.0 <a@e.com> GHOPEmY9A2vdEwAAMzN6MA Saved)
postfix/qmgr[2]: 4A7DF54859C: removed
""".splitlines()


def test_which_tag_comes_first_decides_nothing(scanned: Scanned) -> None:
    """Not even one of a line that carries nothing."""
    found = []
    for names in itertools.permutations(("postfix", "postfix-in")):
        noise = [f"{HEAD}{name}/anvil[1]: statistics: max cache size 1 at Nov 22 18:44:26" for name in names]
        scan = scanned(*noise, *(HEAD + line for line in TWO_INSTANCES))
        found.append((len(scan.mails), scan.legs[["parent_queue_id", "child_queue_id", "kind"]].values.tolist()))
    assert found[0] == found[1]
    assert found[0] == (3, [["2AFC6548599", "4A7DF54859C", "filter"]])


# -- values -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delays", ["1/2/3.3.3/4", "1/2/3/4.", "1/2/.../4", "/////", "9" * 400 + "/1/1/1"])
def test_a_garbled_delay_is_none(scanned: Scanned, delays: str) -> None:
    sent = f"to=<a@b>, relay=mx[192.0.2.1]:25, delay=1, delays={delays}, dsn=2.0.0, status=sent (250 ok)"
    scan = scanned(f"{HEAD}postfix/smtp[7]: 5A609544187: {sent}")
    assert scan.deliveries["delay"].tolist() == [1.0]


@pytest.mark.parametrize("delay", ["9" * 30, "9" * 400, "1.2.3", "."])
def test_a_delay_beyond_all_sense_is_none(scanned: Scanned, delay: str) -> None:
    stored = f"delay={delay}, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 <a@b> sessionsession Saved)"
    lost = f"delay={delay}, delays={delay}/0/0/1, dsn=4.4.2, status=deferred (conversation with mx timed out while sending "
    head = f"{HEAD}postfix/lmtp[7]: 5A609544187: to=<a@b>, relay=mx[private/dovecot-lmtp], "
    scan = scanned(f"{head}{lost}end of data -- message may be sent more than once)", f"{head}{stored}")
    assert scan.deliveries["delay"].isna().all()


LOGIN = (
    "postfix/smtpd[9701]: 96C6A54A5CF: client=x[198.51.100.102], sasl_method=PLAIN, sasl_username=bob@example.com",
    "postfix/qmgr[9484]: 96C6A54A5CF: from=<bob@example.com>, size=1383, nrcpt=1 (queue active)",
)


def test_a_finding_in_a_log_without_deliveries_shows_its_mail(scanned: Scanned) -> None:
    told = Options(services={"postfix/smtpd": 25})
    report = logscan.analyse(scanned(*(HEAD + line for line in LOGIN), options=told))
    assert [finding.subject for finding in report.found] == ["bob@example.com"]
    assert list(report.paths) == ["96C6A54A5CF"]


def test_a_miss_without_a_stamp_is_one_miss(scanned: Scanned) -> None:
    path = "/var/lib/dspam/data/local/erin/erin.sig/6b03ef8082931217510406.sig"
    scan = scanned(
        "dovecot: imap-login: Login: user=<erin>, method=PLAIN, rip=198.51.100.105, lip=198.51.100.10, mpid=9805, TLS, "
        "session=<iCvlre9gz8rGM2Rp>",
        f"dspam[9055]: Unable to open file for reading: {path}: No such file or directory",
        "dspam[9055]: Signature retrieval for '6b03ef8082931217510406' failed",
    )
    assert scan.trainings[["outcome", "user"]].values.tolist() == [["missed", "erin"]]


def test_what_is_asked_for_may_be_any_bytes(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_bytes(b"".join(HEAD.encode() + line.encode() + b"\n" for line in LOGIN).replace(b"bob@", b"b\xffb@"))
    nothing = run("trace", "\udcff", log)
    assert (nothing.returncode, nothing.stdout.startswith("no mail and no refusal")) == (0, True)
    found = run("trace", "b\udcffb@example.com", log)
    assert found.returncode == 0
    assert "96C6A54A5CF" in found.stdout


def test_no_filter_says_spam_of_what_it_does_not_call_spam(scanned: Scanned) -> None:
    scan = scanned(f"{HEAD}rspamd[7]: x", "1795374118\tI\tFrom <a@b>\t6b033c26,1\tsubject\t0.02\tbob\tDelivered\t<1@x>")
    assert scan.events("verdicts")["spam"].dtype == bool


# -- numbers ------------------------------------------------------------------------------------------------------------


def refusals(times: Iterable[int]) -> bytes:
    text = "NOQUEUE: reject: RCPT from x[192.0.2.1]: 550 5.1.1 <a@b>: no; from=<c@d> to=<a@b> proto=SMTP helo=<x>"
    lines = (f"{HEAD}postfix/smtpd[7]: message repeated {n} times: [ {text}]\n" for n in times)
    return "".join(lines).encode()


def test_a_few_lines_that_claim_millions_of_repeats_become_a_bounded_number_of_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parse, "MOST_REPEATED", 50)
    found = parse.parse(refusals([30, 30, 999, 999]), "syslog-bsd")
    assert len(found.tables["rejects"]) == 30 + 21 + 1 + 1
    assert (found.lines, found.understood, found.unknown) == (4, 4, 0)


def test_repeats_are_counted_when_there_are_very_many() -> None:
    assert len(parse.parse(refusals([2] * 30), "syslog-bsd").tables["rejects"]) == 60


def test_a_line_of_two_glued_records_is_one_line() -> None:
    verdict = ("1795000000\tI\t" + "f" * 950 + "@x\t5,abc\tsubject\t0.1\tbob@x\tDelivered\t<1@x>").ljust(1023, "x")
    training = "1795000000\tM\tfrom@x\t5,abc\tsubject\t0.1\tbob@x\tRetrained\t<1@x>"
    found = parse.parse(f"{verdict}{training}\n".encode() * 3, "dspam-system-log")
    assert (len(found.tables["verdicts"]), len(found.tables["trainings"])) == (3, 3)
    assert (found.lines, found.understood, found.unknown) == (3, 3, 0)
    assert sum(found.formats.values()) == 3
