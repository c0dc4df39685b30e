"""Digits that are none: what a number is must be the same to whoever finds it and to whoever reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Run
from hypothesis import given, settings
from hypothesis import strategies as st

import logscan
from logscan.clocks.zones import named
from logscan.pipeline.running import render
from logscan.reading.parsing import parse
from logscan.settings.parameters import _holds
from logscan.sources.rotation import parse as name_of

ARABIC = "٣٣٣"
SUPERSCRIPT = "²³"
FULL_WIDTH = "３３３３"
OTHERS = [ARABIC, SUPERSCRIPT, FULL_WIDTH, "१२३४", "𝟏𝟐𝟑", "①②③", "½"]

HEAD = "Nov 22 18:44:26 mx1 "


@pytest.mark.parametrize("digits", OTHERS)
def test_a_signature_of_other_digits_is_nobody_s(tmp_path: Path, digits: str) -> None:
    path = tmp_path / "mail.log"
    lines = [
        f"{HEAD}dspam[19665]: Signature retrieval for '6b03ef80{digits}' failed",
        f"{HEAD}dspam[19665]: Signature retrieval for '{digits},6b03ef80123456' failed",
        f"{HEAD}dspam[19665]: Signature retrieval for '6b03ef80123{digits}' failed",
        f"{HEAD}dspam[19665]: Signature retrieval for '6b03ef80{digits}123456' failed",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    scan = logscan.read(path, jobs=1)
    assert len(scan.events("trainings")) == 4
    assert "anchors" not in scan.read.solution.year_from.values()
    render(logscan.analyse(scan), "json")


@pytest.mark.parametrize("service", [*OTHERS, "25²", "9" * 5000, "587٣", "25"])
def test_a_service_named_like_a_number_that_is_none(tmp_path: Path, run: Run, service: str) -> None:
    path = tmp_path / "mail.log"
    text = (
        f"{HEAD}postfix/{service}/smtpd[7]: 4A97F54A7D9: client=a.example.com[192.0.2.9], sasl_method=PLAIN,"
        " sasl_username=ann@example.com\n"
        f"{HEAD}postfix/cleanup[8]: 4A97F54A7D9: message-id=<1@a.example.com>\n"
        f"{HEAD}postfix/qmgr[9]: 4A97F54A7D9: from=<ann@example.com>, size=1, nrcpt=1 (queue active)\n"
        f"{HEAD}postfix/smtp[9]: 4A97F54A7D9: to=<b@example.net>, relay=mx.example.net[192.0.2.1]:25, delay=1,"
        " delays=1/0/0/0, dsn=2.0.0, status=sent (250 ok)\n"
    )
    path.write_text(text, encoding="utf-8")
    done = run("analyse", path, "-f", "json")
    assert done.returncode in (0, 1), done.stderr


@pytest.mark.parametrize("digits", OTHERS)
def test_names_zones_and_versions_have_ascii_digits(digits: str) -> None:
    assert name_of(f"/var/log/mail.log.{digits}").set.endswith(digits)
    assert named(f"+{digits[:2]}:00") is None
    assert _holds(digits, "==", digits)
    assert not _holds(digits, "==", "3")


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(categories=["Nd", "No", "Nl"]), min_size=1, max_size=12), st.sampled_from([
    "Nov 22 18:44:2{} mx1 postfix/qmgr[7]: 4A97F54A7D9: removed",
    "Nov 22 18:44:26 mx1 postfix/qmgr[{}]: 4A97F54A7D9: from=<a@x>, size={}, nrcpt={} (queue active)",
    "Nov 22 18:44:26 mx1 postfix/cleanup[7]: 4A97F54A7D9: message-id=<202611221844{}.4A97F54A7D9@mx1>",
    "Nov 22 18:44:26 mx1 postfix/smtp[7]: 4A97F54A7D9: to=<a@x>, relay=x[1]:{}, delay={}, delays={}/0/0/0, dsn=2.0.{},"
    " status=sent (250 ok)",
    "2026-11-22T18:44:26+0{}:00 mx1 postfix/qmgr[7]: 4A97F54A7D9: removed",
    "179537417{}\tI\tx\t6b033c6d{}\tx\t0.{}\tbob\tDelivered\t<1@x>",
    '{{"__REALTIME_TIMESTAMP":"17953742250608{}","_PID":"{}","MESSAGE":"x"}}',
]))  # fmt: skip
def test_any_script_s_digits_may_stand_anywhere(digits: str, line: str) -> None:
    text = line.replace("{}", digits).replace("{{", "{").replace("}}", "}").encode("utf-8", "surrogatepass")
    for kind in ("syslog-bsd", "dspam-system-log", "journal-json"):
        parsed = parse(text, kind)
        assert parsed.lines == parsed.understood + parsed.noise + parsed.unknown + parsed.undecodable
