"""Whatever stands around a line, it says the same: each envelope around lines of a real day gives the plain one's rows."""

from __future__ import annotations

import functools
import json
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from hypothesis import given, settings
from hypothesis import strategies as st

import logscan
from logscan.envelopes.sniffing import sniff
from logscan.envelopes.unwrapping import unwrap
from logscan.reading import working as reading
from logscan.reading.line_texts import fetch
from logscan.reading.parsed import Parsed
from logscan.reading.parsing import parse
from logscan.samples import story

FIELD = Path(__file__).parent / "data" / "field"
START = datetime(2024, 5, 1, 10, 0, 0, 123456, timezone(timedelta(hours=2)))


@dataclass(frozen=True)
class Line:
    """A line of a log taken apart; ``at`` is its local time with offset."""

    host: str
    tag: str
    pid: str
    text: str
    at: datetime

    @property
    def tagged(self) -> str:
        return f"{self.tag}[{self.pid}]" if self.pid else self.tag

    @property
    def micro(self) -> int:
        return (self.at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

    @property
    def iso(self) -> str:
        return self.at.isoformat(timespec="microseconds")

    @property
    def zulu(self) -> str:
        return self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    @property
    def bsd(self) -> str:
        return f"{self.at:%b} {self.at.day:2} {self.at:%H:%M:%S}"

    @property
    def full(self) -> str:
        return f"{self.at:%a %Y-%m-%d %H:%M:%S}"

    @property
    def plain(self) -> str:
        return f"{self.iso} {self.host} {self.tagged}: {self.text}"


BODY = re.compile(r"\w{3} [ \d]\d \d\d:\d\d:\d\d (\S+) ([^\s\[\]:]+)(?:\[(\d+)\])?: (.*)")


@functools.cache
def day() -> tuple[Line, ...]:
    """Return the lines of a day of the stories, a second after each other; those with a PID and of one piece."""
    lines = (Path(str(story("mixed-day"))) / "mail.log").read_text().splitlines()
    found = [found for line in lines if (found := BODY.fullmatch(line))]
    return tuple(
        Line(one[1], one[2], one[3] or "", one[4].rstrip(), START + timedelta(seconds=n)) for n, one in enumerate(found)
    )


def record(line: Line, **more: Any) -> str:
    return json.dumps(more)


def journal(line: Line) -> dict[str, str]:
    fields = {
        "__CURSOR": "s=1;i=2",
        "__REALTIME_TIMESTAMP": str(line.micro),
        "_HOSTNAME": line.host,
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": line.tag,
        "MESSAGE": line.text,
    }
    return fields | ({"SYSLOG_PID": line.pid} if line.pid else {})


def pid(line: Line, name: str) -> dict[str, str]:
    return {name: line.pid} if line.pid else {}


def pretty(fields: dict[str, str]) -> str:
    return "{\n" + ",\n".join(f"\t{json.dumps(name)} : {json.dumps(value)}" for name, value in fields.items()) + "\n}"


def verbose(line: Line) -> str:
    fields = "\n".join(f"    {name}={value}" for name, value in journal(line).items() if name[:2] != "__")
    return f"{line.full}.{line.at:%f} CEST [s=abc;i=1;b=2;m=3;t=4;x=5]\n{fields}"


def tai(line: Line) -> str:
    return f"@{2**62 + 10 + line.micro // 10**6:016x}{line.micro % 10**6 * 1000:08x}"


ENVELOPES: dict[str, Callable[[Line], str]] = {
    "bsd": lambda e: f"{e.bsd} {e.host} {e.tagged}: {e.text}",
    "rfc 5424": lambda e: f"<22>1 {e.iso} {e.host} {e.tag} {e.pid or '-'} - - {e.text}",
    "blanks behind the stamp": lambda e: f"{e.iso}    {e.host} {e.tagged}: {e.text}",
    "macOS": lambda e: f"{e.at:%Y-%m-%d %H:%M:%S.%f%z}  {e.host} {e.tagged}: {e.text}",
    "short-full": lambda e: f"{e.full} CEST {e.host} {e.tagged}: {e.text}",
    "short-full, numeric zone": lambda e: f"{e.full} +02 {e.host} {e.tagged}: {e.text}",
    "short-full, no host": lambda e: f"{e.full} CEST {e.tagged}: {e.text}",
    "short-unix": lambda e: f"{e.micro // 10**6}.{e.micro % 10**6:06} {e.host} {e.tagged}: {e.text}",
    "short-monotonic": lambda e: f"[{e.at.second:5}.{e.at:%f}] {e.host} {e.tagged}: {e.text}",
    "short-delta": lambda e: f"[{e.at.second:5}.{e.at:%f} <    0.000012 >] {e.host} {e.tagged}: {e.text}",
    "short-delta, first": lambda e: f"[{e.at.second:5}.{e.at:%f}{'':16}] {e.host} {e.tagged}: {e.text}",
    "severity in the host's place": lambda e: f"{e.iso} {'INFO':7} {e.tagged}: {e.text}",
    "lower-case severity": lambda e: f"{e.iso} warning {e.tagged}: {e.text}",
    "severity in brackets": lambda e: f"{e.bsd} [notice] {e.tagged}: {e.text}",
    "severity before the host": lambda e: f"{e.iso} INFO {e.host} {e.tagged}: {e.text}",
    "multilog": lambda e: f"{tai(e)} {e.tagged}: {e.text}",
    "docker compose": lambda e: f"postfix-mailcow_1            | {e.bsd} {e.host} {e.tagged}: {e.text}",
    "docker compose, coloured": lambda e: (
        f"\x1b[36mpostfix-mailcow_1  |\x1b[0m {e.bsd} {e.host} {e.tagged}: \x1b[1m{e.text}\x1b[0m"
    ),
    "docker logs -t": lambda e: f"{e.zulu} {e.bsd} {e.host} {e.tagged}: {e.text}",
    "docker compose -t": lambda e: f"postfix-1  | {e.zulu} {e.iso} {e.host} {e.tagged}: {e.text}",
    "kubectl --prefix --timestamps": lambda e: f"[pod/mail-0/mx] {e.zulu} {e.bsd} {e.host} {e.tagged}: {e.text}",
    "stern --timestamps": lambda e: f"mail-0 mailserver {e.zulu} INFO    {e.tagged}: {e.text}",
    "facility and severity": lambda e: f"{e.iso} {e.host} mail info {e.tagged}: {e.text}",
    "blanks before the tag": lambda e: f"{e.iso} {e.host}   {e.tagged}: {e.text}",
    "docker service": lambda e: f"mail_postfix.1.a1b2c3@node-1    | {e.iso} {e.host} {e.tagged}: {e.text}",
    "kubectl --prefix": lambda e: f"[pod/mail-0/mailserver] {e.iso} {e.host} {e.tagged}: {e.text}",
    "kubectl --prefix, a severity": lambda e: f"[pod/mail-0/mailserver] {e.iso} INFO    {e.tagged}: {e.text}",
    "kubetail": lambda e: f"[mail-0 mailserver] {e.bsd} {e.host} {e.tagged}: {e.text}",
    "stern": lambda e: f"mail-0 mailserver {e.iso} {e.host} {e.tagged}: {e.text}",
    "stern with namespaces": lambda e: f"\x1b[32mprod\x1b[0m mail-0 mailserver {e.bsd} {e.host} {e.tagged}: {e.text}",
    "stern around JSON": lambda e: "mail-0 mailserver " + ENVELOPES["rsyslog's JSON"](e),
    "rsyslog's JSON": lambda e: record(
        e, timestamp=e.iso, host=e.host, severity="info", facility="mail", **{"syslog-tag": f"{e.tagged}:"},
        message=f" {e.text}",
    ),
    "rsyslog's JSON for logstash": lambda e: record(
        e, **{"@timestamp": e.zulu, "@version": "1"}, message=e.text, sysloghost=e.host, severity="info",
        programname=e.tag, procid=e.pid or "-",
    ),
    "rsyslog's JSON with app-name": lambda e: record(
        e, time=e.iso, hostname=e.host, **{"app-name": e.tag}, procid=e.pid or "-", msg=e.text, severity="WARNING"
    ),
    "syslog-ng's JSON": lambda e: record(
        e, PROGRAM=e.tag, PRIORITY="info", **pid(e, "PID"), MESSAGE=e.text, HOST=e.host, ISODATE=e.iso, FACILITY="mail"
    ),
    "fluentd's JSON": lambda e: record(
        e, time=e.micro / 10**6, tag="mail.info", host=e.host, ident=e.tag, **pid(e, "pid"), message=e.text
    ),
    "fluent-bit's JSON": lambda e: record(
        e, date=e.micro / 10**6, pri="22", host=e.host, ident=e.tag, **pid(e, "pid"), message=e.text
    ),
    "JSON around a whole line": lambda e: record(e, timestamp=e.iso, log=f"{e.bsd} {e.host} {e.tagged}: {e.text}"),
    "GELF": lambda e: record(
        e, version="1.1", host=e.host, short_message=e.text, timestamp=e.micro / 10**6, _app_name=e.tag, level=6,
        application_name=e.tag, **pid(e, "process_id"),
    ),
    "ECS": lambda e: record(
        e, **{"@timestamp": e.zulu}, host={"name": e.host, "os": {"type": "linux"}},
        process={"name": e.tag} | pid(e, "pid"), message=e.text, log={"syslog": {"severity": {"code": 6}}},
    ),
    "logstash's JSON with the line as it was": lambda e: record(
        e, **{"@timestamp": e.zulu, "@version": "1"}, program=e.tag, logsource=e.host, type="syslog",
        message=f"{e.bsd} {e.host} {e.tagged}: {e.text}",
    ),
    "filebeat's JSON of the journal": lambda e: record(
        e, **{"@timestamp": e.zulu}, host={"hostname": e.host}, process={"name": "smtpd"} | ({"pid": 99999} if e.pid else {}),
        log={"syslog": {"appname": e.tag, "priority": 6} | pid(e, "procid")}, message=e.text,
        input={"type": "journald"}, agent={"name": "collector", "type": "filebeat"},
    ),
    "vector's JSON": lambda e: record(
        e, appname=e.tag, facility="mail", host="relay", hostname=e.host, message=e.text, severity="info",
        **({"procid": int(e.pid)} if e.pid else {}), source_ip="192.0.2.1", source_type="syslog", timestamp=e.zulu,
    ),
    "stern's own JSON": lambda e: record(
        e, message=f"{e.iso} {e.host} {e.tagged}: {e.text}", nodeName="n", namespace="prod", podName="mail-0",
    ),
    "milliseconds": lambda e: record(e, ts=e.micro // 1000, host=e.host, program=e.tag, **pid(e, "pid"), msg=e.text),
    "journal's JSON": lambda e: json.dumps(journal(e)),
    "journal's JSON as events": lambda e: f"data: {json.dumps(journal(e))}\n",
    "journal's JSON as a sequence": lambda e: f"\x1e{json.dumps(journal(e))}",
    "journal's JSON, pretty": lambda e: pretty(journal(e)),
    "verbose": verbose,
    "docker's JSON": lambda e: record(e, log=f"{e.bsd} {e.host} {e.tagged}: {e.text}\n", stream="stdout", time=e.zulu),
    "CRI": lambda e: f"{e.zulu} stdout F {e.bsd} {e.host} {e.tagged}: {e.text}",
}  # fmt: skip

NO_HOST = ("short-full, no host", "severity in the host's place", "lower-case severity", "severity in brackets",
           "multilog", "stern --timestamps", "kubectl --prefix, a severity")  # fmt: skip
NO_TIME = ("short-monotonic", "short-delta", "short-delta, first")
COARSE = ("bsd", "docker compose", "docker compose, coloured", "kubetail", "stern with namespaces",
          "severity in brackets")  # fmt: skip


def rows(parsed: Parsed, *, host: bool) -> dict[str, list[dict[str, Any]]]:
    """Return the tables' rows in the order of the lines: program, PID and fields, and the host where it is told."""
    out: dict[str, list[dict[str, Any]]] = {}
    for name, table in parsed.tables.items():
        found = table.to_pylist()
        found.sort(key=lambda row: row["line"])
        for row in found:
            head = parsed.heads[row.pop("head")]
            for other in ("line", "time", "clock", "turn"):
                row.pop(other)
            row.update(program=head.program, instance=head.instance, service=head.service)
            row.update({"host": head.host} if host else {})
        out[name] = [{key: value for key, value in row.items() if value is not None} for row in found]
    return out


def written(name: str, lines: list[Line]) -> tuple[bytes, str]:
    text = "".join(f"{ENVELOPES[name](line)}\n" for line in lines).encode()
    return text, sniff(text[:60_000], whole=len(text) < 60_000)


def accounted(parsed: Parsed) -> None:
    assert parsed.lines == parsed.understood + parsed.noise + parsed.unknown + parsed.undecodable


@pytest.mark.parametrize("name", ENVELOPES)
def test_every_envelope_gives_the_plain_one_s_rows(name: str) -> None:
    lines = list(day()[:900])
    plain = parse("".join(f"{line.plain}\n" for line in lines).encode(), "syslog-iso")
    text, kind = written(name, lines)
    assert kind not in ("text", "binary", "mbox", "empty")
    parsed = parse(text, kind)
    accounted(parsed)
    assert (parsed.undecodable, parsed.unknown, parsed.understood) == (0, plain.unknown, plain.understood)
    host = name not in NO_HOST
    assert rows(parsed, host=host) == rows(plain, host=host)
    if name not in (*NO_TIME, *COARSE):
        found = unwrap(text, kind, {})
        assert [abs(int(at) // 1000 - line.micro) <= 1000 for at, line in zip(found.time, lines, strict=True)]
        expected = [line.micro // 10**6 for line in lines]
        assert [int(at) // 10**9 for at in found.time] == expected


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(list(ENVELOPES)))
def test_random_lines_in_a_random_envelope_with_random_ends(seed: int, name: str) -> None:
    chance = random.Random(seed)
    lines = sorted(chance.sample(day(), chance.randrange(1, 40)), key=lambda line: line.at)
    plain = parse("".join(f"{line.plain}\n" for line in lines).encode(), "syslog-iso")
    text, kind = written(name, lines)
    ends = "" if "JSON, pretty" in name or name == "verbose" else chance.choice(["", " ", "\t ", "\r"])
    parsed = parse(text.replace(b"\n", ends.encode() + b"\n"), kind)
    accounted(parsed)
    host = name not in NO_HOST
    assert rows(parsed, host=host) == rows(plain, host=host)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_envelopes_of_one_line_each_may_be_mixed(seed: int) -> None:
    chance = random.Random(seed)
    names = [name for name in ENVELOPES if name not in ("verbose", "journal's JSON, pretty", "CRI")]
    lines = sorted(chance.sample(day(), 30), key=lambda line: line.at)
    text = "".join(f"{ENVELOPES[chance.choice(names)](line)}\n" for line in lines).encode()
    plain = parse("".join(f"{line.plain}\n" for line in lines).encode(), "syslog-iso")
    parsed = parse(text, "syslog-iso")
    accounted(parsed)
    assert rows(parsed, host=False) == rows(plain, host=False)


PIECES = [ENVELOPES[name](day()[n]).encode() for n, name in enumerate(ENVELOPES)]
KINDS = [
    "syslog-bsd",
    "syslog-json",
    "journal-json",
    "json-pretty",
    "journal-verbose",
    "docker-compose",
    "multilog",
    "cri",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4), st.data(), st.sampled_from(KINDS))
def test_torn_envelopes_are_taken(pieces: list[bytes], data: st.DataObject, kind: str) -> None:
    text = bytearray(b"\n".join(pieces))
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=6))
    accounted(parse(bytes(text), kind))
    sniff(bytes(text))


# -- the cases from the field ------------------------------------------------------------------------------------------------


def test_a_severity_in_the_host_s_place(tmp_path: Path) -> None:
    source = FIELD / "07-boky-postfix" / "plain.log"
    scan = logscan.read(source, jobs=1)
    assert scan.read.sources[0].understood == 8
    assert (scan.mails["delivered"].tolist(), scan.mails["sender"].tolist()) == ([1], ["shop@example.com"])
    assert scan.deliveries["status"].tolist() == ["sent"]
    lines = [re.fullmatch(r"(\S+) (\w+) +([^\[]+)\[(\d+)\]: (.*)", line) for line in source.read_text().splitlines()]
    path = tmp_path / "json.log"
    path.write_text(
        "".join(
            json.dumps({"time": m[1], "severity": m[2], "tag": m[3], "pid": m[4], "message": m[5]}) + "\n"
            for m in lines if m
        )
    )  # fmt: skip
    other = logscan.read(path, jobs=1)
    assert other.read.sources[0].understood == 8
    assert other.mails["direction"].tolist() == scan.mails["direction"].tolist()
    assert other.entries["first"].tolist() == scan.entries["first"].tolist()


@pytest.mark.parametrize("path", sorted((FIELD / "22-stamps-and-prefixes").iterdir()), ids=lambda path: path.name)
def test_stamps_and_prefixes_of_common_tools(path: Path, run: Run) -> None:
    scan = logscan.read(path, jobs=1)
    source = scan.read.sources[0]
    assert (source.unknown, source.undecodable) == (0, 0)
    if path.name == "dovecot1-level-first":
        assert len(scan.events("logins")) == 3
    else:
        session = scan.events("sessions").iloc[0]
        assert (session["client_address"], session["pid"]) == ("192.0.2.9", 7)
    done = run("formats", "--check", path)
    assert done.returncode == 0
    assert "UNKNOWN" not in done.stdout


# -- what is no envelope -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "[    1.234567] usb 1-1: new high-speed USB device number 2",
        '{"time":"2024-05-01T10:00:00Z","level":"info","msg":"listening","service":"web"}',
        '{"name": "logscan", "version": "1"}',
        "drwxr-xr-x 2 root root 4096 2026-11-22 19:13:47 mail",
        "info: this is a text",
        "@4 is no stamp",
    ],
)
def test_other_texts_are_no_logs_of_mail(line: str) -> None:
    assert sniff(f"{line}\n".encode() * 3, whole=True) == "text"


def test_json_that_is_odd_is_counted_and_shown() -> None:
    odd = [
        '{"message": 5}', '{"message": ["a"], "ident": "x"}', '{"time": 1e999, "ident": "postfix/qmgr", "message": "x"}',
        '{"time": NaN, "ident": "postfix/qmgr", "message": "x"}', '{"time": -5, "tag": "", "message": ""}', "[]", "{}",
        '{"time": "²", "ident": "postfix/qmgr", "pid": "²", "message": "\\ud800"}', '{"log": {"log": {"log": {}}}}',
        '{"time":"99999999999999999999","host":{"name":null},"ident":"a b","message":"x\\ny"}',
        '{"time": 1%s, "ident": "postfix/qmgr", "message": "x"}' % ("0" * 400),
        '{"ident": "[5]", "message": "x"}', '{"pid": 99999999999999999999, "ident": "x", "message": "x"}',
    ]  # fmt: skip
    accounted(parse("\n".join(odd).encode(), "syslog-json"))
    deep = "[" * 100_000
    accounted(parse(f'{{"message": {deep}\n'.encode(), "syslog-json"))


# -- the journal without tags ----------------------------------------------------------------------------------------------------


def unit(line: Line) -> str:
    name = "postfix@-.service" if "/" in line.tag else f"{line.tag}.service"
    return f"{line.full} CEST {line.host} {name}[{line.pid or 5}]: {line.text}"


SAME = ("time", "clock", "turn", "line", "pid", "head")


def bare_rows(parsed: Parsed) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows' own fields and the daemon's name, without instance, service and PID."""
    out = {}
    for name, table in parsed.tables.items():
        found = sorted(table.to_pylist(), key=lambda row: row["line"])
        out[name] = [
            (parsed.heads[row["head"]].program, *(row[key] for key in sorted(row) if key not in SAME)) for row in found
        ]
    return out


@pytest.mark.parametrize("form", ["cat", "with-unit"])
def test_the_program_is_told_by_the_text(form: str) -> None:
    lines = list(day()[:900])
    plain = parse("".join(f"{line.plain}\n" for line in lines).encode(), "syslog-iso")
    text = "".join(f"{line.text if form == 'cat' else unit(line)}\n" for line in lines).encode()
    kind = sniff(text[:60_000])
    assert kind == ("journal-cat" if form == "cat" else "syslog-iso")
    parsed = parse(text, kind)
    accounted(parsed)
    assert (parsed.undecodable, parsed.unknown, parsed.understood) == (0, plain.unknown, plain.understood)
    assert bare_rows(parsed) == bare_rows(plain)


def exported(line: Line) -> str:
    return "".join(f"{name}={value}\n" for name, value in journal(line).items())


@pytest.mark.parametrize("name", ["plain", "bsd", "journal's JSON, pretty", "verbose", "rsyslog's JSON", "export"])
def test_evidence_is_the_line_that_says_it(name: str, tmp_path: Path) -> None:
    form = {**ENVELOPES, "plain": lambda line: line.plain, "export": exported}[name]
    path = tmp_path / "log"
    path.write_text("".join(f"{form(line)}\n" for line in day()[:300]))
    scan = logscan.read(path, jobs=1)
    removed = scan.events("removals")
    found = fetch(scan.read.sources, {scan.label(0): set(removed["line"])})
    assert len(found) == len(removed) > 10
    for row in removed.itertuples():
        text = found[scan.label(0), row.line]
        assert row.queue_id in text
        assert "removed" in text


@pytest.mark.parametrize("name", ["journal's JSON, pretty", "verbose", "stern", "docker compose, coloured"])
def test_what_pieces_a_log_is_read_in_makes_no_difference(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"{ENVELOPES[name](line)}\n" for line in day()[:600]))
    whole = logscan.read(path, jobs=1)
    monkeypatch.setattr(reading, "CHUNK", 5000)
    pieces = logscan.read(path, jobs=1)
    assert pieces.read.sources[0].undecodable == 0
    mails = [
        scan.mails.drop(columns="entry").sort_values(["queue_id", "first"], ignore_index=True)
        for scan in (whole, pieces)
    ]
    assert mails[0].astype("str").equals(mails[1].astype("str"))
    assert pieces.read.sources[0].lines == whole.read.sources[0].lines == path.read_bytes().count(b"\n")


LONG = 100_000
HURTING = {
    "slashes behind two words": b"aa bb " + b"a/" * LONG,
    "a tag of slashes": b"Nov  2 19:03:45 mx1 " + b"/a" * LONG,
    "words": b"aa " * LONG,
    "blanks": b"a" + b" " * LONG,
    "blanks behind a stamp": b"Nov  2 19:03:45" + b" " * LONG + b"x",
    "brackets": b"[pod/" + b"a.b/" * LONG,
    "escapes": b"\x1b[1" * LONG,
    "unended escapes": b"\x1b]a" * LONG,
    "levels": b"Nov  2 19:03:45 " + b"Info: a: " * LONG,
    "severities": b"Nov  2 19:03:45 " + b"INFO " * LONG,
    "priorities": b"Nov  2 19:03:45 " + b"<mail.info> " * LONG,
    "names of containers": b"a | " * LONG,
    "units": b"Nov  2 19:03:45 mx1 " + b"a.service" * LONG + b"[7]: x",
    "relays": b"4A97F54A7D9: to=<a@b>, relay=" + b"[" * LONG + b", relay=a, " * LONG,
    "colons": b"Nov  2 19:03:45 " + b"a: " * LONG,
    "JSON": b'{"message": "' + b"a[1]:" * LONG + b'", "ident": "' + b"a[1]:" * LONG + b'"}',
    "JSON of many names": b'{"message": "x"' + b"".join(b', "a%d": {"b": 1}' % n for n in range(LONG // 4)) + b"}",
    "stamps": b"Nov  2 19:03:45 " * LONG,
    "bits of dovecot": b"a(b)<c>: " * LONG,
}


@pytest.mark.parametrize("name", HURTING)
def test_long_lines_take_no_longer_than_they_are(name: str) -> None:
    for kind in ("syslog-bsd", "syslog-json", "journal-cat", "docker-compose"):
        start = time.process_time()
        accounted(parse(HURTING[name] + b"\n" + HURTING[name], kind))
        sniff(HURTING[name], whole=True)
        assert time.process_time() - start < 8, kind
