"""Logins on port 25, as servers of all kinds log them: found, clear, blind, not applicable."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from checked import FIELD, arrived, checked, removed, sent, write

from logscan.findings import Result

CHECK = "authenticated-port-25"
MAIN = "myhostname = mx.example.org\nmydestination = example.org\nsmtpd_sasl_auth_enable = yes\n"
LOGIN = "desk.example.net[198.51.100.7], sasl_method=PLAIN, sasl_username=bob@example.org"


def mail(number: int, client: str) -> list[str]:
    queue_id = f"4A97F54A{number:03d}"
    return [
        *arrived(number, queue_id, f"{number}@example.org", client=client, sender="bob@example.org"),
        sent(number, queue_id, "friend@example.com", "mx.example.com[203.0.113.9]:25", "250 2.0.0 OK", agent="smtp"),
        *removed(number, queue_id),
    ]


def told(folder: Path, *clients: str, **configuration: str) -> Result:
    lines = [line for number, client in enumerate(clients) for line in mail(number, client)]
    return checked(CHECK, write(folder, mail_log=lines, **configuration))[0]


@pytest.mark.parametrize(
    ("name", "verdict", "counts"),
    [
        ("08-xclient-login", "blind", (0, 1)),
        ("plesk", "blind", (0, 4)),
        ("shared-submission-name", "clear", (1, 1)),
        ("debian-spamc-pipe", "clear", (1, 1)),
        ("docker-gateway", "not-applicable", (0, 0)),
        ("docker-gateway-noconfig", "blind", (0, 0)),
    ],
)
def test_logins_of_the_field(name: str, verdict: str, counts: tuple[int, int]) -> None:
    result, _ = checked(CHECK, FIELD / name)
    assert (result.verdict, (result.checked, result.eligible)) == (verdict, counts)
    assert result.findings == []


SUBMISSION = "submission inet n - n - - smtpd\n  -o syslog_name=postfix/{}\n"
SMTPS = "smtps inet n - n - - smtpd\n  -o syslog_name=postfix/{}\n"
SMTP = "smtp inet n - n - - smtpd\n"


@pytest.mark.parametrize("name", ["clients", "in", "msa"])
def test_two_submission_ports_of_any_one_name_are_not_port_25(tmp_path: Path, name: str) -> None:
    master = SMTP + SUBMISSION.format(name) + SMTPS.format(name)
    assert told(tmp_path, f"@{name} {LOGIN}", main_cf=MAIN, master_cf=master).verdict == "clear"


@pytest.mark.parametrize("name", ["clients", "in"])
def test_one_name_for_port_25_and_a_submission_port_is_blind_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    master = f"smtp inet n - n - - smtpd\n  -o syslog_name=postfix/{name}\n" + SUBMISSION.format(name)
    result = told(tmp_path, f"@{name} {LOGIN}", main_cf=MAIN, master_cf=master)
    assert result.verdict == "blind"
    assert f"postfix/{name}/smtpd is the name of ports 25, 587" in result.blind_because[0]


def test_a_name_of_port_25_alone_is_found_whatever_it_is_called(tmp_path: Path) -> None:
    master = "25 inet n - n - - smtpd\n  -o syslog_name=postfix/mx\n" + SUBMISSION.format("users")
    result = told(tmp_path, f"@mx {LOGIN}", f"@users {LOGIN}", main_cf=MAIN, master_cf=master)
    assert [(each.subject, each.count, each.confidence, each.mails, each.recipients) for each in result.findings] == [
        ("bob@example.org", 1, "high", 1, 1)
    ]
    assert (result.checked, result.eligible) == (2, 2)


def test_without_a_configuration_and_a_named_submission_service_the_port_isnt_known(tmp_path: Path) -> None:
    result = told(tmp_path, LOGIN)
    assert result.verdict == "blind"
    assert "--service 'postfix/smtpd=587'" in result.blind_because[0]


def test_without_a_configuration_a_named_submission_service_tells(tmp_path: Path) -> None:
    result = told(tmp_path, LOGIN, f"@submission {LOGIN}")
    assert [(each.confidence, each.count) for each in result.findings] == [("medium", 1)]


def test_a_login_by_xclient_is_blind_though_the_configuration_knows_the_port(tmp_path: Path) -> None:
    handed = LOGIN.replace("PLAIN", "XCLIENT")
    result = told(tmp_path, handed, main_cf=MAIN, master_cf=SMTP + SUBMISSION.format("submission"))
    assert (result.verdict, result.findings) == ("blind", [])
    assert "XCLIENT" in result.blind_because[0]


@pytest.mark.parametrize(
    ("main", "master"),
    [
        ("", "smtp inet n - n - - smtpd\n  -o smtpd_upstream_proxy_protocol=haproxy\n"),
        ("smtpd_upstream_proxy_protocol = haproxy\n", SMTP),
        (
            "postscreen_upstream_proxy_protocol = haproxy\n",
            "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\n",
        ),
    ],
)
def test_behind_a_proxy_the_port_of_postfix_isnt_the_users(tmp_path: Path, main: str, master: str) -> None:
    result = told(tmp_path, LOGIN, main_cf=MAIN + main, master_cf=master + SUBMISSION.format("submission"))
    assert (result.verdict, result.findings) == ("blind", [])
    assert "haproxy" in result.blind_because[0]


def test_what_a_proxy_hands_over_hides_no_login_that_came_directly(tmp_path: Path) -> None:
    result = told(tmp_path, LOGIN, LOGIN.replace("PLAIN", "XCLIENT"), f"@submission {LOGIN}")
    assert result.verdict == "found"
    assert [each.count for each in result.findings] == [1]
    assert len(result.blind_because) == 1


def test_a_port_25_without_logins_is_not_applicable_and_asks_for_nothing(tmp_path: Path) -> None:
    master = "smtp inet n - n - - smtpd\n  -o smtpd_sasl_auth_enable=no\n" + SUBMISSION.format("submission")
    result = told(tmp_path, "mx.example.net[192.0.2.9]", main_cf=MAIN, master_cf=master)
    assert (result.verdict, result.blind_because) == ("not-applicable", [])
    assert result.not_applicable == "Port 25 offers no login here (smtpd_sasl_auth_enable is off for it)."


def test_where_port_25_offers_logins_and_nobody_used_one_it_is_blind(tmp_path: Path) -> None:
    result = told(tmp_path, "mx.example.net[192.0.2.9]", main_cf=MAIN, master_cf=SMTP)
    assert (result.verdict, result.not_applicable) == ("blind", "")


def test_a_user_who_moved_days_ago_has_nothing_to_do(tmp_path: Path) -> None:
    lines = mail(0, LOGIN)
    for number in range(1, 6):
        lines += mail(number * 86_400, f"@submission {LOGIN}")
    result, _ = checked(CHECK, write(tmp_path, mail_log=lines))
    assert [(each.state, each.remedy) for each in result.findings] == [("mended", None)]
    assert result.verdict == "clear"


def test_the_letter_is_each_user_s_own_and_the_change_is_one(tmp_path: Path) -> None:
    other = LOGIN.replace("bob", "eve")
    result = told(tmp_path, LOGIN, other, main_cf=MAIN, master_cf=SMTP + SUBMISSION.format("submission"))
    remedies = [each.remedy for each in result.findings if each.remedy]
    assert len({(each.text, each.diff) for each in remedies}) == 1
    assert ["bob@example.org" in (each.message or "") for each in remedies] == [True, False]
    assert not any("\0" in f"{each.text}{each.message}" for each in remedies)


def test_ten_thousand_users_on_port_25_are_told_in_seconds(tmp_path: Path) -> None:
    lines = [line for n in range(10_000) for line in mail(n, LOGIN.replace("bob", f"user{n}"))]
    write(tmp_path, mail_log=lines, main_cf=MAIN, master_cf=SMTP + SUBMISSION.format("submission"))
    start = time.process_time()
    result, _ = checked(CHECK, tmp_path)
    assert len(result.findings) == 10_000
    assert time.process_time() - start < 5
