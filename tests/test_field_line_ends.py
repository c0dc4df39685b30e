"""What stands at the end of a line, lines without a tag, and records that only seem to be several."""

from __future__ import annotations

import functools
import random
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from hypothesis import given, settings
from hypothesis import strategies as st

import logscan
from logscan.grammar.programs import log_formats, pattern_for
from logscan.pipeline.running import render
from logscan.reading.parsed import Parsed
from logscan.reading.parsing import parse
from logscan.samples import story

FIELD = Path(__file__).parent / "data" / "field"


def rows(parsed: Parsed) -> dict[str, list[dict[str, Any]]]:
    """Return the tables' rows; heads by what they say, since their numbers depend on the lines' order."""
    out = {}
    for name, table in parsed.tables.items():
        found = table.to_pylist()
        for row in found:
            row["head"] = parsed.heads[row["head"]]
        out[name] = found
    return out


def counted(parsed: Parsed) -> tuple[int, int, int, int]:
    assert parsed.lines == parsed.understood + parsed.noise + parsed.unknown + parsed.undecodable
    return parsed.understood, parsed.noise, parsed.unknown, parsed.undecodable


# -- white space ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["blank.log", "one-line.log"])
def test_a_blank_at_the_end_of_lines_changes_nothing(name: str) -> None:
    folder = FIELD / "19-trailing-blank"
    scan = logscan.read(folder / name, jobs=1)
    clean = logscan.read(folder / "clean.log", jobs=1)
    assert scan.mails.equals(clean.mails)
    assert scan.deliveries.equals(clean.deliveries)
    assert scan.mails["direction"].tolist() == ["inbound"]
    assert scan.deliveries["recipient"].tolist() == ["bob@example.com"]
    assert scan.read.sources[0].understood == 7


@functools.cache
def story_lines(name: str) -> list[bytes]:
    return (Path(str(story("mixed-day"))) / name).read_bytes().splitlines()


LOGS = ("mail.log", "dspam/system.log")


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("end", [b" ", b"\t", b"  \t ", b"\r", b" \r", b" " * 40])
def test_white_space_at_every_end_changes_nothing(name: str, end: bytes) -> None:
    lines = story_lines(name)
    kind = "dspam-system-log" if name.endswith("system.log") else "syslog-bsd"
    clean = parse(b"\n".join(lines), kind)
    padded = parse(b"".join(line + end + b"\n" for line in lines), kind)
    assert rows(padded) == rows(clean)
    assert counted(padded) == counted(clean)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(LOGS))
def test_random_white_space_at_random_ends_changes_nothing(seed: int, name: str) -> None:
    chance = random.Random(seed)
    lines = story_lines(name)
    start = chance.randrange(max(1, len(lines) - 700))
    some = lines[start : start + 700]
    kind = "dspam-system-log" if name.endswith("system.log") else "syslog-bsd"
    padded = [
        line + bytes(chance.choices(b" \t\r\v\f", k=chance.choice((0, 0, 1, 1, 2, 5, 9)))) + b"\n" for line in some
    ]
    clean, odd = parse(b"\n".join(some), kind), parse(b"".join(padded), kind)
    assert rows(odd) == rows(clean)
    assert counted(odd) == counted(clean)


def test_a_line_of_a_million_blanks_costs_nothing() -> None:
    line = b"Apr 27 16:45:45 mx1 postfix/qmgr[204]: ABD4E13D6B0: removed"
    parsed = parse((line + b" " * 10**6 + b"\n") * 3 + b" " * 10**6 + b"\n", "syslog-bsd")
    assert counted(parsed) == (3, 1, 0, 0)


@pytest.mark.parametrize("fmt", log_formats(), ids=lambda fmt: fmt.name)
def test_no_format_needs_white_space_at_the_end(fmt: Any) -> None:
    for sample in fmt.samples:
        for program in fmt.programs:
            match = pattern_for(program.replace("*", "qmgr")).match(sample.text.rstrip().encode())
            assert match is not None
            assert match.lastindex
            assert pattern_for(program.replace("*", "qmgr")).shapes[match.lastindex].format.name == fmt.name


# -- lines without a tag ---------------------------------------------------------------------------------------------------


def test_the_last_line_repeated_is_a_loss_with_and_without_a_tag() -> None:
    parsed = parse((FIELD / "18-last-message-repeated" / "mail.log").read_bytes(), "syslog-bsd")
    losses = [(row["line"] + 1, row["event"], row["count"]) for row in rows(parsed)["losses"]]
    assert losses == [
        (2, "repeated", 3),
        (4, "repeated", 1),
        (5, "repeated", 1),
        (7, "repeated", 2),
        (8, "repeated", 2),
    ]


def test_the_text_of_an_unknown_line_without_a_tag_is_shown(run: Run) -> None:
    path = FIELD / "18-last-message-repeated" / "mail.log"
    texts = [example for *_, example in parse(path.read_bytes(), "syslog-bsd").templates.values()]
    assert texts == ["last message buffered 2 times", "--- last message repeated 1 time ---"]
    assert "UNKNOWN (no program): last message buffered 2 times" in run("formats", "--check", path).stdout
    page = render(logscan.analyse(logscan.read(path, jobs=1)), "text")
    assert "last message buffered 2 times" in str(page)


@pytest.mark.parametrize(
    "text",
    ["supervisord started with pid 1", "-- odd: a colon in the text", "one", "2024-05-01 10:00:00,123 INFO x: y"],
)
def test_text_without_a_tag_does_not_vanish(text: str) -> None:
    line = f"Jan  2 03:04:08 mx {text}\n".encode()
    for times in (1, 700):  # one by one, and as columns
        parsed = parse(line * times, "syslog-bsd")
        assert [example for *_, example in parsed.templates.values()] == [text]
        assert {program for program, _ in parsed.templates} == {"(no program)"}
        assert parsed.unknown == times


def test_an_empty_syslog_name_is_postfix_too() -> None:
    line = b"Jan  2 03:04:08 mx /smtpd[7]: connect from unknown[192.0.2.9]\n"
    for text in (line, line.replace(b"mx ", b"")):
        parsed = parse(text, "syslog-bsd")
        assert [row["client_address"] for row in rows(parsed)["sessions"]] == ["192.0.2.9"]


@pytest.mark.parametrize("blanks", [2, 5])
def test_more_than_one_blank_before_host_or_tag_makes_no_difference(blanks: int) -> None:
    line = b"Jan  2 03:04:08 mx postfix/smtpd[7]: connect from unknown[192.0.2.9]\n"
    clean = rows(parse(line, "syslog-bsd"))
    for times in (1, 700):
        wide = line.replace(b" mx ", b" mx" + b" " * blanks)
        assert rows(parse(wide * times, "syslog-bsd"))["sessions"][0] == clean["sessions"][0]


# -- DSPAM's records -------------------------------------------------------------------------------------------------------

RECORD = b"1795374178\tI\tAnn <a@x.example>\t6b033c6d55689130513392\tHello\t0.01\tbob@example.com\tDelivered\t"
FORGED = b"1795374179\tM\tx\t6b033c6d55689130513392\tx\t0.01\tmallory\tRetrained\t<forged@x>"


@pytest.mark.parametrize("before", [900, 1000, 1022, 1024, 1100])
def test_a_record_within_a_message_id_is_a_stranger_s_text(before: int) -> None:
    line = RECORD + b"<" + b"x" * (before - len(RECORD) - 1) + FORGED
    parsed = parse(line + b"\n", "dspam-system-log")
    assert "trainings" not in rows(parsed)
    assert counted(parsed) == (1, 0, 0, 0)


def test_a_record_behind_a_full_buffer_is_one_in_system_log_only() -> None:
    cut = (RECORD + b"<" + b"x" * 1023)[:1023]
    parsed = parse(cut + FORGED + b"\n" + FORGED + b"\n", "dspam-system-log")
    assert [row["line"] for row in rows(parsed)["trainings"]] == [0, 1]
    assert counted(parsed) == (2, 0, 0, 0)
    user_log = parse(cut + FORGED + b"\n", "dspam-user-log", {"user": "bob"})
    assert "trainings" not in rows(user_log)


def test_a_buffer_that_was_filled_twice_gives_three_records() -> None:
    cut = (RECORD + b"<" + b"x" * 1023)[:1023]
    folded = RECORD + b"\n\t<" + b"x" * 1023
    for first in (cut, folded[:1023]):
        parsed = parse(first + cut + FORGED + b"\n", "dspam-system-log")
        assert (len(rows(parsed)["verdicts"]), len(rows(parsed)["trainings"])) == (2, 1)
        counted(parsed)


def test_a_line_of_a_known_and_an_unknown_record_is_counted_once() -> None:
    cut = (RECORD + b"<" + b"x" * 1023)[:1023]
    parsed = parse(cut + b"1795374179\tZZ\n" + cut + b"1795374179\tM\t\n", "dspam-system-log")
    counted(parsed)
