"""Aliases under which a filter learns: host by host, mended, and where no filter can."""

from __future__ import annotations

from pathlib import Path

import pytest
from checked import AMAVIS, FIELD, amavis, arrived, at, back, checked, removed, sent, stored, to_dspam, write

from logscan.findings import Finding, Result

CHECK = "alias-owns-hash"
SALES, ALICE, BOB = "sales@example.org", "alice@example.org", "bob@example.org"


def of(folder: Path, lines: list[str], **texts: str) -> tuple[Result, list[Finding]]:
    result, _ = checked(CHECK, write(folder, mail_log=lines, **texts))
    return result, result.findings


def unexpanded(second: int, *people: str, host: str = "mx") -> list[str]:
    """A mail to sales that DSPAM gets as such, and what it becomes behind DSPAM."""
    n, ident = f"{second:06d}", f"u{second}@{host}.net"
    lines = [
        *arrived(second, f"A{n}", ident),
        *back(second, f"B{n}", ident, nrcpt=len(people)),
        to_dspam(second, f"A{n}", SALES),
        *(
            line
            for at, to in enumerate(people)
            for line in stored(second + 1, f"B{n}", to, f"s{n}{host}{at}", ident, SALES if to != SALES else "")
        ),
        *removed(second + 1, f"A{n}", f"B{n}"),
    ]
    return [line.replace(" mx ", f" {host} ", 1) for line in lines]


def expanded(second: int) -> list[str]:
    n, ident = f"{second:06d}", f"e{second}@example.net"
    return [
        *arrived(second, f"A{n}", ident),
        *back(second, f"B{n}", ident),
        to_dspam(second, f"A{n}", ALICE, SALES),
        *stored(second + 1, f"B{n}", ALICE, f"s{n}", ident),
        *removed(second + 1, f"A{n}", f"B{n}"),
    ]


def test_an_alias_that_dspam_gets_is_found(tmp_path: Path) -> None:
    result, (found,) = of(tmp_path, unexpanded(0, ALICE, BOB))
    assert (result.verdict, found.subject, found.cause, found.severity) == (
        "found",
        SALES,
        "alias-not-expanded",
        "problem",
    )
    assert (found.count, found.mails, found.recipients) == (1, 1, 1)


def test_an_alias_that_lists_itself_rightly_owns_a_dictionary(tmp_path: Path) -> None:
    result, findings = of(tmp_path, unexpanded(0, SALES, ALICE))
    assert (result.verdict, findings) == ("clear", [])
    assert result.clear_title == "The filter learned under no alias (1 hand-over to it looked at)"


def test_a_mailbox_of_that_name_on_another_host_hides_nothing(tmp_path: Path) -> None:
    result, (found,) = of(tmp_path, [*unexpanded(0, ALICE, host="mx1"), *unexpanded(60, SALES, ALICE, host="mx2")])
    assert (result.verdict, found.subject, found.count) == ("found", SALES, 1)
    assert [case["mailboxes"] for case in found.cases] == [[ALICE]]


def test_one_name_on_two_hosts_is_two_aliases(tmp_path: Path) -> None:
    _, findings = of(tmp_path, [*unexpanded(0, ALICE, host="mx1"), *unexpanded(60, BOB, host="mx2")])
    assert {(each.subject, each.count) for each in findings} == {(f"{SALES} on mx1", 1), (f"{SALES} on mx2", 1)}
    assert len({each.id for each in findings}) == 2


def test_an_alias_mended_on_one_host_is_not_on_the_other(tmp_path: Path) -> None:
    here = [line.replace(" mx ", " mx1 ", 1) for line in expanded(600)]
    _, findings = of(tmp_path, [*unexpanded(0, ALICE, host="mx1"), *here, *unexpanded(60, BOB, host="mx2")])
    assert {each.subject: each.state for each in findings} == {f"{SALES} on mx1": "mended", f"{SALES} on mx2": "active"}


def test_a_mended_alias_names_the_reload_and_has_nothing_to_do(tmp_path: Path) -> None:
    reload = f"{at(420)} postfix/master[60]: reload -- version 3.7.11, configuration /etc/postfix"
    result, (found,) = of(tmp_path, [*unexpanded(0, ALICE), reload, *expanded(600)])
    assert (result.verdict, found.state, found.remedy) == ("clear", "mended", None)
    assert found.summary.endswith("; mended by the reload at 10:07")


MAIN = "myhostname = mx.example.org\nvirtual_mailbox_domains = example.org\n"
MASTER = "smtp inet n - n - - smtpd\n"


@pytest.mark.parametrize(
    ("main", "words"),
    [
        ("", "No filter is set up here"),
        ("smtpd_milters = inet:localhost:11332\n", "rspamd learns for all in common, unless set up per user"),
        ("content_filter = smtp-amavis:[127.0.0.1]:10024\n", "amavis learns for all in common, unless set up per user"),
    ],
)
def test_without_a_filter_that_learns_per_recipient_nothing_is_asked_for(tmp_path: Path, main: str, words: str) -> None:
    lines = [
        *arrived(0, "A000001", "m@example.net"),
        *stored(1, "A000001", ALICE, "s1", "m@example.net"),
        *removed(2, "A000001"),
    ]
    result, _ = of(tmp_path, lines, main_cf=MAIN + main, master_cf=MASTER)
    assert (result.verdict, result.blind_because) == ("not-applicable", [])
    assert words in result.not_applicable


def test_dspam_that_learns_all_under_one_user_owns_no_alias(tmp_path: Path) -> None:
    lines = [
        *arrived(0, "A000001", "m@example.net"),
        *stored(1, "A000001", ALICE, "s1", "m@example.net"),
        *removed(2, "A000001"),
    ]
    conf = 'Home /var/spool/dspam\nServerParameters "--deliver=innocent --user everybody"\nServerPort 24\nDeliveryPort 10026\n'
    conf += "StorageDriver /usr/lib/dspam/libhash_drv.so\nTrainingMode teft\n"
    master = "smtp inet n - n - - smtpd\n  -o content_filter=lmtp:unix:/run/dspam/dspam.sock\n"
    result, _ = of(tmp_path, lines, main_cf=MAIN, master_cf=master, dspam_conf=conf)
    assert result.verdict == "not-applicable"
    assert "everybody" in result.not_applicable


def test_without_a_configuration_the_filter_isnt_known(tmp_path: Path) -> None:
    lines = [
        *arrived(0, "A000001", "m@example.net"),
        *stored(1, "A000001", ALICE, "s1", "m@example.net"),
        *removed(2, "A000001"),
    ]
    result, _ = of(tmp_path, lines)
    assert (result.verdict, result.not_applicable) == ("blind", "")


def test_what_never_came_out_of_dspam_again_was_not_looked_at(tmp_path: Path) -> None:
    good = [line for n in range(8) for line in expanded(60 * n)]
    gone = [
        line
        for n in range(2)
        for line in (*arrived(n, f"C00000{n}", f"c{n}@example.net"), to_dspam(n, f"C00000{n}", SALES))
    ]
    result, _ = of(tmp_path, [*good, *gone])
    assert (result.verdict, result.checked, result.eligible) == ("blind", 8, 10)
    assert "2 of 10 hand-overs" in result.blind_because[0]


def test_what_dspam_quarantined_cant_come_out_and_is_no_case(tmp_path: Path) -> None:
    lines = [*expanded(60), *arrived(90, "C000001", "c1@example.net"), to_dspam(90, "C000001", BOB)]
    kept = f"{1768039290}\tS\tann@example.net\t69622b5a13618128160001\tx\t0.4\t{BOB}\tQuarantined\t<c1@example.net>"
    result, _ = of(tmp_path, lines, system_log=f"{kept}\n")
    assert (result.verdict, result.checked, result.eligible) == ("clear", 1, 1)


def test_amavis_in_the_log_alone_is_knowledge_enough(tmp_path: Path) -> None:
    lines = [
        *arrived(0, "A000001", "m@example.net"),
        amavis(1, "A000001", "m@example.net", ALICE),
        *back(1, "B000001", "m@example.net"),
        sent(
            1,
            "A000001",
            ALICE,
            AMAVIS,
            "250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as B000001",
            agent="smtp",
        ),
        *stored(2, "B000001", ALICE, "s1", "m@example.net"),
        *removed(3, "A000001", "B000001"),
    ]
    assert of(tmp_path, lines)[0].verdict == "not-applicable"


@pytest.mark.parametrize("name", ["debian-spamc-pipe", "docker-gateway", "debian-rspamd-imapsieve"])
def test_servers_of_the_field_without_dspam_are_not_asked_for_it(name: str) -> None:
    result, _ = checked(CHECK, FIELD / name)
    assert (result.verdict, result.blind_because, result.findings) == ("not-applicable", [], [])
