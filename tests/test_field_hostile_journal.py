"""A journal made to hurt: whatever a field holds, a record is one record, nothing is forged, and every record is counted."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest

import logscan
from logscan.reading.reads import SourceRead

RECORD: dict[str, Any] = {
    "__CURSOR": "s=1",
    "__REALTIME_TIMESTAMP": "1795374118000000",
    "_HOSTNAME": "mx1",
    "SYSLOG_IDENTIFIER": "postfix/qmgr",
    "_PID": "7",
    "MESSAGE": "4A97F54A7D9: removed",
}

FORGED = "x\nNov 22 18:44:26 mx1 postfix/qmgr[7]: 5A97F54A7D9: removed\n4A97F54A7D9: removed"

VALUES: list[Any] = [
    None, True, -1, 1e308, 10**40, "", "\0", "\x1b[31m", "٣٣", "²", "-5", "1e9", "9" * 400, "NaN", 0, [], "\u2028",
    [1, 2, 300, -4], [255] * 10, [[1], [2]], {"a": 1}, "\ud800", FORGED, list(FORGED.encode()), "x" * 100_000,
    ["a", "b"], [RECORD["MESSAGE"]] * 2,
]  # fmt: skip

WHOLE = [
    b"[" * 100_000,
    b"{" * 1000,
    b'{"__REALTIME_TIMESTAMP":' + b"1" * 5000 + b"}",
    b'{"__REALTIME_TIMESTAMP":"1795374118000000","MESSAGE":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    b'{"__REALTIME_TIMESTAMP":NaN,"MESSAGE":Infinity}',
    b'{"a":1',
    b"\xff\xfe{}",
    b'{"__REALTIME_TIMESTAMP":"1795374118000000","MESSAGE":"\\ud800"}',
]


def read(path: Path, content: bytes) -> tuple[SourceRead, logscan.scan.scan.Scan]:
    path.write_bytes(content)
    scan = logscan.read(path, jobs=1)
    found = scan.sources[0]
    assert found.lines == found.understood + found.noise + found.unknown + found.undecodable + found.copies
    for name in ("text", "json", "html"):
        logscan.render(logscan.analyse(scan), name)
    return found, scan


def record(**changes: Any) -> bytes:
    return json.dumps(RECORD | changes).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("field", [*RECORD, "PRIORITY", "EXTRA"])
def test_a_field_may_hold_anything(tmp_path: Path, field: str) -> None:
    lines = [record()] * 5 + [record(**{field: value}) for value in VALUES]
    found, scan = read(tmp_path / "mail.json", b"\n".join(lines) + b"\n")
    assert found.lines == len(lines)
    assert set(scan.events("removals")["queue_id"]) <= {"4A97F54A7D9"}


def test_a_record_may_be_anything(tmp_path: Path) -> None:
    lines = [record()] * 20 + WHOLE
    found, _ = read(tmp_path / "mail.json", b"\n".join(lines) + b"\n")
    assert (found.lines, found.understood) == (len(lines), 20)


@pytest.mark.parametrize("message", [FORGED, list(FORGED.encode())], ids=["text", "bytes"])
def test_a_new_line_in_a_message_begins_no_record(tmp_path: Path, message: Any) -> None:
    found, scan = read(tmp_path / "mail.json", (record() + b"\n") * 3 + record(MESSAGE=message) + b"\n")
    assert found.lines == 4
    assert len(scan.events("removals")) == 3


def exported(fields: dict[str, bytes], binary: set[str]) -> bytes:
    out = b""
    for name, value in fields.items():
        key = name.encode()
        out += (
            key + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
            if name in binary
            else key + b"=" + value + b"\n"
        )
    return out + b"\n"


PLAIN = {key: str(value).encode() for key, value in RECORD.items()}


def test_a_record_within_a_message_of_the_export_format_is_none(tmp_path: Path) -> None:
    inner = b"x\n\n__CURSOR=s=2\nMESSAGE=5A97F54A7D9: removed\nSYSLOG_IDENTIFIER=postfix/qmgr\n\n"
    content = (
        exported(PLAIN, set()) * 2 + exported(PLAIN | {"MESSAGE": inner}, {"MESSAGE"}) + exported(PLAIN, {"MESSAGE"})
    )
    _, scan = read(tmp_path / "mail.export", content)
    assert set(scan.events("removals")["queue_id"]) == {"4A97F54A7D9"}


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_export_is_no_crash(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    out = b""
    for _ in range(60):
        fields = dict(PLAIN)
        name = rng.choice(list(PLAIN)[1:])
        fields[name] = rng.choice([b"", b"\x1b", b"x" * 1000, b"\xff\xfe", fields[name]])
        out += exported(fields, {rng.choice(list(PLAIN)[1:])})
        if rng.random() < 0.1:
            out += b"MESSAGE\n" + struct.pack("<Q", rng.choice([2**63, 2**64 - 1, 10**9, 0])) + b"abc\n"
    read(tmp_path / "mail.export", out[: rng.randint(len(out) // 2, len(out))])
