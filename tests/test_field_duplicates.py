"""Copies of one mail: on servers of all kinds, inside and outside, mended and by design."""

from __future__ import annotations

from pathlib import Path

import pytest
from checked import AMAVIS, FIELD, arrived, at, back, checked, removed, sent, stored, to_dspam, write

from logscan.findings import Finding, Result

CHECK = "duplicate-delivery"
ALICE, BOB, ROOT, ARCHIVE = "alice@example.org", "bob@example.org", "root@example.org", "archive@example.org"
OUT = "mx.example.com[203.0.113.9]:25"


def said(*sources: Path) -> tuple[Result, list[Finding]]:
    result, _ = checked(CHECK, *sources)
    return result, result.findings


def of(tmp_path: Path, lines: list[str], **texts: str) -> tuple[Result, list[Finding]]:
    return said(write(tmp_path, mail_log=lines, **texts))


# -- the field ---------------------------------------------------------------------------------------------------------


def test_a_proxy_that_loses_replies_is_named_beside_the_mailbox_server() -> None:
    result, (found,) = said(FIELD / "01-lmtp-proxy-lost-connection")
    assert (result.verdict, found.cause, found.subject) == (
        "found",
        "retry-after-lost-reply",
        "127.0.0.1[127.0.0.1]:10025",
    )
    assert (found.count, found.mails, found.recipients) == (2, 1, 2)
    assert [case["copies"] for case in found.cases] == [2, 2]
    assert found.remedy
    assert "spampd" in found.remedy.text
    assert "mailbox server" in found.remedy.text
    assert "alias" not in found.summary + found.why + found.remedy.text
    assert "status=deferred" in found.evidence[0].text
    assert "1 mail " in found.summary


@pytest.mark.parametrize("name", ["lmtp.log", "pipe-only.log"])
def test_two_copies_in_one_queue_life_behind_the_filter_are_found_with_their_cause(name: str) -> None:
    result, (found,) = said(FIELD / "02-one-life-two-copies" / name)
    assert (result.verdict, result.checked) == ("found", 3)
    assert (found.cause, found.subject, found.severity) == ("double-alias-expansion", "archive@example.com", "problem")
    assert (found.count, found.cases[0]["copies"], found.cases[0]["mailbox"]) == (1, 2, "archive@example.com")
    assert "to=<archive@example.com>" in found.evidence[0].text


def test_an_address_outside_that_gets_two_is_found_with_the_alias_that_is_expanded_again() -> None:
    result, (found,) = said(FIELD / "03-outside-gets-two-amavis")
    assert (result.verdict, found.cause) == ("found", "double-alias-expansion")
    assert "mail@example.com" in found.why
    (case,) = found.cases
    assert (case["mailbox"], case["copies"], sorted(case["queue_ids"])) == (
        "me@example.net",
        2,
        ["6D3BF61B9C", "A3D3761BB1"],
    )
    assert (found.mails, found.recipients) == (1, 1)
    assert "to=<me@example.net>" in found.evidence[0].text


@pytest.mark.parametrize("name", ["02-one-life-two-copies/virtual.log", "24-direct-and-alias-no-filter"])
def test_one_person_behind_two_addresses_is_by_design_where_no_filter_is(name: str) -> None:
    result, (found,) = said(FIELD / name)
    assert (result.verdict, found.cause, found.severity, found.remedy) == ("clear", "overlapping-aliases", "note", None)
    assert (found.count, found.cases[0]["copies"]) == (1, 2)


@pytest.mark.parametrize("name", ["plesk", "debian-spamc-pipe", "docker-gateway", "docker-gateway-noconfig"])
def test_quiet_servers_of_the_field_are_clear(name: str) -> None:
    result, findings = said(FIELD / name)
    assert (result.verdict, findings) == ("clear", [])


# -- one life, no session ----------------------------------------------------------------------------------------------


def doubled_in_one_life(agent: str, relay: str, reply: str, handed: str = AMAVIS) -> list[str]:
    """A filter that hands all recipients back at once, and a BCC on both sides of it."""
    answer = "250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as BB00001"
    return [
        *arrived(0, "AA00001", "m1@example.net", nrcpt=2),
        *back(1, "BB00001", "m1@example.net", nrcpt=3),
        sent(2, "AA00001", ALICE, handed, answer, agent="smtp"),
        sent(2, "AA00001", ARCHIVE, handed, answer, agent="smtp"),
        *removed(2, "AA00001"),
        sent(3, "BB00001", ALICE, relay, reply, agent=agent, pid=81),
        sent(3, "BB00001", ARCHIVE, relay, reply, agent=agent, pid=82),
        sent(3, "BB00001", ARCHIVE, relay, reply, agent=agent, pid=83).replace("delay=1,", "delay=1.2,"),
        *removed(4, "BB00001"),
    ]


@pytest.mark.parametrize(
    ("agent", "relay", "reply"),
    [
        ("pipe", "dovecot", "delivered via dovecot service"),
        ("pipe", "maildrop", "delivered via maildrop service"),
        ("virtual", "virtual", "delivered to maildir"),
        ("lmtp", "mx[/run/cyrus/socket/lmtp]", "250 2.1.5 Ok SESSIONID=<mx-82-1>"),
        ("local", "local", "delivered to mailbox"),
    ],
)
def test_copies_in_one_life_are_found_where_no_session_tells_them_apart(
    tmp_path: Path, agent: str, relay: str, reply: str
) -> None:
    result, (found,) = of(tmp_path, doubled_in_one_life(agent, relay, reply))
    assert (result.verdict, found.cause, found.cases[0]["mailbox"]) == ("found", "double-alias-expansion", ARCHIVE)
    assert result.checked == 3


def alone(*lines: str) -> list[str]:
    return [*arrived(0, "AA00001", "m1@example.net"), *lines, *removed(4000, "AA00001")]


def test_what_a_user_s_own_rules_make_of_one_mail_is_one_copy(tmp_path: Path) -> None:
    ways = [
        sent(1, "AA00001", ALICE, "local", f"delivered to {how}", agent="local")
        for how in ("mailbox", "command: vacation")
    ]
    result, findings = of(tmp_path, alone(*ways))
    assert (result.verdict, findings) == ("clear", [])


def test_a_copy_that_is_delivered_anew_an_hour_later_is_not_by_design(tmp_path: Path) -> None:
    ways = [sent(second, "AA00001", ALICE, "virtual", "delivered to maildir", agent="virtual") for second in (1, 3600)]
    ways[1] = ways[1].replace("delay=1,", "delay=3600,")
    _, (found,) = of(tmp_path, alone(*ways))
    assert (found.cause, found.severity) == ("unknown", "warning")


def test_two_lines_with_one_session_are_one_copy(tmp_path: Path) -> None:
    ways = [
        *stored(1, "AA00001", ALICE, "s1", "m1@example.net"),
        stored(1, "AA00001", ALICE, "s1", "m1@example.net", "sales@example.org")[1],
    ]
    result, findings = of(tmp_path, alone(*ways))
    assert (result.verdict, findings) == ("clear", [])


# -- outside -----------------------------------------------------------------------------------------------------------


def forwarded_twice(second: float, twice: bool = True, ident: str = "m1@example.net") -> list[str]:
    """root lists itself and somebody outside; expanded before DSPAM and, if ``twice``, behind it again."""
    n = f"{round(second):05d}"
    outside = "me@example.com"
    return [
        *arrived(second, f"A{n}", ident, nrcpt=2),
        *back(second + 1, f"B{n}", ident, nrcpt=2 if twice else 1),
        *back(second + 1, f"C{n}", ident),
        to_dspam(second + 2, f"A{n}", ROOT),
        to_dspam(second + 2, f"A{n}", outside, ROOT),
        *stored(second + 3, f"B{n}", ROOT, f"s{n}", ident),
        *([sent(second + 3, f"B{n}", outside, OUT, f"250 OK 1{n}", ROOT, "smtp")] if twice else []),
        sent(second + 3, f"C{n}", outside, OUT, f"250 OK 2{n}", agent="smtp"),
        *removed(second + 4, f"A{n}", f"B{n}", f"C{n}"),
    ]


def test_copies_for_a_forwarding_target_are_found_behind_a_filter_that_reinjects_each(tmp_path: Path) -> None:
    _, (found,) = of(tmp_path, forwarded_twice(0))
    assert (found.cause, found.subject, found.cases[0]["mailbox"]) == ("double-alias-expansion", ROOT, "me@example.com")
    assert "sent twice to me@example.com outside" in found.summary


def test_a_list_s_mails_to_its_members_outside_are_no_copies(tmp_path: Path) -> None:
    lines = []
    for n in range(6):
        to = f"member{n // 2}@example.com"
        lines += [
            *arrived(n, f"AA0000{n}", "list1@example.org"),
            sent(n, f"AA0000{n}", to, OUT, "250 OK", agent="smtp"),
            *removed(n, f"AA0000{n}"),
        ]
    result, findings = of(tmp_path, lines)
    assert (result.verdict, findings, result.checked) == ("clear", [], 6)


# -- mended ------------------------------------------------------------------------------------------------------------


def bcc(second: float, twice: bool, to: str = BOB) -> list[str]:
    """A BCC to the archive, made before DSPAM and, if ``twice``, behind it again: no orig_to anywhere."""
    n, ident = f"{round(second):06d}", f"b{round(second)}@example.net"
    return [
        *arrived(second, f"A{n}", ident, nrcpt=2),
        *back(second + 1, f"B{n}", ident, nrcpt=2 if twice else 1),
        *back(second + 1, f"C{n}", ident),
        to_dspam(second + 2, f"A{n}", to),
        to_dspam(second + 2, f"A{n}", ARCHIVE),
        *stored(second + 3, f"B{n}", to, f"s1{n}", ident),
        *(stored(second + 3, f"B{n}", ARCHIVE, f"s2{n}", ident) if twice else []),
        *stored(second + 3, f"C{n}", ARCHIVE, f"s3{n}", ident),
        *removed(second + 4, f"A{n}", f"B{n}", f"C{n}"),
    ]


def reload(second: float) -> str:
    return f"{at(second)} postfix/master[60]: reload -- version 3.7.11, configuration /etc/postfix"


def test_a_bcc_that_doubles_is_found_and_its_own_hand_over_comes_first(tmp_path: Path) -> None:
    result, (found,) = of(tmp_path, bcc(0, twice=True))
    assert (result.verdict, found.cause, found.subject) == ("found", "double-alias-expansion", ARCHIVE)
    assert f"to=<{ARCHIVE}>" in found.evidence[0].text


def test_a_bcc_that_doubled_once_is_mended_by_the_reload(tmp_path: Path) -> None:
    result, (found,) = of(tmp_path, [*bcc(0, twice=True), reload(420), *bcc(600, twice=False, to=ALICE)])
    assert (result.verdict, found.state, found.remedy) == ("clear", "mended", None)
    assert found.summary.endswith("; mended by the reload at 10:07")


def test_mail_to_the_archive_alone_mends_nothing(tmp_path: Path) -> None:
    direct = [
        *arrived(600, "D000001", "d@example.net"),
        *back(601, "E000001", "d@example.net"),
        to_dspam(602, "D000001", ARCHIVE),
    ]
    direct += [*stored(603, "E000001", ARCHIVE, "s9", "d@example.net"), *removed(604, "D000001", "E000001")]
    result, (found,) = of(tmp_path, [*bcc(0, twice=True), *direct])
    assert (result.verdict, found.state) == ("found", "active")


def test_an_alias_mended_days_later_says_the_day(tmp_path: Path) -> None:
    day = 3 * 86_400
    result, (found,) = of(
        tmp_path,
        [*forwarded_twice(0), reload(day + 420), *forwarded_twice(day + 600, twice=False, ident="m2@example.net")],
    )
    assert (result.verdict, found.state) == ("clear", "mended")
    assert found.summary.endswith("; mended by the reload at 10:07 on 13 January 2026")


def test_without_a_reload_the_first_good_case_dates_the_cure(tmp_path: Path) -> None:
    _, (found,) = of(tmp_path, [*bcc(0, twice=True), *bcc(600, twice=False)])
    assert found.summary.endswith("; mended since 10:10")


def test_what_doubles_again_after_a_reload_isnt_mended(tmp_path: Path) -> None:
    lines = [*bcc(0, twice=True), reload(420), *bcc(600, twice=False), *bcc(900, twice=True)]
    _, (found,) = of(tmp_path, lines)
    assert (found.state, found.count) == ("active", 2)


# -- causes ------------------------------------------------------------------------------------------------------------

MASTER = """smtp inet n - n - - smtpd
  -o content_filter=lmtp:unix:/run/dspam/dspam.sock
{before}127.0.0.1:10026 inet n - n - - smtpd
  -o content_filter=
{after}"""
OFF = "  -o receive_override_options=no_address_mappings\n"
MAIN = "myhostname = mx.example.org\nvirtual_mailbox_domains = example.org\n"


@pytest.mark.parametrize(("before", "after", "where"), [(OFF, "", "before"), ("", OFF, "after"), ("", "", "")])
def test_the_cause_says_where_the_configuration_given_contradicts_the_log(
    tmp_path: Path, before: str, after: str, where: str
) -> None:
    master = MASTER.format(before=before, after=after)
    _, (found,) = of(tmp_path, forwarded_twice(0), main_cf=MAIN, master_cf=master)
    assert ("neither side" in found.why) == (not where)
    assert (f"no_address_mappings {where} the filter" in found.why) == bool(where)


LOST = "lost connection with 127.0.0.1[127.0.0.1] while sending end of data -- message may be sent more than once"


def lost(program: str) -> list[str]:
    relay = "127.0.0.1[127.0.0.1]:10030"
    broken = sent(2, "AA00001", ALICE, relay, "x").replace(
        "dsn=2.0.0, status=sent (x)",
        f"dsn=4.4.2, status=deferred ({LOST})",
    )
    mine = [f"{at(1)} {program}[400]: something of its own"] if program else []
    first = stored(2, "AA00001", ALICE, "s1", "m1@example.net")[0]
    again = stored(400, "AA00001", ALICE, "s2", "m1@example.net")
    last = sent(400, "AA00001", ALICE, relay, f"250 2.0.0 <{ALICE}> s2 Saved")
    return alone(*mine, first, broken, again[0], last.replace("delay=1, delays=0.1", "delay=400, delays=399"))


@pytest.mark.parametrize("program", ["", "clamsmtpd", "proxsmtpd"])
def test_a_lost_reply_points_at_all_that_stands_between(tmp_path: Path, program: str) -> None:
    _, (found,) = of(tmp_path, lost(program))
    assert found.cause == "retry-after-lost-reply"
    assert found.remedy
    assert (program or "a proxy") in found.remedy.text
    assert "127.0.0.1[127.0.0.1]:10030" in found.remedy.text


def test_a_mail_without_a_message_id_doubles_as_any_other(tmp_path: Path) -> None:
    lines = [
        line.replace("message-id=<m1@example.net>", "message-id=<>")
        for line in doubled_in_one_life("pipe", "dovecot", "delivered via dovecot service")
    ]
    _, (found,) = of(tmp_path, lines)
    assert (found.cause, found.count) == ("double-alias-expansion", 1)


def test_nothing_delivered_is_blind(tmp_path: Path) -> None:
    result, _ = of(tmp_path, arrived(0, "AA00001", "m1@example.net"))
    assert (result.verdict, result.blind_because) == (
        "blind",
        ["no delivery to a mailbox of this server in these logs"],
    )


def test_clear_says_in_a_sentence_how_much_was_looked_at(tmp_path: Path) -> None:
    result, _ = of(tmp_path, alone(*stored(1, "AA00001", ALICE, "s1", "m1@example.net")))
    assert result.clear_title == "No mail was stored twice (1 delivery looked at)"


def test_the_mailbox_that_doubled_is_named_where_it_is_another_than_the_address() -> None:
    _, (found,) = said(FIELD / "zimbra-archive-twice")
    assert found.subject == "pia@acme.test"
    assert "stored twice in 1 mailbox (archive@acme.test)" in found.summary
    assert {case["mailbox"] for case in found.cases} == {ARCHIVE.replace("example.org", "acme.test")}


LIST = '"|/usr/lib/mailman/mail/mailman post staff"'


def listed(hour: int = 0, command: str = LIST) -> list[str]:
    """A mail to Alice and to a list that she is a member of: the list's own mail has another sender."""
    later = 3 + hour * 3600
    return [
        *arrived(0, "AA00001", "m1@example.net", 2),
        *stored(1, "AA00001", ALICE, "s1", "m1@example.net"),
        sent(1, "AA00001", "staff@example.org", "local", f"delivered to command: {command}", agent="local"),
        *removed(2, "AA00001"),
        *arrived(later, "BB00001", "m1@example.net", 1, "localhost[127.0.0.1]", "staff-bounces@example.org"),
        *stored(later + 1, "BB00001", ALICE, "s2", "m1@example.net"),
        *removed(later + 1, "BB00001"),
    ]


def test_a_member_of_a_list_who_was_addressed_too_got_two_by_design(tmp_path: Path) -> None:
    result, (found,) = of(tmp_path, listed())
    assert (found.cause, found.subject, found.severity) == ("by-list-and-directly", ALICE, "note")
    assert (found.count, found.cases[0]["copies"], found.mails, found.recipients) == (1, 2, 1, 1)
    assert result.clear_title == "No mail was stored twice, but for 1 mail by design (2 deliveries looked at)"


def test_one_message_id_of_several_senders_is_no_proof_of_one_mail(tmp_path: Path) -> None:
    lines = [
        *arrived(0, "AA00001", "m1@example.net"),
        *stored(1, "AA00001", ALICE, "s1", "m1@example.net"),
        *arrived(3, "BB00001", "m1@example.net", sender="bob@example.com"),
        *stored(4, "BB00001", ALICE, "s2", "m1@example.net"),
    ]
    result, findings = of(tmp_path / "strangers", lines)
    assert (result.verdict, findings) == ("clear", [])
    assert of(tmp_path / "late", listed(hour=40))[1] == []


def test_a_command_that_keeps_a_mailbox_is_one_and_a_list_s_is_none(tmp_path: Path) -> None:
    result, _ = of(tmp_path / "agent", listed(command="/usr/bin/procmail -a $EXTENSION"))
    assert result.checked == 3
    result, _ = of(tmp_path / "list", listed())
    assert result.checked == 2


def test_a_mail_that_came_in_twice_is_one_mail_to_one_recipient(tmp_path: Path) -> None:
    lines = [
        *arrived(0, "AA00001", "m1@example.net"),
        *stored(1, "AA00001", ALICE, "s1", "m1@example.net"),
        *arrived(60, "BB00001", "m1@example.net"),
        *stored(61, "BB00001", ALICE, "s2", "m1@example.net"),
    ]
    (found,) = of(tmp_path, lines)[1]
    assert (found.cause, found.mails, found.recipients) == ("sender-resent", 1, 1)
