"""The zone that times are shown in is the server's, and any source that tells a year tells it for all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run

import logscan
from logscan.clocks.offsets import told_zone
from logscan.clocks.zones import zone_name
from logscan.envelopes.stamps import SECOND, ZULU
from logscan.scan.scan import Scan

FIELD = Path(__file__).parent / "data" / "field"
HOUR = 3600 * SECOND
DAY = 24 * HOUR

MAIL = (
    "postfix/smtpd[7]: connect from mail.example.org[203.0.113.26]",
    "postfix/smtpd[7]: ABD4E13D6B0: client=mail.example.org[203.0.113.26]",
    "postfix/cleanup[8]: ABD4E13D6B0: message-id=<r1@example.org>",
    "postfix/qmgr[9]: ABD4E13D6B0: from=<ann@example.org>, size=11803, nrcpt=1 (queue active)",
    "postfix/lmtp[6]: ABD4E13D6B0: to=<bob@example.com>, relay=mx1.example.com[private/dovecot-lmtp], delay=5,"
    " delays=4.9/0.01/0/0.09, dsn=2.0.0, status=sent (250 2.0.0 <bob@example.com> 2KPXLyGdU16tAAAAlVQmLw Saved)",
    "postfix/qmgr[9]: ABD4E13D6B0: removed",
)

Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write logs of one mail, each line behind the stamp given for its file, and an old time on each file."""

    def write(**stamps: str) -> Path:
        for name, stamp in stamps.items():
            path = tmp_path / name.replace("_", ".")
            path.write_text("".join(f"{stamp}mx1 {text}\n" for text in MAIL))
            os.utime(path, (1_790_000_000, 1_790_000_000))
        return tmp_path

    return write


def shown(scan: Scan) -> str:
    report = logscan.analyse(scan)
    return report.period.first.isoformat() if report.period.first else ""


ZONES = ["UTC", "America/New_York", "Asia/Kolkata"]


@pytest.mark.parametrize(
    ("stamp", "zone", "time"),
    [
        ("2024-05-01T10:00:00.123456+02:00 ", "+02:00", "2024-05-01T10:00:00+02:00"),
        ("2024-05-01T10:00:00+0545 ", "+05:45", "2024-05-01T10:00:00+05:45"),
        ("2024-05-01 10:00:00.123456-0330  ", "-03:30", "2024-05-01T10:00:00-03:30"),
        ("2024-05-01T10:00:00+00:00 ", "UTC", "2024-05-01T10:00:00+00:00"),
        ("2024-05-01T10:00:00Z ", "UTC", "2024-05-01T10:00:00+00:00"),
        ("Wed 2024-05-01 10:00:00 CEST ", "+02:00", "2024-05-01T10:00:00+02:00"),
        ("Wed 2024-05-01 10:00:00 -03 ", "-03:00", "2024-05-01T10:00:00-03:00"),
    ],
)
def test_times_are_shown_in_the_offset_of_the_stamps_wherever_they_are_analysed(
    written: Written, run: Run, stamp: str, zone: str, time: str
) -> None:
    folder = written(mail_log=stamp)
    scan = logscan.read(folder, jobs=1)
    assert scan.read.solution.zone_name == zone
    assert not scan.read.solution.inferred_zone
    assert shown(scan) == time
    pages = {tuple(run("analyse", folder, "-f", form, TZ=name).stdout for form in ("text", "csv")) for name in ZONES}
    assert len(pages) == 1


def test_a_log_without_offsets_shows_its_own_clock_and_says_what_was_assumed(written: Written, run: Run) -> None:
    folder = written(mail_log="May  1 10:00:00 ")
    for name in ZONES:
        found = json.loads(run("analyse", folder, "-f", "json", "--year", "2024", TZ=name).stdout)
        assert found["period"]["first"].startswith("2024-05-01T10:00:00")
        text = " ".join(run("analyse", folder, TZ=name).stderr.split())
        assert f"Nothing in the logs tells their time zone: this host's, {name}, is assumed" in text


def test_the_end_of_summer_time_is_told_by_the_stamps(written: Written, tmp_path: Path) -> None:
    lines = []
    for stamp in ("2024-10-27T02:30:00+02:00", "2024-10-27T02:30:00+01:00", "2024-10-27T03:30:00+01:00"):
        lines += [f"{stamp} mx1 {text}\n" for text in MAIL]
    (tmp_path / "mail.log").write_text("".join(lines))
    scan = logscan.read(tmp_path, jobs=1)
    assert scan.read.solution.zone_name == "+02:00/+01:00"
    stored = [at.to_pydatetime().astimezone(scan.zone) for at in scan.deliveries["time"].sort_values()]
    assert [at.isoformat() for at in stored] == [
        "2024-10-27T02:30:00+02:00",
        "2024-10-27T02:30:00+01:00",
        "2024-10-27T03:30:00+01:00",
    ]
    assert not [note for note in scan.notes if "several offsets" in note]


def test_a_year_of_offsets_changes_twice() -> None:
    runs = [(HOUR, 0, 80 * DAY, 9), (2 * HOUR, 80 * DAY, 300 * DAY, 9), (HOUR, 300 * DAY, 360 * DAY, 9)]
    zone = told_zone({0: runs[:2], 1: runs[2:]}, {0: "mail.log.1", 1: "mail.log"}).zone
    assert zone is not None
    assert zone_name(zone) == "+01:00/+02:00"


def test_offsets_side_by_side_leave_the_commonest(written: Written, tmp_path: Path) -> None:
    lines = [f"2024-05-01T10:00:0{n}+02:00 mx1 {text}\n" for n, text in enumerate(MAIL)]
    relay = [f"2024-05-01T08:00:0{n}+00:00 mx2 {text}\n" for n, text in enumerate(MAIL[:3])]
    (tmp_path / "mail.log").write_text(
        "".join(line for pair in zip(lines, [*relay, "", "", ""], strict=True) for line in pair)
    )
    scan = logscan.read(tmp_path, jobs=1)
    assert scan.read.solution.zone_name == "+02:00"
    assert any("several offsets" in note and "not UTC" in note for note in scan.notes)


def test_z_says_less_than_an_offset_and_more_than_this_host() -> None:
    told = told_zone({0: [(ZULU, 0, DAY, 1000)], 1: [(2 * HOUR, 0, DAY, 3)]}, {0: "json.log", 1: "mail.log"})
    assert zone_name(told.zone) == "+02:00"  # type: ignore[arg-type]
    assert told_zone({0: [(ZULU, 0, DAY, 1000)]}, {0: "json.log"}).weak


def test_a_log_without_offsets_is_in_the_zone_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_text("".join(f"2024-05-01T10:00:00+02:00 mx1 {text}\n" for text in MAIL))
    (tmp_path / "dovecot.log").write_text(
        "May 01 10:00:00 imap-login: Info: Login: user=<bob>, method=PLAIN, rip=192.0.2.9, lip=198.51.100.1, mpid=5\n"
    )
    scan = logscan.read(tmp_path, jobs=1)
    assert scan.events("logins")["time"].iloc[0].isoformat() == "2024-05-01T08:00:00+00:00"
    assert scan.read.solution.zone_from == {0: "stamps"} or scan.read.solution.zone_from == {1: "stamps"}


# -- years -----------------------------------------------------------------------------------------------------------------


def test_rspamd_s_log_tells_the_year_of_the_mail_log() -> None:
    scan = logscan.read(FIELD / "11-rspamd-auth-user-tagged", jobs=1)
    assert set(scan.read.solution.base_year.values()) == {2018}
    report = logscan.analyse(scan, checks=["outgoing-tagged-spam"])
    assert [each.year for each in (report.period.first, report.period.last) if each] == [2018, 2018]
    assert [len(result.findings) for result in report.checks] == [1]


TELLING: dict[str, str] = {
    "rspamd.log": "2019-05-01 10:00:01 #306(normal) <363e69>; task; rspamd_task_write_log: id: <r1@example.org>",
    "dovecot.log": "2019-05-01 10:00:01 imap-login: Info: Login: user=<bob>, method=PLAIN, rip=192.0.2.9, mpid=5",
    "dspam.debug": "126: [05/01/2019 10:00:01] pass-thru: x",
    "spamd.log": "Wed May  1 10:00:01 2019 [123] info: spamd: result: Y 5 - X",
    "mail2.log": "2019-05-01 10:00:01 mx1 postfix/qmgr[7]: 4A97F54A7D9: removed",
    "freebsd.log": "2019 May  1 10:00:01 mx1 postfix/qmgr[7]: 4A97F54A7D9: removed",
    "system.log": "1556704801\tI\tAnn <a@x.example>\t6b033c6d55689130513392\tHello\t0.01\tbob\tDelivered\t<r1@example.org>",
}


@pytest.mark.parametrize("name", [name for name in TELLING if name != "freebsd.log"])
def test_any_source_that_tells_a_year_tells_it_for_the_others(written: Written, name: str) -> None:
    folder = written(mail_log="May  1 10:00:00 ")
    (folder / name).write_text(TELLING[name] + "\n")
    scan = logscan.read(folder, jobs=1)
    solution: Any = scan.read.solution
    assert set(solution.base_year.values()) == {2019}, solution
    assert shown(scan).startswith("2019-05-01")


def test_a_year_far_away_tells_nothing(written: Written) -> None:
    folder = written(mail_log="May  1 10:00:00 ")
    (folder / "rspamd.log").write_text(TELLING["rspamd.log"].replace("2019-05", "2019-11") + "\n")
    scan = logscan.read(folder, jobs=1)
    assert sorted(scan.read.solution.base_year.values()) == [2019, 2026]


def test_a_set_of_new_year_takes_its_years_from_the_other_log(tmp_path: Path) -> None:
    (tmp_path / "mail.log.1").write_text("".join(f"Dec 31 23:00:00 mx1 {text}\n" for text in MAIL))
    (tmp_path / "mail.log").write_text("".join(f"Jan  1 01:00:00 mx1 {text}\n" for text in MAIL))
    (tmp_path / "rspamd.log").write_text(TELLING["rspamd.log"].replace("2019-05-01", "2020-01-01") + "\n")
    scan = logscan.read(tmp_path, jobs=1)
    years = scan.deliveries["time"].dt.year.sort_values().tolist()
    assert years == [2019, 2020]
    assert np.all(scan.deliveries["time"].dt.month.isin((1, 12)))


# -- what people ask for ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ZONES)
def test_since_and_until_are_times_of_the_server_s_clock(written: Written, run: Run, name: str) -> None:
    folder = written(mail_log="2024-05-01T10:00:00+02:00 ")
    for since, until, mails in (("09:59", "10:01", 1), ("10:01", "12:00", 0), ("00:00", "09:59", 0)):
        window = ("--since", f"2024-05-01 {since}", "--until", f"2024-05-01 {until}")
        found = json.loads(run("analyse", folder, "-f", "json", *window, TZ=name).stdout)
        assert found["mails"]["total"] == mails, (since, until)
    exact = ("--since", "2024-05-01T07:59+00:00", "--until", "2024-05-01T08:01+00:00")
    assert json.loads(run("analyse", folder, "-f", "json", *exact, TZ=name).stdout)["mails"]["total"] == 1
    given = ("--since", "2024-05-01 07:59", "--until", "2024-05-01 08:01", "--timezone", "UTC")
    assert json.loads(run("analyse", folder, "-f", "json", *given, TZ=name).stdout)["mails"]["total"] == 1


@pytest.mark.parametrize("since", ["0001-01-01", "1969-12-31", "9999-12-31", "0001-01-01T00:00+14:00"])
def test_times_that_no_log_can_have_are_refused(written: Written, run: Run, since: str) -> None:
    done = run("analyse", written(mail_log="2024-05-01T10:00:00+02:00 "), "-f", "json", "--since", since)
    assert (done.returncode, done.stdout) == (2, "")
    assert "a year from 1970 to 2200 is meant" in done.stderr


@pytest.mark.parametrize("since", ["today", "-2h"])
def test_a_time_behind_the_log_leaves_nothing(written: Written, run: Run, since: str) -> None:
    done = run("analyse", written(mail_log="2024-05-01T10:00:00+02:00 "), "-f", "json", "--since", since)
    assert json.loads(done.stdout)["mails"]["total"] == 0
    assert done.returncode == 3
