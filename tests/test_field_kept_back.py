"""Own mail that MailScanner or Proxmox Mail Gateway kept back, and what amavis tells of spam without its actions."""

from __future__ import annotations

from pathlib import Path

import pytest

import logscan
from logscan.findings import Result
from logscan.report.trace_texts import text_of
from logscan.report.tracing import traces
from logscan.scan.scan import Scan

OUT, LOCAL = "outgoing-tagged-spam", "local-mail-filtered"
AWAY = "mx.example.net[203.0.113.200]:25"
DONE = "delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent"


def looked(tmp_path: Path, lines: list[str]) -> tuple[Scan, dict[str, Result]]:
    """Read lines that begin with ``SS tag:``."""
    text = "".join(f"2026-05-06T09:00:{line[:2]}+00:00 gate {line[3:]}\n" for line in lines)
    (tmp_path / "mail.log").write_text(text)
    scan = logscan.read(tmp_path, jobs=1)
    assert sum(source.unknown for source in scan.sources) == 0
    return scan, {check.name: check for check in logscan.analyse(scan).checks}


def sum_of(scan: Scan, name: str) -> int:
    return int(scan.mails[name].sum())


def traced(scan: Scan, queue_id: str) -> str:
    entry = int(scan.entries.index[scan.entries["queue_id"] == queue_id][0])
    return "\n".join(text_of(traces(scan, [entry])[0], verbose=False))


# -- MailScanner -------------------------------------------------------------------------------------------------------


def held(client: str, sender: str, actions: str, *, after: list[str] | None = None) -> list[str]:
    opened = (
        f"00 postfix/pickup[5]: BEEF0123456: uid=33 from=<{sender}>"
        if client == "local"
        else f"00 postfix/smtps/smtpd[4]: BEEF0123456: client=pc[198.51.100.44], sasl_method=PLAIN, sasl_username={client}"
    )
    return [
        opened,
        f"00 postfix/cleanup[6]: BEEF0123456: hold: header Received: by gate (Postfix) from local; from=<{sender}>"
        " to=<kim@example.net>",
        "00 postfix/cleanup[6]: BEEF0123456: message-id=<1@gate>",
        f"07 MailScanner[9]: Message BEEF0123456.A77AB from 198.51.100.44 ({sender}) to example.net is spam, SpamAssassin"
        " (not cached, score=9.1, required 5, BAYES_99 3.50)",
        f"07 MailScanner[9]: Spam Actions: message BEEF0123456.A77AB actions are {actions}",
        *(after or []),
    ]


BACK = [
    "08 MailScanner[9]: Requeue: BEEF0123456.A77AB to CAFE0123456",
    "08 postfix/qmgr[3]: CAFE0123456: from=<lee@example.org>, size=2109, nrcpt=1 (queue active)",
    f"09 postfix/smtp[2]: CAFE0123456: to=<kim@example.net>, relay={AWAY}, {DONE} (250 ok)",
    "09 postfix/qmgr[3]: CAFE0123456: removed",
]


@pytest.mark.parametrize(
    ("client", "sender", "actions", "kept"),
    [
        ("lee@example.org", "lee@example.org", "store", "quarantined"),
        ("lee@example.org", "lee@example.org", "notify,store-spam", "quarantined"),
        ("lee@example.org", "lee@example.org", "delete", "discarded"),
        ("local", "shop@gate.example.org", "delete", "discarded"),
    ],
)
def test_own_mail_that_mailscanner_keeps_is_a_problem(
    tmp_path: Path, client: str, sender: str, actions: str, kept: str
) -> None:
    scan, checks = looked(tmp_path, held(client, sender, actions))
    (found,) = checks[OUT].findings
    assert (found.cause, found.subject, found.severity, found.mails) == ("own-mail-discarded", sender, "problem", 1)
    assert [case["kept"] for case in found.cases] == [kept]
    assert found.why.startswith("MailScanner takes all mail that cleanup puts on hold")
    assert found.remedy
    assert "cleanup_service_name" in found.remedy.text
    assert "postsuper" not in found.remedy.text
    assert ("MailScanner's quarantine" in found.remedy.text) == (kept == "quarantined")
    shown = traced(scan, "BEEF0123456")
    assert f"its actions: {actions}" in shown
    assert f"sender <{sender}>" in shown
    assert "on hold when these logs end" not in shown
    if client == "local":
        assert checks[LOCAL].verdict == "found"


@pytest.mark.parametrize(("actions", "after"), [("deliver", BACK), ("deliver", []), ("forward,boss@example.org", [])])
def test_what_mailscanner_delivers_or_forwards_isnt_kept(tmp_path: Path, actions: str, after: list[str]) -> None:
    _, checks = looked(tmp_path, held("lee@example.org", "lee@example.org", actions, after=after))
    assert not [each for each in checks[OUT].findings if each.cause.startswith("own-mail")]


# -- Proxmox Mail Gateway ----------------------------------------------------------------------------------------------

NUMBER = "20A1B2C3D4E5F6"


def gateway(said: list[str], reply: str, *, port: int = 10023, to: str = "kim@example.net") -> list[str]:
    return [
        "00 postfix/smtpd[4]: BEEF0123456: client=exchange.example.org[10.9.8.7]",
        "00 postfix/cleanup[6]: BEEF0123456: message-id=<1@exchange>",
        "00 postfix/qmgr[3]: BEEF0123456: from=<lee@example.org>, size=900, nrcpt=1 (queue active)",
        f"01 pmg-smtp-filter[8]: {NUMBER}: new mail message-id=<1@exchange>#012",
        f"02 pmg-smtp-filter[8]: {NUMBER}: SA score=7/5 time=1.1 bayes=0.99 autolearn=no hits=BAYES_99(3.5)",
        *(f"02 pmg-smtp-filter[8]: {NUMBER}: {line}" for line in said),
        f"03 postfix/lmtp[2]: BEEF0123456: to=<{to}>, relay=127.0.0.1[127.0.0.1]:{port}, {DONE} ({reply} ({NUMBER}))",
        "03 postfix/qmgr[3]: BEEF0123456: removed",
    ]


@pytest.mark.parametrize(
    ("line", "reply", "outcome", "cause"),
    [
        ("moved mail for <kim@example.net> to spam quarantine - 20AA (rule: R)", "250 2.5.0 OK", "held", "own-mail-discarded"),
        ("moved mail for <kim@example.net> to virus quarantine - 20AA (rule: R)", "250 2.5.0 OK", "held", "own-mail-blocked"),
        ("block mail to <kim@example.net> (rule: No (really))", "250 2.7.0 BLOCKED", "discarded", "own-mail-discarded"),
    ],
)  # fmt: skip
def test_what_the_gateway_keeps_of_its_own_network_is_found_and_never_delivered(
    tmp_path: Path, line: str, reply: str, outcome: str, cause: str
) -> None:
    scan, checks = looked(tmp_path, gateway([line], reply))
    assert (sum_of(scan, "delivered"), sum_of(scan, outcome)) == (0, 1)
    (found,) = checks[OUT].findings
    assert (found.cause, found.mails) == (cause, 1)
    if cause != "own-mail-blocked":
        assert found.remedy
        assert "Mail Filter" in found.remedy.text


def test_what_the_gateway_keeps_of_strangers_is_its_work(tmp_path: Path) -> None:
    line = "moved mail for <kim@example.net> to spam quarantine - 20AA (rule: R)"
    scan, checks = looked(tmp_path, gateway([line], "250 2.5.0 OK", port=10024))
    assert (sum_of(scan, "delivered"), sum_of(scan, "held")) == (0, 1)
    assert checks[OUT].findings == []


def test_what_the_gateway_accepts_goes_its_way_and_nothing_is_called_clear(tmp_path: Path) -> None:
    back = [
        "02 postfix/smtpd[7]: CAFE0123456: client=localhost[127.0.0.1], orig_client=exchange.example.org[10.9.8.7]",
        "02 postfix/cleanup[6]: CAFE0123456: message-id=<1@exchange>",
        "02 postfix/qmgr[3]: CAFE0123456: from=<lee@example.org>, size=1200, nrcpt=1 (queue active)",
        f"04 postfix/smtp[2]: CAFE0123456: to=<kim@example.net>, relay={AWAY}, {DONE} (250 ok)",
        "04 postfix/qmgr[3]: CAFE0123456: removed",
    ]
    lines = gateway(["accept mail to <kim@example.net> (CAFE0123456) (rule: default-accept)"], "250 2.5.0 OK")
    scan, checks = looked(tmp_path, sorted(lines + back))
    assert (sum_of(scan, "delivered"), len(scan.mails)) == (1, 1)
    assert checks[OUT].verdict == "blind"
    assert "Proxmox Mail Gateway" in checks[OUT].blind_because[0]


def test_a_recipient_that_looks_like_the_gateways_own_words_is_read_from_the_right(tmp_path: Path) -> None:
    odd = '"a> (FACADE0123) (rule: x)"@example.net'
    scan, _ = looked(tmp_path, gateway([f"block mail to <{odd}> (rule: Block)"], "250 2.7.0 BLOCKED", to=odd))
    assert scan.verdicts["recipients"].tolist() == [odd]
    assert sum_of(scan, "discarded") == 1


# -- amavis without actions --------------------------------------------------------------------------------------------


def amavis(said: str, *, number: int = 0) -> list[str]:
    one, two, at = f"BEEF{number:07d}", f"CAFE{number:07d}", f"{number % 50:02d}"
    return [
        f"{at} postfix/smtps/smtpd[4]: {one}: client=pc[198.51.100.44], sasl_method=PLAIN, sasl_username=lee",
        f"{at} postfix/cleanup[6]: {one}: message-id=<{number}@pc>",
        f"{at} postfix/qmgr[3]: {one}: from=<lee@example.org>, size=900, nrcpt=1 (queue active)",
        f"{at} postfix/smtpd[7]: {two}: client=localhost[127.0.0.1]",
        f"{at} postfix/cleanup[6]: {two}: message-id=<{number}@pc>",
        f"{at} postfix/qmgr[3]: {two}: from=<lee@example.org>, size=1200, nrcpt=1 (queue active)",
        f"{at} amavis[8]: (00008-{number:02d}) Passed {said}, LOCAL [198.51.100.44] <lee@example.org> -> <kim@example.net>,"
        f" Message-ID: <{number}@pc>, mail_id: Zy{number}x, Hits: 6.6, size: 900, queued_as: {two}, 99 ms",
        f"{at} postfix/smtp[2]: {one}: to=<kim@example.net>, relay=127.0.0.1[127.0.0.1]:10024, {DONE} (250 2.0.0 from"
        f" MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as {two})",
        f"{at} postfix/qmgr[3]: {one}: removed",
        f"{at} postfix/smtp[2]: {two}: to=<kim@example.net>, relay={AWAY}, {DONE} (250 ok)",
        f"{at} postfix/qmgr[3]: {two}: removed",
    ]


@pytest.mark.parametrize("others", [0, 30])
@pytest.mark.parametrize("said", ["SPAMMY", "SPAM"])
def test_spam_without_amavis_actions_is_never_clear(tmp_path: Path, said: str, others: int) -> None:
    lines = [line for n in range(1, others + 1) for line in amavis("CLEAN", number=n)]
    scan, checks = looked(tmp_path, amavis(said) + lines)
    assert checks[OUT].verdict == "blind"
    assert "1 of" in checks[OUT].blind_because[0]
    assert "actions" in checks[OUT].blind_because[0]
    assert "not tagged" not in traced(scan, "CAFE0000000")


def test_amavis_actions_and_clean_mail_tell(tmp_path: Path) -> None:
    assert looked(tmp_path, amavis("CLEAN"))[1][OUT].verdict == "clear"
    assert looked(tmp_path, amavis("SPAMMY {RelayedOutbound}"))[1][OUT].verdict == "clear"
    assert looked(tmp_path, amavis("SPAMMY {RelayedTaggedOutbound}"))[1][OUT].verdict == "found"
