"""An anonymised report shows nobody, whatever they are called and wherever they stand, and the same by the same."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Run

import logscan
from logscan.rendering.renderers import renderers
from logscan.report.anonymise import Anonymiser
from logscan.report.anonymise_names import ROLES
from logscan.report.model import Report
from logscan.report.vocabulary import words
from logscan.samples import stories, story
from logscan.scan.options import Options
from logscan.scan.scan import Scan

FORMATS = tuple(sorted(renderers()))

PEOPLE = "alice bob carol dave erin frank grace heidi ivan judy mallory oscar peggy trent victor walter mx1 mx2 example"


def rendered(report: Report, name: str) -> str:
    options: dict[str, Any] = (
        {"mail_from": "logscan@here.invalid", "mail_to": ("you@here.invalid",)} if name == "email" else {}
    )
    content = logscan.render(report, name, **options)
    if isinstance(content, dict):
        return "\n".join([*content, *content.values()])
    if isinstance(content, bytes):
        mail = message_from_bytes(content, policy=policy.default)
        parts = [str(each.get_content()) for each in mail.walk() if each.get_content_maintype() == "text"]
        return "\n".join([*(f"{key}: {value}" for key, value in mail.items()), *parts])
    return content


def shown(scan: Scan) -> Iterator[tuple[str, str]]:
    """Yield every format of the anonymised report, with everything that is hidden otherwise asked for."""
    report = Anonymiser.of(scan).report(logscan.analyse(scan))
    for name in FORMATS:
        yield name, rendered(report, name)
    yield "text, all of it", str(logscan.render(report, "text", verbose=True, show_subjects=True))
    yield "data", repr(dataclasses.asdict(report))


# -- what is private is collected from the raw lines, by other means than the program's ------------------------------------

ADDRESS = re.compile(r"[\w.+=-]+@[\w.-]*\w")
IP = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])|(?<![\w:])(?:[0-9a-f]{1,4}:+){2,7}[0-9a-f]{1,4}(?![\w:])")
LOGIN = re.compile(r"(?:sasl_username=|user=<?|for user |lmtp\()([\w.+@-]+)")
HOST = re.compile(r"(?:client=|from |helo=<|relay=)((?:[\w-]+\.)+[\w-]+)(?=[\[>])")
OWN = re.compile(r"^(?:\w{3} [ \d]\d [\d:]{8}|\d{4}-[\d-]+T\S+) (\S+) ")
KEPT = {"127.0.0.1", "::1", "localhost", *ROLES}


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def private(folder: Path) -> set[str]:
    found: set[str] = set()
    for path in folder.rglob("*"):
        if not path.is_file() or path.suffix in (".gz", ".json", ".md"):
            continue
        for line in path.read_text("utf-8", "replace").splitlines():
            for address in ADDRESS.findall(line):
                local, _, domain = address.rpartition("@")
                found |= {address, domain, *([local] if len(local) > 3 and local.lower() not in words() else [])}
            found |= {
                *filter(is_address, IP.findall(line)),
                *LOGIN.findall(line),
                *HOST.findall(line),
                *OWN.findall(line),
            }
            fields = line.split("\t")
            if len(fields) > 5 and fields[0].isdigit() and " " in fields[4] and "<" not in fields[4]:
                found.add(fields[4])
    return {each for each in found if each.lower() not in KEPT and not each.startswith("127.") and len(each) > 2}


def surviving(text: str, secrets: set[str]) -> list[str]:
    low = text.lower()
    return sorted(
        each
        for each in secrets
        if each.lower() in low and re.search(rf"(?<![\w@.-]){re.escape(each.lower())}(?![\w-])", low)
    )


@pytest.mark.parametrize("name", list(stories()))
def test_nobody_of_a_genuine_log_is_in_any_format(name: str) -> None:
    secrets = private(Path(str(story(name))))
    assert len(secrets) > 10
    scan = logscan.read(story(name), jobs=1)
    for form, text in shown(scan):
        assert surviving(text, secrets) == [], form


def test_the_collector_finds_what_the_plain_report_shows() -> None:
    """The test above can fail: without anonymising, there is much to be found."""
    report = logscan.analyse(logscan.read(story("mixed-day"), jobs=1))
    secrets = private(Path(str(story("mixed-day"))))
    assert len(surviving(rendered(report, "json"), secrets)) > 40


def test_tables_show_nobody(run: Run, tmp_path: Path) -> None:
    secrets = private(Path(str(story("mixed-day"))))
    run("analyse", story("mixed-day"), "--anonymise", "--tables", tmp_path / "hidden", "-o", tmp_path / "x.json")
    run("analyse", story("mixed-day"), "--tables", tmp_path / "plain", "-o", tmp_path / "y.json")
    names = {each.name for each in (tmp_path / "hidden").iterdir()}
    assert names == {each.name for each in (tmp_path / "plain").iterdir()}
    for name in names:
        hidden, plain = (pq.read_table(tmp_path / which / name) for which in ("hidden", "plain"))
        assert (hidden.shape, hidden.column_names) == (plain.shape, plain.column_names)
        for column in hidden.column_names:
            if "string" in str(hidden.column(column).type):
                assert surviving("\n".join(map(str, hidden.column(column).unique().to_pylist())), secrets) == []
    entries = pq.read_table(tmp_path / "hidden" / "entries.parquet")
    assert entries.column("queue_id") == pq.read_table(tmp_path / "plain" / "entries.parquet").column("queue_id")
    # Who is who in the tables is who it is in the report.
    report = json.loads((tmp_path / "x.json").read_text())
    subjects = {f["subject"] for check in report["checks"] for f in check["findings"] if "@" in f["subject"]}
    senders = set(entries.column("sender").to_pylist()) | set(
        pq.read_table(tmp_path / "hidden" / "deliveries.parquet").column("mailbox").to_pylist()
    )
    assert subjects & senders


# -- names made to slip through ---------------------------------------------------------------------------------------------

LOCALS = [
    "zorro", "o'zorro", "zor/ro", '"zor ro"', '"zor@ro"', "zorro+tag", "zorro=x.example@list", "zörro", "xzorro.y", "ZORRO",
    "mark", "will", "zorro-zorro", "_zorro", "zorro{x}", "zorro!y", "%zorro", "zorro#", "4711zorro",
]  # fmt: skip
DOMAINS = [
    "zorro.local", "zorro.xn--p1ai", "zorro.photography", "xn--zrro-5qa.de", "zorro.internal", "[203.0.113.99]",
    "[IPv6:2001:db8:f00d::99]", "sub.zorro.co.uk", "zorro", "zörro.de", "zorro.cf", "zorro.py", "zorro.museum",
]  # fmt: skip
CLIENTS = [
    "zorro.lan[203.0.113.99]", "unknown[2001:db8:f00d::99]", "zorro[fe80::f00d%eth0]", "zorro.xn--p1ai[::ffff:203.0.113.99]",
    "203-0-113-99.dyn.zorro.net[203.0.113.99]",
]  # fmt: skip
LOGINS = [
    "zorro",
    "zorro@zorro.local",
    "ZORRO",
    "mark",
    "will",
    "zorro.zorro",
    "zor_ro",
    "zor-ro",
    "zórro",
    "ZORRO\\zorro",
]

SECRET = re.compile(
    r"z[oöó]r[/ @_-]?ro|f00d|203[.-]0[.-]113[.-]99|xn--p1ai|xn--zrro|photography|museum|(?<![\w.\x22])mark(?=[@>,: ])|4711",
    re.IGNORECASE,
)


def hostile() -> str:
    """Return a log in which everybody is called in a way that patterns miss."""
    out: list[str] = []
    number = 0xA000000
    head = "Nov 22 18:44:26 zorro "
    for n, (local, domain) in enumerate((a, b) for a in LOCALS for b in DOMAINS):
        number += 1
        queue_id, login, client = f"{number:X}", LOGINS[n % len(LOGINS)], CLIENTS[n % len(CLIENTS)]
        address = f"{local}@{domain}"
        out += [
            f"postfix/smtpd[9]: {queue_id}: client={client}, sasl_method=PLAIN, sasl_username={login}",
            f"postfix/cleanup[9]: {queue_id}: message-id=<{n}.{address}>",
            f"postfix/qmgr[9]: {queue_id}: from=<{address}>, size=1383, nrcpt=1 (queue active)",
            f"postfix/smtp[9]: {queue_id}: to=<{address}>, relay=zorro.local[203.0.113.99]:25, delay=1, delays=0/0/0/1, "
            f"dsn=5.1.1, status=bounced (host zorro.local[203.0.113.99] said: 550 5.1.1 <{address}>: Zorro Zorrovich isn't "
            "here, ask Zorro (in reply to RCPT TO command))",
            f"postfix/qmgr[9]: {queue_id}: removed",
            f"postfix/smtpd[9]: NOQUEUE: reject: RCPT from {client}: 550 5.1.1 <{address}>: Recipient address rejected: "
            f"zorro says no; from=<{address}> to=<{address}> proto=ESMTP helo=<zorro.zorro>",
            f"dspam[9]: Unable to open file for reading: /srv/zorro/data/zorro.local/zorro/zorro.sig/6b03ef80{n:014}.sig: "
            "No such file or directory",
            f"dovecot: lmtp({login})<9><abc>: msgid=<{n}.{address}>: saved mail to Zorro/zorro",
            f"zorrod[9]: unknown words of {address} called Zorro Zorrovich, {login}, at {client}",
        ]
    return "".join(f"{head}{line}\n" for line in out)


@pytest.fixture
def scanned(tmp_path: Path) -> Scan:
    folder = tmp_path / "logs" / "zorro-ltd"
    folder.mkdir(parents=True)
    (folder / "zorro@zorro.local.log").write_text(hostile())
    (folder / "mail.log").write_text(hostile().replace("18:44", "18:45"))
    (folder / "main.cf").write_text(
        "myhostname = zorro.local\nmydestination = zorro.local, zorro\nmynetworks = 203.0.113.99\n"
    )
    return logscan.read(folder.parent, jobs=1, options=Options(services={"postfix/smtpd": 25}))


def test_names_that_patterns_miss_are_in_no_format(scanned: Scan) -> None:
    for form, content in shown(scanned):
        text = content.replace('class="mark', "")
        left = {text[max(0, m.start() - 30) : m.end() + 30] for m in SECRET.finditer(text)}
        assert not left, (form, sorted(left)[:5])


def test_names_that_patterns_miss_are_in_no_table(scanned: Scan, tmp_path: Path) -> None:
    for path in scanned.write_tables(tmp_path / "tables", Anonymiser.of(scanned)):
        table = pq.read_table(path)
        for column in table.column_names:
            if "string" in str(table.column(column).type):
                text = "\n".join(map(str, table.column(column).unique().to_pylist()))
                assert not SECRET.search(text), (path.name, column, SECRET.search(text))


def test_a_letter_to_a_user_names_nobody_else(scanned: Scan) -> None:
    report = Anonymiser.of(scanned).report(logscan.analyse(scanned))
    letters = [f.remedy.message for f in report.found if f.remedy and f.remedy.message]
    assert letters
    assert not [each for each in letters if SECRET.search(each)]


# -- what stays -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed() -> tuple[Scan, Report, Report]:
    scan = logscan.read(story("mixed-day"), jobs=1)
    report = logscan.analyse(scan)
    return scan, report, Anonymiser.of(scan).report(report)


def test_counts_verdicts_and_times_stay(mixed: tuple[Scan, Report, Report]) -> None:
    _, report, hidden = mixed
    plain, made = (json.loads(str(logscan.render(each, "json"))) for each in (report, hidden))
    for key in ("mails", "period", "logscan"):
        assert made[key] == plain[key]
    assert [c.verdict for c in hidden.checks] == [c.verdict for c in report.checks]
    assert [(f.cause, f.severity, f.count, f.first) for f in hidden.found] == [
        (f.cause, f.severity, f.count, f.first) for f in report.found
    ]
    assert list(hidden.paths) == list(report.paths)


def test_the_map_keeps_its_ways(mixed: tuple[Scan, Report, Report]) -> None:
    _, report, hidden = mixed
    keys = [node.key for node in hidden.flow.nodes]
    assert len(set(keys)) == len(report.flow.nodes)
    assert {each for edge in hidden.flow.edges for each in (edge.source, edge.target)} <= set(keys)
    assert [edge.count for edge in hidden.flow.edges] == [edge.count for edge in report.flow.edges]
    at = {node.key: n for n, node in enumerate(report.flow.nodes)}
    now = {node.key: n for n, node in enumerate(hidden.flow.nodes)}
    assert [(now[e.source], now[e.target]) for e in hidden.flow.edges] == [
        (at[e.source], at[e.target]) for e in report.flow.edges
    ]


def test_evidence_names_a_source_that_is_listed(mixed: tuple[Scan, Report, Report]) -> None:
    _, _, hidden = mixed
    paths = {source.path for source in hidden.sources}
    assert {item.source for finding in hidden.found for item in finding.evidence} <= paths


def test_the_same_is_the_same_everywhere(mixed: tuple[Scan, Report, Report]) -> None:
    scan, _, _ = mixed
    names = Anonymiser.of(scan)
    line = "mx1 dspam[1]: /var/lib/dspam/data/local/alice/alice.sig/x.sig for alice, Alice@example.com from 192.0.2.7"
    once = names.text(line)
    assert once == names.text(line)
    found = re.fullmatch(
        r"host1 dspam\[1\]: /var/lib/dspam/data/local/(user\d+)/\1\.sig/x\.sig for \1, \1@(domain\d+\.example) from address1",
        once,
    )
    assert found, once
    assert names.text("bob@example.com at example.com") == f"{names.text('bob')}@{found[2]} at {found[2]}"


@pytest.mark.parametrize(
    "text",
    [
        "12:30:01 mail.log master.cf:31 2026-11-22T07:00:00+00:00",
        "localhost[127.0.0.1]:10025 ::1 root@localhost",
        "550 5.1.1 Recipient address rejected: User unknown in local recipient table",
        "delays=0.1/0/0.02/1.4, 1,234 mails, 99.9 %, 3.10.2, 12ms",
        "smtpd_sasl_auth_enable=no, master_service_disable = smtp.inet submission.inet",
        "content_filter=lmtp:unix:/var/run/dspam/dspam.sock",
    ],
)
def test_what_names_nobody_stays(mixed: tuple[Scan, Report, Report], text: str) -> None:
    assert Anonymiser.of(mixed[0]).text(text) == text


def test_no_person_of_the_samples_is_among_the_words() -> None:
    assert not words() & set(PEOPLE.split())
    assert {"mails", "refused", "spam", "mailbox", "deferred"} <= words()
