"""Logs whose lines have no stamp: a container's output, cut by hand."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import logscan

CASES = Path(__file__).parent / "data" / "cases"
CHECKS = (
    "delivery-blocked", "forwarder-refused", "forwards-spam", "backscatter", "port-25-shut", "ipv6-broken",
)  # fmt: skip
STAMP_AND_HOST = len("Mar  2 09:00:00 mx7 ")


def bare(log: str) -> str:
    return "".join(f"{line[STAMP_AND_HOST:]}\n" for line in log.strip().splitlines())


@pytest.mark.parametrize("check", CHECKS)
def test_what_has_no_time_is_told_without_one(check: str, tmp_path: Path) -> None:
    cases = [
        case for case in tomllib.loads((CASES / f"{check}.toml").read_text())["case"] if case["verdict"] == "found"
    ]
    for number, case in enumerate(cases[:4]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "mail.log").write_text(bare(case["log"]))
        report = logscan.analyse(logscan.read(folder, jobs=1), checks=[check])
        assert logscan.render(report, "text")
        assert all(each.first is None for each in report.checks[0].findings)


def test_a_queue_id_that_comes_again_without_a_stamp_is_read(tmp_path: Path) -> None:
    cases = tomllib.loads((CASES / "delivery-blocked.toml").read_text())["case"]
    (case,) = (each for each in cases if each["name"].startswith("another server's mail is taken"))
    (tmp_path / "mail.log").write_text(bare(case["log"]))
    scan = logscan.read(tmp_path, jobs=1)
    assert len(scan.deliveries)
