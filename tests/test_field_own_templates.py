"""Lines by templates of one's own, and by older versions: each gives what it says, and what none says isn't called clear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import logscan
from logscan.findings import Result
from logscan.scan.scan import Scan

Read = Callable[..., Scan]
DOVECOT = "dovecot: lmtp(bob@example.com)<7><CHZxAe48A2vPFQAAMzN6MA>: "
IMAP = "dovecot: imap(bob@example.com)<7><CHZ>: "


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write ``tag: text`` lines to mail.log, eleven a second, and read it."""

    def start(*lines: str) -> Scan:
        text = "".join(
            f"2026-03-04T10:{at // 660:02}:{at // 11 % 60:02}+00:00 mx1 {line}\n" for at, line in enumerate(lines)
        )
        (tmp_path / "mail.log").write_text(text)
        return logscan.read(tmp_path, jobs=1)

    return start


def unknown(scan: Scan) -> int:
    return sum(source.unknown for source in scan.sources)


def only(scan: Scan, table: str) -> dict[str, Any]:
    (row,) = scan.events(table).to_dict("records")
    return {str(name): value for name, value in row.items() if value is not None and value == value}


# -- Dovecot ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["abuse", "not-spam", "virus", "x-mine"])
@pytest.mark.parametrize("quote", ["'", "`"])
@pytest.mark.parametrize("action", ["", "report action: "])
def test_a_report_of_any_type_is_read(read: Read, kind: str, quote: str, action: str) -> None:
    scan = read(f"{DOVECOT}sieve: msgid=<a@example.net>: {action}sent {quote}{kind}' report to <desk@example.org>")
    row = only(scan, "stores")
    assert (row["action"], row["address"], row["message_id"]) == ("report", "desk@example.org", "<a@example.net>")


@pytest.mark.parametrize("word", ["Execution", "execution"])
@pytest.mark.parametrize("end", ["was aborted due to temporary failure", "failed with unsuccessful implicit keep"])
def test_a_script_that_was_aborted_is_read_wherever_it_ran(read: Read, word: str, end: str) -> None:
    text = f"{word} of script /var/lib/x/learn-spam.sieve {end}"
    assert only(read(f"{DOVECOT}Error: sieve: {text}"), "stores")["action"] == "script"
    row = only(read(f"{IMAP}Error: sieve: {text}"), "moves")
    assert (row["event"], row["text"]) == ("pipe failed", text)


@pytest.mark.parametrize(
    ("said", "message_id"),
    [
        ("msgid='<a@example.net>', size=1000: stored mail into mailbox 'x'", "<a@example.net>"),
        ("msgid=\"<a@example.net>\" size=1000 stored mail into mailbox 'x'", "<a@example.net>"),
        ("subject='Re: b', msgid='<a@example.net>': stored mail into mailbox 'x'", "<a@example.net>"),
        ("msgid='unspecified', size=1: stored mail into mailbox 'x'", "unspecified"),
        ("msgid='<a b@example.net>', stored mail into mailbox 'x'", "<a b@example.net>"),
        ("msgid=<a'b@example.net>, size=1: stored mail into mailbox 'x'", "<a'b@example.net>"),
        ("msgid=a'b@example.net, size=1: stored mail into mailbox 'x'", "a'b@example.net"),
    ],
)
def test_quotation_marks_around_a_message_id_are_none_of_it(read: Read, said: str, message_id: str) -> None:
    scan = read(f"{DOVECOT}sieve: {said}", f"{DOVECOT}Error: sieve: {said.replace('stored mail', 'failed to store')}")
    first, second = scan.events("stores").sort_values("line").to_dict("records")
    assert (first["action"], first["mailbox"], first["message_id"]) == ("stored", "x", message_id)
    assert second["action"] == "failed"
    assert second["message_id"] in (message_id, None) or second["message_id"] != second["message_id"]


# -- amavis ----------------------------------------------------------------------------------------------------------------

WHO = "<ann@example.com> -> <far@example.net>"


@pytest.mark.parametrize(
    "said",
    [
        f'Passed SPAMMY, Hits: 7.1, Queue-ID: 3B04FD0001, {WHO}, queued_as: 3B09FA0002, Subject: "Hits: -3, queued_as: BAD00001"',
        f'Passed SPAMMY, Hits: 7.1, {WHO}, Queue-ID: 3B04FD0001, Subject: "\\", Hits: 2", queued_as: 3B09FA0002, 734 ms',
        f"Hits: 7.1, Tests: [A=3.5,B=1], Passed SPAMMY, {WHO}, Queue-ID: 3B04FD0001, queued_as: 3B09FA0002, 22 ms",
        f"size: 4200, Hits: 7.1; Passed SPAMMY {{RelayedInbound}}, {WHO}, Queue-ID: 3B04FD0001, queued_as: 3B09FA0002",
    ],
)
def test_amavis_s_fields_are_found_wherever_they_stand(read: Read, said: str) -> None:
    row = only(read(f"amavis[80]: (00801-07) {said}"), "verdicts")
    told = [row[name] for name in ("result", "score", "queue_id", "child_queue_id", "sender", "recipients")]
    assert told == ["Passed SPAMMY", 7.1, "3B04FD0001", "3B09FA0002", "ann@example.com", "<far@example.net>"]


@pytest.mark.parametrize(
    "said",
    [
        # Two subjects, quotes that a stranger opens, text of a stranger before what was done.
        f'Passed CLEAN, Message-ID: <", Subject: ">, Hits: 7.1, {WHO}, Subject: ", Hits: -9, x: "',
        f"Passed CLEAN, Hits: 7.1, {WHO}, Subject: a, Hits: -9",
        f'Subject: "x", Hits: 1, Passed CLEAN, {WHO}',
        f"Subject: Hits: 1, Passed CLEAN, {WHO}",
        f"Hits: 7.1, Passed CLEAN, {WHO}, Blocked SPAM, x",
        "Checking: Hits: 1, Passed CLEAN, x",
    ],
)
def test_what_may_be_a_stranger_s_is_not_believed(read: Read, said: str) -> None:
    frame = read(f"amavis[80]: (00801-07) {said}").events("verdicts")
    assert frame["score"].isna().all()


def amavis_log(
    said: str, *, sender: str = "ann@example.com", recipient: str = "far@example.net", relay: str = ""
) -> list[str]:
    last = (
        f"relay={relay or 'mx.example.net[203.0.113.200]:25'}, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)"
    )
    return [
        "postfix/submission/smtpd[1]: 3B04FD0001: client=pc[198.51.100.7], sasl_method=PLAIN, sasl_username=ann@example.com",
        "postfix/cleanup[2]: 3B04FD0001: message-id=<a@example.com>",
        f"postfix/qmgr[3]: 3B04FD0001: from=<{sender}>, size=4200, nrcpt=1 (queue active)",
        "postfix/smtpd[4]: 3B09FA0002: client=localhost[127.0.0.1]",
        "postfix/cleanup[2]: 3B09FA0002: message-id=<a@example.com>",
        f"postfix/qmgr[3]: 3B09FA0002: from=<{sender}>, size=4700, nrcpt=1 (queue active)",
        f"amavis[80]: (00801-07) {said}, LOCAL [198.51.100.7] [198.51.100.7] <{sender}> -> <{recipient}>,"
        " Message-ID: <a@example.com>, mail_id: Zy1, Hits: 7.1, size: 4200, queued_as: 3B09FA0002, 734 ms",
        f"postfix/smtp[5]: 3B04FD0001: to=<{recipient}>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, delays=0/0/0/1, dsn=2.0.0,"
        " status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 3B09FA0002)",
        "postfix/qmgr[3]: 3B04FD0001: removed",
        f"postfix/{'lmtp' if relay else 'smtp'}[6]: 3B09FA0002: to=<{recipient}>, {last}",
        "postfix/qmgr[3]: 3B09FA0002: removed",
    ]


def check(scan: Scan, name: str) -> Result:
    return next(each for each in logscan.analyse(scan).checks if each.name == name)


@pytest.mark.parametrize("result", ["Passed SPAM", "Passed SPAMMY"])
def test_outgoing_spam_of_which_amavis_tells_no_action_is_not_called_clear(read: Read, result: str) -> None:
    found = check(read(*amavis_log(result)), "outgoing-tagged-spam")
    assert found.verdict == "blind"


def test_one_such_mail_among_many_clean_ones_is_enough(read: Read) -> None:
    lines = [line for _ in range(30) for line in amavis_log("Passed CLEAN")]
    many = [
        line.replace("3B04FD", f"3B04{n // 11:02}").replace("3B09FA", f"3B09{n // 11:02}")
        for n, line in enumerate(lines)
    ]
    scan = read(*many, *amavis_log("Passed SPAMMY"))
    assert check(scan, "outgoing-tagged-spam").verdict == "blind"


def test_clean_mail_needs_no_actions(read: Read) -> None:
    assert check(read(*amavis_log("Passed CLEAN")), "outgoing-tagged-spam").verdict == "clear"


def test_what_amavis_says_that_it_did_counts(read: Read) -> None:
    assert check(read(*amavis_log("Passed SPAMMY {RelayedTaggedOutbound}")), "outgoing-tagged-spam").verdict == "found"
    assert check(read(*amavis_log("Passed SPAMMY {RelayedOutbound}")), "outgoing-tagged-spam").verdict == "clear"


def test_spam_for_a_mailbox_here_was_tagged(read: Read) -> None:
    lines = amavis_log("Passed SPAMMY", recipient="bob@example.com", relay="mx1[private/dovecot-lmtp]")
    assert check(read(*lines), "internal-tagged-spam").verdict == "found"


# -- logging systems ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "newsyslog[9]: logfile turned over",
        "newsyslog[9]: logfile turned over due to size>1000K",
        "newsyslog[9]: logfile first created",
        "syslogd: kernel boot file is /boot/kernel/kernel",
        "syslogd: restart",
        "syslogd: exiting on signal 15",
        "syslog-ng[9]: syslog-ng starting up; version='4.3.1'",
        "syslog-ng[9]: syslog-ng shutting down; version='4.3.1'",
        "syslog-ng[9]: Configuration reload request received, reloading configuration;",
    ],
)
def test_what_logging_systems_say_of_themselves_is_known(read: Read, line: str) -> None:
    scan = read("postfix/qmgr[3]: 3B09FA0002: removed", line)
    assert unknown(scan) == 0
