"""``logscan trace`` finds what never became a mail, and what was held, thrown away or given up, and says what filters said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Run

from logscan.samples import story

FIELD = Path(__file__).parent / "data" / "field" / "trace-refused"
HEAD = "Nov 22 18:44:{:02} mx1 "


def mail(queue_id: str, recipient: str, second: int, *more: str) -> list[str]:
    head = HEAD.format(second)
    return [
        f"{head}postfix/smtpd[9]: {queue_id}: client=mail.example.net[192.0.2.9]",
        f"{head}postfix/cleanup[9]: {queue_id}: message-id=<{queue_id}@example.net>",
        *(f"{head}{line}" for line in more if ": hold: " in line or ": discard: " in line or "milter-" in line),
        f"{head}postfix/qmgr[9]: {queue_id}: from=<sender@example.net>, size=1383, nrcpt=1 (queue active)",
        *(f"{head}{line}" for line in more if not (": hold: " in line or ": discard: " in line or "milter-" in line)),
    ]


RULE = "header Subject: win from mail.example.net[192.0.2.9]; from=<sender@example.net> to=<{0}@example.com> proto=ESMTP helo=<m>"

LINES = [
    *mail(
        "A000000001",
        "held",
        1,
        f"postfix/cleanup[9]: A000000001: hold: {RULE.format('held')}: looks odd",
    )[:3],
    f"{HEAD.format(2)}postfix/smtpd[9]: NOQUEUE: discard: RCPT from bulk.example.org[203.0.113.5]: <gone@example.com>: Recipient "
    "address triggers DISCARD action; from=<x@example.org> to=<gone@example.com> proto=ESMTP helo=<bulk.example.org>",
    *mail(
        "A000000003",
        "late",
        3,
        "postfix/smtp[9]: A000000003: to=<late@example.com>, relay=none, delay=432000, delays=1/2/3/4, dsn=4.4.1, "
        "status=deferred (connect to mx.example.com[192.0.2.7]:25: Connection timed out)",
        "postfix/qmgr[9]: A000000003: from=<sender@example.net>, status=expired, returned to sender",
        "postfix/qmgr[9]: A000000003: removed",
    ),
    f"{HEAD.format(4)}postfix/smtpd[9]: A000000004: client=mail.example.net[192.0.2.9]",
    f"{HEAD.format(4)}postfix/cleanup[9]: A000000004: message-id=<A4@example.net>",
    f"{HEAD.format(4)}rspamd[77]: <abcdef>; proxy; rspamd_task_write_log: id: <A4@example.net>, qid: <A000000004>, ip: "
    "192.0.2.9, from: <sender@example.net>, (default: T (reject): [20.10/15.00] [BAD_WORDS(7.50){},FUZZY_DENIED(12.60){1:aa}]), "
    "len: 1383, time: 42.1ms, dns req: 3, digest: <0123456789abcdef0123456789abcdef>, rcpts: <spammed@example.com>, "
    "mime_rcpts: <spammed@example.com>",
    f"{HEAD.format(5)}postfix/cleanup[9]: A000000004: milter-reject: END-OF-MESSAGE from mail.example.net[192.0.2.9]: 5.7.1 "
    "Spam message rejected; from=<sender@example.net> to=<spammed@example.com> proto=ESMTP helo=<m>",
    f"{HEAD.format(6)}postfix/smtpd[9]: NOQUEUE: reject: RCPT from unknown[2001:db8::7]: 554 5.7.1 Service unavailable; "
    "Client host [2001:db8::7] blocked using zen.example.org; from=<spam@example.org> "
    "to=<Victim@Example.com> proto=ESMTP helo=<[2001:db8::7]>",
    f"{HEAD.format(7)}postfix/postscreen[9]: NOQUEUE: reject: RCPT from [203.0.113.9]:4711: 550 5.7.1 Service unavailable; "
    "client [203.0.113.9] blocked using zen.example.org; from=<spam@example.org>, "
    "to=<victim@example.com>, proto=SMTP, helo=<x.example.org>",
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "mail.log"
    path.write_text("".join(f"{line}\n" for line in LINES))
    return path


@pytest.mark.parametrize(
    "what",
    ["contact33@example.com", "CONTACT33@example.com", "<contact33@example.com>", "promo82@example.org", "203.0.113.77",
     "bulk7.example.org", "example.org"],
)  # fmt: skip
def test_a_refusal_is_found_by_address_client_and_host(run: Run, what: str) -> None:
    done = run("trace", what, FIELD)
    assert done.returncode == 0
    assert "refused at RCPT by postfix/smtpd, from bulk7.example.org[203.0.113.77]" in done.stdout
    assert "550 5.1.1 <contact33@example.com>: Recipient address rejected: User unknown" in done.stdout
    assert f"Only refusals are known of {what!r}" in done.stdout


def test_a_refusal_s_line_is_shown(run: Run) -> None:
    assert "mail.log:7: 2026-11-23T06:57:31.185904+00:00 mx1 postfix/smtpd[8237]: NOQUEUE: reject: RCPT" in (
        run("trace", "-v", "contact33@example.com", FIELD).stdout
    )


def test_refusals_are_in_the_json(run: Run) -> None:
    found = json.loads(run("trace", "-f", "json", "contact33@example.com", FIELD).stdout)
    assert [(each["direction"], len(each["lives"]), len(each["refusals"])) for each in found] == [("refused", 0, 1)]
    refusal = found[0]["refusals"][0]
    assert (refusal["code"], refusal["dsn"], refusal["sender"]) == ("550", "5.1.1", "promo82@example.org")
    assert refusal["lines"][0]["line"] == 7


def test_nothing_found_is_a_sentence_and_0(run: Run) -> None:
    done = run("trace", "nobody@example.net", FIELD)
    assert (done.returncode, done.stdout.startswith("no mail and no refusal")) == (0, True)
    done = run("trace", "-f", "json", "nobody@example.net", FIELD)
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    assert "no mail and no refusal" in done.stderr


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("held@example.com", "put on hold by a rule at header for <held@example.com>"),
        ("gone@example.com", "discarded by a rule at RCPT by postfix/smtpd, from bulk.example.org[203.0.113.5]"),
        ("late@example.com", "expired: too long in the queue, returned to the sender"),
        (
            "spammed@example.com",
            "refused by a milter at END-OF-MESSAGE for <spammed@example.com>: 5.7.1 Spam message rejected",
        ),
        (
            "victim@example.com",
            "554 5.7.1 Service unavailable; Client host [2001:db8::7] blocked using zen.example.org",
        ),
        ("victim@example.com", "by postfix/postscreen"),
        ("2001:db8::7", "refused at RCPT"),
        ("203.0.113.9", "refused at RCPT"),
        ("A000000001", "put on hold by a rule"),
        ("192.0.2.9", "expired"),
    ],
)
def test_what_was_held_discarded_given_up_or_refused_is_found(run: Run, log: Path, what: str, said: str) -> None:
    done = run("trace", what, log)
    assert done.returncode == 0
    assert said in done.stdout, done.stdout


def test_what_a_rule_did_is_not_called_a_refusal(run: Run, log: Path) -> None:
    assert "Only refusals" not in run("trace", "gone@example.com", log).stdout
    assert "Only refusals" in run("trace", "victim@example.com", log).stdout


def test_a_mail_that_expired_says_so_of_its_recipient(run: Run, log: Path) -> None:
    assert (
        "to <late@example.com>, given up after too long in the queue by none"
        in run("trace", "late@example.com", log).stdout
    )


def test_verdict_score_and_symbols_are_shown(run: Run, log: Path) -> None:
    shown = run("trace", "spammed@example.com", log).stdout
    assert "rspamd: reject, 20.1 of 15 points, " in shown
    assert "BAD_WORDS(7.50)" in shown
    life = json.loads(run("trace", "-f", "json", "A000000004", log).stdout)[0]["lives"][0]
    assert (life["verdicts"][0]["score"], life["verdicts"][0]["required"]) == (20.1, 15.0)


def test_verdicts_of_dspam_are_shown(run: Run) -> None:
    shown = run("trace", "--most", "60", "example.com", story("outgoing-tagged-spam"))
    assert shown.returncode == 0
    log = (story("outgoing-tagged-spam") / "dspam" / "system.log").read_text().splitlines()
    spam = next(line.split("\t") for line in log if line.split("\t")[1] == "S")
    found = run("trace", spam[2].strip("<>").rpartition("<")[2].rstrip(">"), story("outgoing-tagged-spam")).stdout
    assert "dspam: " in found


def test_only_so_many_refusals_are_shown(run: Run, tmp_path: Path) -> None:
    line = LINES[-1] + "\n"
    (tmp_path / "mail.log").write_text("".join(line.replace(":07 mx1", f":{n % 60:02} mx1") for n in range(60)))
    done = run("trace", "--most", "5", "victim@example.com", tmp_path / "mail.log")
    assert done.stdout.count("refused at RCPT") == 5
    assert "55 earlier refusals" in done.stderr


HOSTILE = "x\x1b[31m\u202e@example.com"


@pytest.mark.parametrize("form", ["text", "json"])
def test_hostile_refusals_are_escaped(run: Run, tmp_path: Path, form: str) -> None:
    line = (
        LINES[-2]
        .replace("Victim@Example.com", HOSTILE)
        .replace("spam@example.org", "\x07;from=<a> to=<b>: 250 2.0.0 ok")
    )
    (tmp_path / "mail.log").write_text(line + "\n")
    done = run("trace", "-v", "-f", form, HOSTILE, tmp_path / "mail.log")
    assert done.returncode == 0
    assert all(each.isprintable() for each in done.stdout.split("\n"))


@pytest.mark.parametrize(
    "what", ["", " ", "<>", "*", ".*", "[", "@", "\\", "%", "\x00", "a" * 100_000, "NOQUEUE", "-1", "٣"]
)
def test_whatever_is_asked_for_is_answered(run: Run, log: Path, what: str) -> None:
    done = run("trace", "--", what, log)
    assert done.returncode == 0
    assert "fault in logscan" not in done.stderr


def test_a_mail_that_qmgr_never_saw_has_the_sender_that_the_rules_line_names(run: Run, tmp_path: Path) -> None:
    held = mail("A000000001", "held", 1, f"postfix/cleanup[9]: A000000001: hold: {RULE.format('held')}: odd")
    seen = [line for line in held if "qmgr" not in line]
    (tmp_path / "mail.log").write_text("\n".join(seen) + "\n")
    assert "sender <sender@example.net>" in run("trace", "A000000001", tmp_path / "mail.log").stdout
    (tmp_path / "mail.log").write_text("\n".join(line for line in seen if "hold" not in line) + "\n")
    assert "sender unknown" in run("trace", "A000000001", tmp_path / "mail.log").stdout
    bounce = [line.replace("from=<sender@example.net>", "from=<>") for line in held]
    (tmp_path / "mail.log").write_text("\n".join(bounce) + "\n")
    assert "sender <>" in run("trace", "A000000001", tmp_path / "mail.log").stdout
