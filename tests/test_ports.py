"""Which port an authenticated mail came in by, where names don't tell."""

from __future__ import annotations

from pathlib import Path

import pytest

import logscan
from logscan.scan.ports import entry_ports

MASTER = """smtp inet n - n - - smtpd
  -o content_filter=lmtp:[127.0.0.1]:2424
submission inet n - n - - smtpd
  -o content_filter=
127.0.0.1:10026 inet n - n - 10 smtpd
  -o content_filter=
  -o smtpd_sasl_auth_enable=no
"""

MAIN = "myhostname = mx.example.org\nmydestination = example.org\nsmtpd_sasl_auth_enable = yes\n"


def mail(number: int, pid: int, user: str | None, filtered: bool) -> str:
    """One mail of a user (or a stranger) by the smtpd process ``pid``, through the filter or straight out."""
    queue_id, child, at = f"4A97F54A{number:03d}", f"5B97F54A{number:03d}", f"Jan 10 10:{number:02d}:0"
    login = f", sasl_method=PLAIN, sasl_username={user}" if user else ""
    to = "bob@example.net" if user else "alice@example.org"
    lines = [
        f"{at}1 mx postfix/smtpd[{pid}]: {queue_id}: client=c.example.com[198.51.100.7]{login}",
        f"{at}1 mx postfix/cleanup[9]: {queue_id}: message-id=<{number}@example.com>",
        f"{at}1 mx postfix/qmgr[8]: {queue_id}: from=<x@example.com>, size=900, nrcpt=1 (queue active)",
    ]
    last = queue_id
    if filtered:
        last = child
        lines += [
            f"{at}2 mx postfix/smtpd[77]: {child}: client=localhost[127.0.0.1]",
            f"{at}2 mx postfix/cleanup[9]: {child}: message-id=<{number}@example.com>",
            f"{at}2 mx postfix/qmgr[8]: {child}: from=<x@example.com>, size=1200, nrcpt=1 (queue active)",
            f"{at}3 mx postfix/lmtp[6]: {queue_id}: to=<{to}>, relay=127.0.0.1[127.0.0.1]:2424, delay=2,"
            f" delays=0/0/0/2, dsn=2.6.0, status=sent (250 2.6.0 <{to}> Message accepted for delivery)",
            f"{at}3 mx postfix/qmgr[8]: {queue_id}: removed",
        ]
    lines += [
        f"{at}3 mx postfix/smtp[5]: {last}: to=<{to}>, relay=mx.example.net[203.0.113.9]:25, delay=1,"
        " delays=0/0/0.5/0.5, dsn=2.0.0, status=sent (250 ok)",
        f"{at}3 mx postfix/qmgr[8]: {last}: removed",
    ]
    return "\n".join(lines) + "\n"


def found(folder: Path) -> dict[str, tuple[int, str]]:
    scan = logscan.read(folder, jobs=1, year=2026, timezone="UTC")
    ports, sure, _ = entry_ports(scan, scan.settings)
    mine = scan.entries[scan.entries["sasl_username"].notna()]
    return {user: (int(ports[i]), sure[i]) for i, user in mine["sasl_username"].items()}


def test_one_name_for_25_and_587_is_told_apart_by_the_filter_that_only_25_has(tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_text(mail(1, 100, "carol", True) + mail(2, 200, "dave", False))
    (tmp_path / "master.cf").write_text(MASTER)
    (tmp_path / "main.cf").write_text(MAIN)
    assert found(tmp_path) == {"carol": (25, "medium"), "dave": (587, "medium")}


def test_without_a_configuration_a_process_that_serves_strangers_is_port_25s(tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_text(
        mail(1, 100, None, True) + mail(2, 100, "carol", True) + mail(3, 200, "dave", True)
    )
    assert found(tmp_path) == {"carol": (25, "medium"), "dave": (0, "low")}


def test_without_a_configuration_mail_that_passes_the_filter_by_isnt_called_port_25(tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_text(mail(1, 100, "carol", True) + mail(2, 200, "dave", False))
    assert found(tmp_path) == {"carol": (0, "low"), "dave": (0, "low")}


def labels(folder: Path) -> set[str]:
    """Return the names of the places on the way that mail takes, as the page draws it."""
    report = logscan.analyse(logscan.read(folder, jobs=1, year=2026, timezone="UTC"))
    return {node.label for node in report.flow.nodes if node.kind == "listener"}


def test_the_way_that_is_drawn_claims_no_port_that_isnt_known(tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_text(
        mail(1, 100, None, True) + mail(2, 100, "carol", True) + mail(3, 200, "dave", True)
    )
    assert labels(tmp_path) == {"port 25", "port 25, login", "postfix/smtpd, login"}


def test_the_way_that_is_drawn_tells_two_ports_of_one_name_apart(tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_text(mail(1, 100, "carol", True) + mail(2, 200, "dave", False))
    (tmp_path / "master.cf").write_text(MASTER)
    (tmp_path / "main.cf").write_text(MAIN)
    assert labels(tmp_path) == {"port 25, login", "port 587"}


@pytest.mark.parametrize(("wrapped", "port"), [("yes", 465), ("no", 0)])
def test_behind_a_proxy_a_service_that_begins_with_tls_isnt_port_25(tmp_path: Path, wrapped: str, port: int) -> None:
    (tmp_path / "mail.log").write_text(mail(1, 100, "carol", False).replace("postfix/smtpd", "postfix/behind/smtpd"))
    (tmp_path / "master.cf").write_text(
        "smtp inet n - n - - smtpd\n10465 inet n - n - - smtpd\n  -o smtpd_upstream_proxy_protocol=haproxy\n"
        f"  -o smtpd_tls_wrappermode={wrapped}\n  -o smtpd_sasl_auth_enable=yes\n  -o syslog_name=postfix/behind\n"
    )
    (tmp_path / "main.cf").write_text("myhostname = mx.example.org\nmydestination = example.org\n")
    assert found(tmp_path)["carol"][0] == port
