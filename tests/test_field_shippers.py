"""What log shippers make of lines: no newlines, a time and a tag before the record, white space at the end."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from logscan.envelopes.json_lines import json_line
from logscan.envelopes.sniffing import sniff
from logscan.envelopes.unwrapping import Lines, unwrap

BODY = "mx1 postfix/qmgr[9]: 4A97F54A7D9: removed"
LINE = f"Mar  4 07:30:00 {BODY}"
AT = "2026-03-04T06:30:00Z"


def read(*lines: str) -> Lines:
    text = "".join(f"{line}\n" for line in lines).encode()
    return unwrap(text, sniff(text, whole=True), {})


def bodies(lines: Lines) -> list[str]:
    return [body.decode() for body in lines.bodies]


def docker(log: str, **more: Any) -> str:
    return json.dumps({"log": log, "stream": "stdout", "time": AT, **more})


# -- containers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"logtag": "F"}, {"_p": "F"}, {"kubernetes": {"pod_name": "mail-0"}}])
def test_records_without_newlines_are_lines_of_their_own(more: dict[str, Any]) -> None:
    found = read(*(docker(LINE, **more) for _ in range(3)))
    assert bodies(found) == [BODY] * 3
    assert found.blank == found.undecodable == 0


def test_what_kubernetes_marks_as_a_piece_is_joined() -> None:
    found = read(docker(LINE[:30], logtag="P"), docker(LINE[30:], logtag="F"), docker(LINE, logtag="F"))
    assert bodies(found) == [BODY, BODY]
    assert found.number.tolist() == [0, 2]
    assert found.blank == 1


@pytest.mark.parametrize("odd", ["", "ü", "\ufffd"])
def test_pieces_that_fill_docker_s_buffer_are_joined_with_or_without_newlines(odd: str) -> None:
    head = f"{LINE} {odd}"
    size = len(head.encode()) - (2 if odd == "\ufffd" else 0)
    piece = head + "x" * (16_384 - size)
    for end in ("\n", ""):
        found = read(docker(piece), docker("the rest" + end), docker(LINE + end))
        assert bodies(found) == [piece[16:] + "the rest", BODY]


def test_a_long_line_that_was_joined_by_its_shipper_takes_no_other_along() -> None:
    found = read(docker(LINE + "x" * 20_000), docker(LINE))
    assert len(bodies(found)) == 2


def test_a_shipper_s_name_for_the_time_is_taken() -> None:
    text = json.dumps({"date": 1772605800.5, "stream": "stdout", "logtag": "F", "log": BODY.partition(" ")[2]})
    assert read(text).time.tolist() == [1_772_605_800_500_000_000]


# -- fluentd and fluent-bit ----------------------------------------------------------------------------------------------

RECORD = json.dumps({"host": "mx1", "ident": "postfix/qmgr", "pid": "9", "message": "4A97F54A7D9: removed"})
SHIPPED = {
    "out_file": f"2026-03-04T07:30:00+01:00\tsystem.mail.info\t{RECORD}",
    "out_file, blanks": f"2026-03-04T07:30:00+01:00 mail {RECORD}",
    "out_file, commas": f"2026-03-04T06:30:00Z,mail.info,{RECORD}",
    "out_file, no tag": f"2026-03-04T07:30:00+01:00\t{RECORD}",
    "stdout": f"2026-03-04 07:30:00.000000000 +0100 system.mail.info: {RECORD}",
    "fluent-bit's file": f"mail.0: [1772605800.000000, {RECORD}]",
    "fluent-bit's file, no tag": f"[1772605800.000000, {RECORD}]",
}


@pytest.mark.parametrize("form", SHIPPED)
def test_a_time_and_a_tag_may_stand_before_a_record(form: str) -> None:
    text = f"{SHIPPED[form]}\n".encode() * 3
    assert sniff(text) == "fluentd"
    for kind in ("fluentd", "syslog-bsd"):
        found = unwrap(text, kind, {})
        if kind == "fluentd" or (found.undecodable == 0 and b"{" not in found.bodies[0]):
            assert bodies(found) == [BODY] * 3
            assert found.time.tolist() == [1_772_605_800_000_000_000] * 3


def test_a_record_s_own_time_goes_before_its_shipper_s() -> None:
    record = json.dumps({"time": "2026-03-04T07:29:58+01:00"} | json.loads(RECORD))
    assert read(f"2026-03-04T07:30:00+01:00\tmail\t{record}").time.tolist() == [1_772_605_798_000_000_000]


@pytest.mark.parametrize(
    "text",
    [
        f"2026-03-04T07:30:00+01:00 mx1 app[7]: {RECORD}",
        f"2026-03-04T07:30:00+01:00 mx1 app: mail.info: {RECORD}",
        f"2026-03-04T07:30:00+01:00 mx1 postfix/smtpd[7]: 2026-03-04T07:30:00+01:00\tx\t{RECORD}",
    ],
)
def test_a_record_in_a_program_s_text_stays_that_program_s(text: str) -> None:
    assert b" postfix/qmgr[9]: " not in read(text).bodies[0]


# -- white space -----------------------------------------------------------------------------------------------------------

SPACES = "\xa0\x85\u1680\u2000\u2003\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"


@pytest.mark.parametrize("end", [*SPACES, SPACES, " \xa0\t\u3000 \r", "\xa0" * 9])
def test_any_white_space_at_a_line_s_end_says_nothing(end: str) -> None:
    for line in (LINE + end, docker(LINE + end), f"{AT} stdout F {LINE}{end}"):
        assert bodies(read(line, line)) == [BODY, BODY]
    assert read(LINE, end).blank == 1


def test_the_no_break_space_of_latin_1_goes_and_characters_that_end_like_one_stay() -> None:
    assert list(unwrap(LINE.encode() + b"\xa0\n", "syslog-bsd", {}).bodies) == [BODY.encode()]
    for char in ("à", "中", "‿", "Å", "é", "丠"):
        assert bodies(read(LINE + char)) == [BODY + char]


def test_much_white_space_takes_no_longer_than_it_is() -> None:
    begun = time.process_time()
    unwrap((LINE + "\xa0" * 300_000 + "\n").encode(), "syslog-bsd", {})
    assert time.process_time() - begun < 1


# -- names of fields -----------------------------------------------------------------------------------------------------


def test_the_names_of_one_record_say_nothing_of_the_next() -> None:
    """What names a template uses is remembered; which of them are empty differs from line to line."""
    both = [
        {"Host": "mx1", "program": "postfix/qmgr", "ident": "", "pid": 9, "msg": "4A97F54A7D9: removed", "message": None},
        {"Host": "", "program": "-", "ident": "postfix/qmgr", "pid": "9", "msg": "", "message": "4A97F54A7D9: removed"},
        {"Host": {"name": "mx1"}, "program": "postfix/qmgr", "ident": [], "pid": 9, "msg": "4A97F54A7D9: removed", "x": True},
    ]  # fmt: skip
    told = ["mx1", "-", "mx1"]
    for _ in range(2):
        for record, host in zip(both, told, strict=True):
            found = json_line(json.dumps(record).encode())
            assert found
            assert found[0].decode() == BODY.replace("mx1", host)
