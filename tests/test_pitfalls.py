"""What breaks mail-log tools, one small log each: joins stay right where IDs, order, stamps and texts are against them.

Logs are written ``HH:MM:SS tag: text``; ``@host`` before the tag names another host than mx1, and a line without a time
continues the one before. P1 to P35 are the rows of the table in docs/correlation.md.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import logscan
from logscan.scan.scan import Options, Scan

DAY = "2026-03-04"
LINE = re.compile(r"(?:(?P<day>\d{4}-\d\d-\d\d) )?(?P<time>\d\d:\d\d:\d\d(?:\.\d+)?) (?:@(?P<host>\S+) )?(?P<rest>.*)")

Read = Callable[..., Scan]


def iso(text: str) -> str:
    """Return the short lines of a test as those of rsyslog's file format."""
    lines: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if m := LINE.fullmatch(line):
            lines.append(f"{m['day'] or DAY}T{m['time']}+00:00 {m['host'] or 'mx1'} {m['rest']}")
        else:
            lines[-1] += " " + line
    return "".join(line + "\n" for line in lines)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write each text to a file of its own and read them all."""

    def start(*texts: str, raw: bool = False, **options: Any) -> Scan:
        paths = []
        for number, text in enumerate(texts):
            path = tmp_path / f"host{number}.log"
            path.write_text(text if raw else iso(text), "utf-8")
            paths.append(path)
        return logscan.read(*paths, jobs=1, **options)

    return start


# -- what the logs are made of -----------------------------------------------------------------------------------------

DSPAM = "mx1.example.com[/run/dspam/dspam.sock]"
DOVECOT = "mx1.example.com[private/dovecot-lmtp]"
AMAVIS = "127.0.0.1[127.0.0.1]:10024"
FAR = "mx.example.net[203.0.113.200]:25"


def to(
    recipient: str, relay: str, reply: str, *, orig: str = "", delay: float = 0.2, d: float = 0.1, status: str = "sent"
) -> str:
    """Return the text of a delivery line; ``d`` are the seconds of the transmission."""
    asked = f"orig_to=<{orig}>, " if orig else ""
    dsn = {"sent": "2.0.0", "deferred": "4.4.1"}.get(status, "5.1.1")
    return (
        f"to=<{recipient}>, {asked}relay={relay}, delay={delay:g}, delays={round(max(0, delay - d), 2):g}/0/0/{d:g}, dsn={dsn},"
        f" status={status} ({reply})"
    )


def saved(recipient: str, session: str = "", *, orig: str = "", delay: float = 0.2) -> str:
    """Return the text of a delivery to Dovecot."""
    session = session or "Session" + re.sub("[^a-z]", "", recipient)
    return to(recipient, DOVECOT, f"250 2.0.0 <{recipient}> {session} Saved", orig=orig, delay=delay)


def judged(recipient: str, *, orig: str = "", delay: float = 0.4, d: float = 0.3) -> str:
    """Return the text of a hand-over to DSPAM, which names no queue ID."""
    reply = f"250 2.6.0 <{recipient}> Message accepted for delivery"
    return to(recipient, DSPAM, reply, orig=orig, delay=delay, d=d)


def clock(second: float) -> str:
    whole = int(second)
    return f"10:{whole // 60:02d}:{whole % 60:02d}"


def opened(
    queue_id: str,
    second: int = 0,
    *,
    client: str = "mail.example.org[203.0.113.26]",
    ident: str = "<one@example.org>",
    sender: str = "sam@example.org",
    tag: str = "postfix/smtpd",
    n: int = 1,
    size: int = 1000,
    host: str = "mx1",
) -> str:
    """Return a mail's first three lines: smtpd, cleanup, qmgr."""
    at, head = f"{clock(second)} @{host}", tag.split("/", maxsplit=1)[0]
    head = head if head.startswith("postfix") else "postfix"
    return f"""
        {at} {tag}[10]: {queue_id}: client={client}
        {at} {head}/cleanup[11]: {queue_id}: message-id={ident}
        {at} {head}/qmgr[12]: {queue_id}: from=<{sender}>, size={size}, nrcpt={n} (queue active)
    """


LOCAL = "localhost[127.0.0.1]"


def inbound(
    queue_id: str, second: int = 0, *, recipient: str = "alice@example.com", session: str = "", **how: Any
) -> str:
    """Return a mail that goes to a mailbox at once."""
    at, head = f"{clock(second)} @{how.get('host', 'mx1')}", how.get("tag", "postfix/smtpd").split("/")[0]
    head = head if head.startswith("postfix") else "postfix"
    return f"""
        {opened(queue_id, second, **how)}
        {at} {head}/lmtp[13]: {queue_id}: {saved(recipient, session or f"Ses{second}{queue_id}")}
        {at} {head}/qmgr[12]: {queue_id}: removed
    """


# -- what the assertions look at ---------------------------------------------------------------------------------------


def lives(scan: Scan, queue_id: str | None = None) -> pd.DataFrame:
    found = scan.entries if queue_id is None else scan.entries[scan.entries["queue_id"] == queue_id]
    return found.sort_values("first", kind="stable")


def legs(scan: Scan) -> list[tuple[str, str, str, str]]:
    """Return the legs as (parent, child, kind, known by)."""
    names = ("parent_queue_id", "child_queue_id", "kind", "known_by")
    return sorted(
        (str(a), str(b), str(c), str(d)) for a, b, c, d in zip(*(scan.legs[name] for name in names), strict=True)
    )


def hops(scan: Scan) -> list[tuple[str, str]]:
    return [(parent, child) for parent, child, _, _ in legs(scan)]


def mails(scan: Scan) -> list[str]:
    """Return the queue IDs that mails began with."""
    return [str(each) for each in scan.mails.sort_values(["first", "queue_id"], kind="stable")["queue_id"]]


def finals(scan: Scan) -> list[tuple[str, str]]:
    """Return (queue ID, recipient) of what was delivered in the end."""
    rows = scan.deliveries[scan.deliveries["final"]]
    return sorted(zip(rows["queue_id"], rows["recipient"], strict=True))


def mail(scan: Scan) -> Any:
    """Return the one mail there is."""
    assert len(scan.mails) == 1, scan.mails[["queue_id", "message_id"]]
    return scan.mails.iloc[0]


def counts(scan: Scan) -> dict[str, int]:
    return logscan.analyse(scan, checks=["duplicate-delivery"]).mails


def duplicates(scan: Scan) -> list[tuple[str, str, int]]:
    """Return (cause, mailbox, copies) of each case of duplicate delivery."""
    found = logscan.analyse(scan, checks=["duplicate-delivery"]).found
    return sorted((f.cause, str(case["mailbox"]), int(case["copies"])) for f in found for case in f.cases)


# -- which life a line belongs to (P1, P2, P3, P20, P24) ---------------------------------------------------------------


def test_a_queue_id_used_again_after_61_seconds_is_two_lives_and_two_mails(read: Read) -> None:
    """P1: `removed` and a new client= split the lives."""
    scan = read(
        inbound("BABABABABA", 11) + inbound("BABABABABA", 72, ident="<two@example.org>", recipient="bob@example.com")
    )
    assert lives(scan, "BABABABABA")["life"].tolist() == [0, 1]
    assert lives(scan)["message_id"].tolist() == ["<one@example.org>", "<two@example.org>"]
    assert [(m.delivered, m.lives) for m in scan.mails.itertuples()] == [(1, 1), (1, 1)]


def test_a_reused_queue_id_splits_at_its_new_client_where_removed_was_lost(read: Read) -> None:
    """P1: A second client= ends the life before it."""
    text = inbound("BABABABABA", 11).replace("BABABABABA: removed", "BABABABABA: skipped, still being delivered")
    scan = read(text + inbound("BABABABABA", 72, ident="<two@example.org>"))
    assert lives(scan)["removed"].tolist() == [False, True]
    assert scan.mails["delivered"].tolist() == [1, 1]


def test_a_reused_queue_id_splits_by_arrival_where_its_opening_was_lost(read: Read) -> None:
    """P1: A delivery that arrived, by its own delay, after `removed` belongs to another life."""
    late = f"10:05:00 postfix/lmtp[13]: BABABABABA: {saved('bob@example.com')}\n10:05:00 postfix/qmgr[12]: BABABABABA: removed"
    scan = read(inbound("BABABABABA", 11) + late)
    assert len(lives(scan, "BABABABABA")) == 2
    assert scan.mails["opened_before"].tolist() == [False, True]


def test_three_lives_of_one_queue_id_hold_their_own_filter_hops(read: Read) -> None:
    """P1: A parent's reused ID doesn't mix up whose child is whose."""
    parts = []
    for n, child in enumerate(("1A00000C11", "1A00000C22", "1A00000C33")):
        start, ident = 100 * n, f"<m{n}@example.org>"
        parts.append(f"""
            {opened("BABABABABA", start, ident=ident)}
            {inbound(child, start, ident=ident, client=LOCAL)}
            {clock(start)} postfix/lmtp[14]: BABABABABA: {judged("alice@example.com")}
            {clock(start)} postfix/qmgr[12]: BABABABABA: removed
        """)
    scan = read("".join(parts))
    assert len(scan.mails) == 3
    assert scan.mails["lives"].tolist() == [2, 2, 2]
    assert (
        scan.entries.loc[scan.legs["parent"], "message_id"].tolist()
        == scan.entries.loc[scan.legs["child"], "message_id"].tolist()
    )


def test_one_queue_id_on_two_hosts_is_two_lives(read: Read) -> None:
    """P2: Hosts in one file have queues of their own."""
    scan = read(inbound("1E24012D687", host="mx1") + inbound("1E24012D687", host="mx2", ident="<two@example.org>"))
    assert sorted(lives(scan)["host"]) == ["mx1", "mx2"]
    assert len(scan.mails) == 2


def test_one_queue_id_in_two_instances_is_two_lives(read: Read) -> None:
    """P2: Instances of one host have queues of their own."""
    scan = read(inbound("1E24012D687") + inbound("1E24012D687", tag="postfix-out/smtpd", ident="<two@example.org>"))
    assert sorted(lives(scan)["instance"]) == ["postfix", "postfix-out"]
    assert len(scan.mails) == 2


def test_the_queue_id_that_a_remote_server_names_is_not_ours(read: Read) -> None:
    """P2: `queued as` of a remote is no leg, even where a local mail bears that ID at that moment."""
    scan = read(f"""
        {
        opened(
            "1E24012D687",
            client="desk.example.com[192.0.2.7], sasl_method=PLAIN, sasl_username=bob@example.com",
            ident="<out@example.com>",
            sender="bob@example.com",
            tag="postfix/submission/smtpd",
        )
    }
        {inbound("1A00000ADC", 1)}
        10:00:01 postfix/smtp[15]: 1E24012D687: {
        to("zoe@example.net", FAR, "250 2.0.0 Ok: queued as 1A00000ADC", delay=1, d=1)
    }
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert legs(scan) == []
    assert finals(scan) == [("1A00000ADC", "alice@example.com"), ("1E24012D687", "zoe@example.net")]


def test_the_queue_id_that_a_remote_server_names_is_not_a_local_script_s_mail(read: Read) -> None:
    """P2: Nor where that local mail came from this host itself."""
    scan = read(f"""
        {
        opened(
            "1E24012D687",
            client="desk.example.com[192.0.2.7], sasl_method=PLAIN, sasl_username=bob@example.com",
            ident="<out@example.com>",
            sender="bob@example.com",
            tag="postfix/submission/smtpd",
        )
    }
        {inbound("1A00000ADC", 1, client=LOCAL, ident="<cron@example.com>", sender="root@example.com")}
        10:00:01 postfix/smtp[15]: 1E24012D687: {
        to("zoe@example.net", FAR, "250 2.0.0 Ok: queued as 1A00000ADC", delay=1, d=1)
    }
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert legs(scan) == []
    assert len(scan.mails) == 2


@pytest.mark.parametrize(
    "tag",
    [
        "postfix-192.0.2.23/smtpd",
        "postfix/submission/smtpd",
        "postfix/10025/smtpd",
        "postfix-mx/content-filter/smtpd",
        "reinject/smtpd",
    ],
)
def test_service_names_don_t_part_a_mail_from_its_queue(read: Read, tag: str) -> None:
    """P3: smtpd may bear any name; cleanup and qmgr bear the instance's."""
    scan = read(inbound("1E24012D687", tag=tag))
    assert len(scan.entries) == 1
    assert mail(scan).delivered == 1
    assert mail(scan).service == tag.rpartition("/")[0]


def test_a_reinjection_service_without_the_instance_s_name_gives_children_like_any_other(read: Read) -> None:
    """P3: `-o syslog_name=reinject` leaves only smtpd's own lines under that name."""
    scan = read(f"""
        {opened("1E24012D687")}
        {inbound("1A00000C11", client=LOCAL, tag="reinject/smtpd")}
        10:00:00 postfix/lmtp[14]: 1E24012D687: {judged("alice@example.com")}
        10:00:00 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert hops(scan) == [("1E24012D687", "1A00000C11")]
    assert (mail(scan).origin, mail(scan).lives) == ("outside", 2)


def test_a_renamed_service_belongs_to_the_instance_that_goes_on_with_its_queue_ids(read: Read) -> None:
    """P3: With several instances, the queue ID tells whose smtpd it is."""
    child = inbound("1A00000C11", client=LOCAL, tag="postfix-back/smtpd").replace(
        "postfix-back/smtpd", "reinject/smtpd"
    )
    scan = read(inbound("1A0000000B", 300, ident="<x@example.org>") + child)
    assert sorted(zip(scan.entries["queue_id"], scan.entries["instance"], strict=True)) == [
        ("1A0000000B", "postfix"),
        ("1A00000C11", "postfix-back"),
    ]


def test_a_remote_server_that_echoes_our_own_queue_id_makes_no_leg(read: Read) -> None:
    """P2: Received headers show our IDs to everybody."""
    scan = read(f"""
        {opened("1E24012D687", client=LOCAL, ident="<cron@example.com>")}
        {opened("1A00000C11", 1, client=LOCAL, ident="<cron@example.com>", size=1340)}
        10:00:01 postfix/lmtp[14]: 1E24012D687: {judged("zoe@example.net", delay=1.2, d=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
        10:00:01 postfix/smtp[15]: 1A00000C11: {to("zoe@example.net", FAR, "250 Ok: queued as 1E24012D687", delay=0.5, d=0.1)}
        10:00:01 postfix/qmgr[12]: 1A00000C11: removed
    """)
    assert hops(scan) == [("1E24012D687", "1A00000C11")]
    assert finals(scan) == [("1A00000C11", "zoe@example.net")]


def test_words_that_look_like_queue_ids_open_no_life(read: Read) -> None:
    """P20: `statistics:`, `warning:` and foreign daemons' words are not mails."""
    scan = read(
        """
        10:00:00 postfix/anvil[1]: statistics: max connection rate 1/60s for (smtp:203.0.113.26) at Mar  4 10:00:00
        10:00:00 postfix/smtpd[1]: warning: hostname mail.example.org does not resolve to address 203.0.113.26
        10:00:00 postfix/smtpd[1]: connect from mail.example.org[203.0.113.26]
        10:00:00 postfix/smtpd[1]: lost connection after CONNECT from mail.example.org[203.0.113.26]
        10:00:00 foreign[1]: DEBUG:ECLS: removed
        10:00:00 foreign[1]: FOOBAR99: client=mail.example.org[203.0.113.26]
        10:00:00 foreign[1]: STATISTICS1: from=<sam@example.org>, size=1, nrcpt=1 (queue active)
        """
    )
    assert len(scan.entries) == len(scan.mails) == 0


@pytest.mark.parametrize("queue_id", ["1E24012D687", "4PbC4x469Jz3tBr", "4dhRlh0sf8z9HdB", "0123456789", "DEADBEEF"])
def test_short_and_long_queue_ids_are_followed_alike(read: Read, queue_id: str) -> None:
    """P20: Both kinds, and those that look like words or numbers."""
    assert (mail(read(inbound(queue_id))).queue_id, finals(read(inbound(queue_id)))) == (
        queue_id,
        [(queue_id, "alice@example.com")],
    )


def test_a_mail_deleted_by_postsuper_is_over_and_reached_nobody(read: Read) -> None:
    """P24: `postsuper -d` ends a life without any recipient."""
    scan = read(opened("1E24012D687") + "10:09:00 postfix/postsuper[40]: 1E24012D687: removed")
    assert (mail(scan).delivered, mail(scan).discarded, mail(scan).recipients, mail(scan).open) == (0, 1, 1, False)


def test_an_agent_s_line_after_postsuper_deleted_the_mail_belongs_to_that_mail(read: Read) -> None:
    """P24: The delivery under way ends up to minutes after `removed`."""
    scan = read(f"""
        {opened("1E24012D687")}
        10:01:00 postfix/postsuper[40]: 1E24012D687: removed
        10:04:00 postfix/smtp[15]: 1E24012D687: {to("zoe@example.net", FAR, "250 Ok", delay=240, d=230)}
    """)
    assert len(scan.entries) == 1
    assert mail(scan).delivered == 1


# -- filters that tell (P4, P21, P26, P27) -----------------------------------------------------------------------------


def through_amavis(*, told: str = "queued as", orig: bool = True, client: str = LOCAL, relay: str = AMAVIS) -> str:
    """Return a mail through amavis: ``told`` is what amavis's reply says of the child."""
    id_, child = "1E24012D687", "1A00000C11"
    before = f", orig_queue_id={id_}, orig_client=mail.example.org[203.0.113.26]" if orig else ""
    reply = f"250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: {told} {child}" if told else "250 2.0.0 Ok"
    return f"""
        {opened(id_, n=2)}
        {opened(child, 1, client=client + before, n=2, size=1400)}
        10:00:01 postfix/lmtp[13]: {child}: {saved("alice@example.com")}
        10:00:01 postfix/lmtp[13]: {child}: {saved("bob@example.com")}
        10:00:01 postfix/qmgr[12]: {child}: removed
        10:00:01 postfix/smtp[14]: {id_}: {to("alice@example.com", relay, reply, delay=1.2, d=1)}
        10:00:01 postfix/smtp[14]: {id_}: {to("bob@example.com", relay, reply, delay=1.2, d=1)}
        10:00:01 postfix/qmgr[12]: {id_}: removed
    """


@pytest.mark.parametrize(
    ("how", "known_by"),
    [
        ({"told": "queued as", "orig": False}, "queued as"),
        ({"told": "", "orig": True}, "orig_queue_id"),
        ({"told": "", "orig": False}, "inferred"),
    ],
)
def test_a_mail_through_amavis_is_one_mail(read: Read, how: dict[str, Any], known_by: str) -> None:
    """P4: Whether Postfix's reply, the child's client line or nothing tells of the hop."""
    scan = read(through_amavis(**how))
    assert legs(scan) == [("1E24012D687", "1A00000C11", "filter", known_by)]
    assert (mail(scan).delivered, mail(scan).recipients, mail(scan).lives, mail(scan).origin) == (2, 2, 2, "outside")
    assert finals(scan) == [("1A00000C11", "alice@example.com"), ("1A00000C11", "bob@example.com")]


def test_amavis_s_own_line_joins_what_postfix_s_lines_no_longer_do(read: Read) -> None:
    """P26: `Queue-ID: ... queued_as: ...` is enough."""
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:01 amavis[70]: (00070-01) Passed CLEAN {{RelayedInbound}}, [203.0.113.26]:4711 [203.0.113.26]
            <sam@example.org> -> <alice@example.com>, Queue-ID: 1E24012D687, Message-ID: <one@example.org>,
            mail_id: y56hSa8ZL3Dx, Hits: -1, size: 1000, queued_as: 1A00000C11, 900 ms
        {inbound("1A00000C11", 1, client=LOCAL, ident="<changed@example.com>")}
    """)
    assert legs(scan) == [("1E24012D687", "1A00000C11", "filter", "amavis")]
    assert mail(scan).delivered == 1


def test_amavis_may_name_several_children(read: Read) -> None:
    """P26: `queued_as: A/B` is two legs of one mail."""
    scan = read(f"""
        {opened("1E24012D687", n=2)}
        10:00:01 amavis[70]: (00070-01) Passed CLEAN {{RelayedInbound}}, [203.0.113.26]:4711 [203.0.113.26]
            <sam@example.org> -> <alice@example.com>,<bob@example.com>, Queue-ID: 1E24012D687, Message-ID:
            <one@example.org>, mail_id: y56hSa8ZL3Dx, Hits: -1, size: 1000, queued_as: 1A00000C11/1A00000C22, 900 ms
        {inbound("1A00000C11", 1, client=LOCAL)}
        {inbound("1A00000C22", 1, client=LOCAL, recipient="bob@example.com")}
    """)
    assert hops(scan) == [("1E24012D687", "1A00000C11"), ("1E24012D687", "1A00000C22")]
    assert mail(scan).delivered == 2


def test_a_filter_on_another_host_is_known_by_its_address(read: Read) -> None:
    """The child's client address is the relay's: `queued as` is ours though it isn't loopback."""
    text = through_amavis(
        client="filter.example.com[192.0.2.30]", relay="filter.example.com[192.0.2.30]:10024", orig=False
    )
    scan = read(text)
    assert legs(scan) == [("1E24012D687", "1A00000C11", "filter", "queued as")]
    assert (mail(scan).delivered, mail(scan).origin) == (2, "outside")


def test_a_silent_filter_on_another_host_is_inferred_by_its_address(read: Read) -> None:
    """The same without a word about queue IDs."""
    scan = read(
        through_amavis(
            client="filter.example.com[192.0.2.30]", relay="filter.example.com[192.0.2.30]:10024", orig=False, told=""
        )
    )
    assert hops(scan) == [("1E24012D687", "1A00000C11")]
    assert mail(scan).delivered == 2


def test_a_filter_s_own_id_in_the_reply_is_no_queue_id(read: Read) -> None:
    """P4, P21: Proxmox's filter names its own ID, which may look like, or be, a queue ID of ours."""
    reply = "250 2.5.0 OK (1E24012D687)"
    scan = read(f"""
        {opened("1E24012D687")}
        {inbound("1A00000C11", 1, client=LOCAL)}
        10:00:01 postfix/smtp[14]: 1E24012D687: {to("alice@example.com", AMAVIS, reply, delay=1.2, d=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert legs(scan) == [("1E24012D687", "1A00000C11", "filter", "inferred")]
    assert mail(scan).delivered == 1


@pytest.mark.parametrize(
    "reply",
    ["250 2.7.0 Ok, discarded, id=15303-02 - spam", "250 2.7.0 BLOCKED (20A9560092030F3374)"],
)
def test_what_the_filter_threw_away_was_sent_but_not_delivered(read: Read, reply: str) -> None:
    """P4: `status=sent` may mean that nobody gets it."""
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:01 postfix/smtp[14]: 1E24012D687: {to("alice@example.com", AMAVIS, reply, delay=1.2, d=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert finals(scan) == []
    assert mail(scan).delivered == 0


def test_the_discard_transport_delivers_to_nobody(read: Read) -> None:
    """`discard` logs `sent`, and nobody gets it."""
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:01 postfix/discard[14]: 1E24012D687: {to("noreply@example.com", "none", "example.com")}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert finals(scan) == []


def test_a_milter_s_verdict_belongs_to_the_queue_id_it_names(read: Read) -> None:
    """P27: rspamd as a milter makes no hop; its `qid` is the mail's own ID."""
    scan = read(f"""
        {inbound("4dhRlh0sf8z9HdB")}
        10:00:00 rspamd[80]: (normal) <9HdB>; task; rspamd_task_write_log: id: <one@example.org>,
            qid: <4dhRlh0sf8z9HdB>, ip: 203.0.113.26, from: <sam@example.org>, (default: T (add header):
            [8.10/15.00] [BAYES_SPAM(5.10){{99.9%;}}]), len: 1000, time: 54.1ms, dns req: 3,
            digest: <0123456789abcdef0123456789abcdef>, rcpts: <alice@example.com>, mime_rcpts: <alice@example.com>
    """)
    assert legs(scan) == []
    assert scan.deliveries["spam"].tolist() == [True]


# -- filters that say nothing (DSPAM, pipes) ---------------------------------------------------------------------------


def test_dspam_makes_one_child_of_each_recipient_and_they_stay_one_mail(read: Read) -> None:
    """The children come back before the hand-over is logged as sent."""
    people = ("alice", "bob", "carol")
    back = "".join(
        inbound(f"1A00000C{n}{n}", n, client=LOCAL, recipient=f"{who}@example.com", size=1340)
        for n, who in enumerate(people, 1)
    )
    given = "".join(
        f"10:00:03 postfix/lmtp[14]: 1E24012D687: {judged(f'{who}@example.com', delay=3.3, d=3)}\n" for who in people
    )
    scan = read(f"{opened('1E24012D687', n=3)} {back}\n{given} 10:00:03 postfix/qmgr[12]: 1E24012D687: removed")
    assert hops(scan) == [("1E24012D687", f"1A00000C{n}{n}") for n in (1, 2, 3)]
    assert set(scan.legs["confidence"]) == {"high"}
    assert (mail(scan).delivered, mail(scan).lives, mail(scan).origin) == (3, 4, "outside")
    assert counts(scan)["filter_legs"] == 3


def test_each_of_two_like_mails_gets_its_own_children(read: Read) -> None:
    """A sender who sends the same mail twice within a minute: each hand-over's time tells whose child is whose."""
    parts = []
    for parent, child, at in (("1E24012D61", "1A00000C11", 0), ("1E24012D62", "1A00000C22", 30)):
        parts.append(f"""
            {opened(parent, at)}
            {inbound(child, at + 1, client=LOCAL)}
            {clock(at + 1)} postfix/lmtp[14]: {parent}: {judged("alice@example.com", delay=1.2, d=1)}
            {clock(at + 1)} postfix/qmgr[12]: {parent}: removed
        """)
    scan = read("".join(parts))
    assert hops(scan) == [("1E24012D61", "1A00000C11"), ("1E24012D62", "1A00000C22")]
    assert set(scan.legs["confidence"]) == {"high"}
    assert duplicates(scan) == [("sender-resent", "alice@example.com", 2)]


def test_joins_that_nothing_tells_apart_say_so_by_their_confidence(read: Read) -> None:
    """Two hand-overs of like mails at one time: one child each, but which is whose is only likely."""
    scan = read(f"""
        {opened("1E24012D61")} {opened("1E24012D62")}
        {inbound("1A00000C11", 1, client=LOCAL)} {inbound("1A00000C22", 1, client=LOCAL)}
        10:00:01 postfix/lmtp[14]: 1E24012D61: {judged("alice@example.com", delay=1.2, d=1)}
        10:00:01 postfix/lmtp[15]: 1E24012D62: {judged("alice@example.com", delay=1.2, d=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D61: removed
        10:00:01 postfix/qmgr[12]: 1E24012D62: removed
    """)
    assert sorted(parent for parent, _ in hops(scan)) == ["1E24012D61", "1E24012D62"]
    assert sorted(child for _, child in hops(scan)) == ["1A00000C11", "1A00000C22"]
    assert set(scan.legs["confidence"]) == {"medium"}


def test_a_pipe_filter_that_hands_all_recipients_back_at_once_makes_one_child(read: Read) -> None:
    """The child comes through pickup, one for all recipients."""
    piped = "delivered via spamfilter service"
    scan = read(f"""
        {opened("1E24012D687", n=2)}
        10:00:01 postfix/pickup[9]: 1A00000C11: uid=107 from=<sam@example.org>
        10:00:01 postfix/cleanup[11]: 1A00000C11: message-id=<one@example.org>
        10:00:01 postfix/qmgr[12]: 1A00000C11: from=<sam@example.org>, size=1400, nrcpt=2 (queue active)
        10:00:01 postfix/pipe[14]: 1E24012D687: {to("alice@example.com", "spamfilter", piped, delay=1.2, d=1)}
        10:00:01 postfix/pipe[14]: 1E24012D687: {to("bob@example.com", "spamfilter", piped, delay=1.2, d=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
        10:00:02 postfix/lmtp[13]: 1A00000C11: {saved("alice@example.com")}
        10:00:02 postfix/lmtp[13]: 1A00000C11: {saved("bob@example.com")}
        10:00:02 postfix/qmgr[12]: 1A00000C11: removed
    """)
    assert hops(scan) == [("1E24012D687", "1A00000C11")]
    assert (mail(scan).delivered, mail(scan).recipients) == (2, 2)
    assert finals(scan) == [("1A00000C11", "alice@example.com"), ("1A00000C11", "bob@example.com")]


def test_a_filter_is_known_by_its_mails_not_by_their_recipients(read: Read) -> None:
    """One child for eight recipients is as good a sign as eight children."""
    people = [f"member{n}@example.com" for n in range(8)]
    text = ""
    for i, (parent, child) in enumerate((("1E24012D61", "1A00000C11"), ("1E24012D62", "1A00000C22"))):
        at, ident = clock(60 * i + 1), f"<m{i}@example.org>"
        given = "".join(
            f"{at} postfix/smtp[14]: {parent}: {to(who, AMAVIS, '250 Ok', delay=1.2, d=1)}\n" for who in people
        )
        got = "".join(f"{at} postfix/lmtp[13]: {child}: {saved(who)}\n" for who in people)
        text += f"""
            {opened(parent, 60 * i, ident=ident, n=8)}
            {opened(child, 60 * i + 1, ident=ident, n=8, client=LOCAL)}
            {given} {at} postfix/qmgr[12]: {parent}: removed
            {got} {at} postfix/qmgr[12]: {child}: removed
        """
    scan = read(text)
    assert hops(scan) == [("1E24012D61", "1A00000C11"), ("1E24012D62", "1A00000C22")]
    assert scan.mails["delivered"].tolist() == [8, 8]
    assert scan.mails["recipients"].tolist() == [8, 8]


def test_a_filter_that_delivers_by_itself_is_the_end_of_the_way(read: Read) -> None:
    """spampd as `virtual_transport=lmtp:[127.0.0.1]:10025`: nothing comes back, and nothing is missing."""
    relay = "127.0.0.1[127.0.0.1]:10025"
    text = ""
    for n in range(3):
        queue_id = f"1E24012D6{n}"
        text += f"""
            {opened(queue_id, 10 * n, ident=f"<m{n}@example.org>")}
            {clock(10 * n + 1)} postfix/lmtp[14]: {queue_id}:
                {to("alice@example.com", relay, "250 2.0.0 <alice@example.com> Saved", delay=1.2, d=1)}
            {clock(10 * n + 1)} postfix/qmgr[12]: {queue_id}: removed
        """
    scan = read(text)
    assert legs(scan) == []
    assert not scan.deliveries["hop"].any()
    assert scan.mails["delivered"].tolist() == [1, 1, 1]


def test_one_look_alike_doesn_t_make_a_filter_of_a_mailbox_server(read: Read) -> None:
    """A forward that comes back to a relay's mailbox once is no hop through that relay."""
    text = "".join(inbound(f"1E24012D6{n}", 10 * n, ident=f"<m{n}@example.org>") for n in range(8))
    text += inbound("1A00000C11", 70, client=LOCAL, ident="<m7@example.org>").replace(
        "private/dovecot-lmtp", "private/other"
    )
    scan = read(text)
    assert legs(scan) == []
    assert len(finals(scan)) == 9


def test_a_message_id_that_cleanup_made_still_joins_parent_and_child(read: Read) -> None:
    """A mail without Message-ID gets one behind the filter, made of the child's own queue ID."""
    scan = read(f"""
        {opened("1E24012D687", ident="<>")}
        {inbound("1A00000C11", 1, client=LOCAL, ident="<20260304100001.1A00000C11@mx1.example.com>")}
        10:00:01 postfix/lmtp[14]: 1E24012D687: {judged("alice@example.com", delay=1.2, d=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert hops(scan) == [("1E24012D687", "1A00000C11")]
    assert mail(scan).delivered == 1


def test_mails_without_message_id_are_not_joined_for_lacking_it(read: Read) -> None:
    """P16: Empty is no key: other sender, other recipient, other time, or handed in from outside, is another mail."""
    scan = read(f"""
        {opened("1E24012D687", ident="<>")}
        {inbound("1A00000C11", 1, client=LOCAL, ident="<>", sender="cron@example.com")}
        {inbound("1A00000C22", 1, client=LOCAL, ident="<>", recipient="bob@example.com")}
        {inbound("1A00000C33", 40, client=LOCAL, ident="<>")}
        {inbound("1A00000C44", 1, ident="<>")}
        10:00:01 postfix/lmtp[14]: 1E24012D687: {judged("alice@example.com", delay=1.2, d=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert legs(scan) == []
    assert len(scan.mails) == 5
    assert duplicates(scan) == []


@pytest.mark.parametrize(
    "ident",
    [
        "maintenance-16-29-31@example.org",
        "<" + "A1b2" * 400 + "? ",
        "<no end",
        "<two words@example.org>",
        "<xyz@example.org>#012",
    ],
)
def test_odd_message_ids_join_like_others(read: Read, ident: str) -> None:
    """P16: Without brackets, folded, cut off: whatever it is, parent and child bear the same."""
    scan = read(f"""
        {opened("1E24012D687", ident=ident)}
        {inbound("1A00000C11", 1, client=LOCAL, ident=ident)}
        10:00:01 postfix/lmtp[14]: 1E24012D687: {judged("alice@example.com", delay=1.2, d=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert hops(scan) == [("1E24012D687", "1A00000C11")]


def test_brackets_around_a_message_id_don_t_matter(read: Read) -> None:
    """P16: A filter may add the brackets that were missing."""
    scan = read(f"""
        {opened("1E24012D687", ident="abc@example.org")}
        {inbound("1A00000C11", 1, client=LOCAL, ident="<abc@example.org>")}
        10:00:01 postfix/lmtp[14]: 1E24012D687: {judged("alice@example.com", delay=1.2, d=1)}
    """)
    assert hops(scan) == [("1E24012D687", "1A00000C11")]


def list_run(n: int, *, same: bool) -> tuple[str, list[tuple[str, str]]]:
    """Return a list's ``n`` copies through DSPAM, one a second, and which child is whose."""
    parts, truth = [], []
    for i in range(n):
        parent, child = f"1E240{i:05X}A", f"1A000{i:05X}B"
        who = "archive@example.com" if same else f"member{i}@example.com"
        how: dict[str, Any] = {"ident": "<list-77@example.org>", "sender": "bounces@example.org"}
        parts.append(f"""
            {opened(parent, i, **how)}
            {inbound(child, i + 1, client=LOCAL, recipient=who, **how)}
            {clock(i + 1)} postfix/lmtp[14]: {parent}: {judged(who, delay=1.2, d=1)}
            {clock(i + 1)} postfix/qmgr[12]: {parent}: removed
        """)
        truth.append((parent, child))
    return "".join(parts), truth


def test_a_list_that_sends_one_message_id_to_a_hundred_members_is_a_hundred_mails(read: Read) -> None:
    """P15: The recipient tells the copies apart, with certainty."""
    text, truth = list_run(100, same=False)
    scan = read(text)
    assert hops(scan) == truth
    assert set(scan.legs["confidence"]) == {"high"}
    assert len(scan.mails) == 100
    assert duplicates(scan) == []


def test_a_list_that_sends_one_message_id_a_hundred_times_to_one_member_is_matched_in_order(read: Read) -> None:
    """P15: Time alone is left: each child has one parent, in order, and the legs say how sure they are."""
    text, truth = list_run(100, same=True)
    scan = read(text)
    assert hops(scan) == truth
    assert "high" not in set(scan.legs["confidence"][1:-1])
    assert len(scan.mails) == 100


def test_a_device_with_a_constant_message_id_sends_many_mails_not_copies(read: Read) -> None:
    """P15, P16: Mails of different size are never copies of one."""
    text = "".join(
        inbound(
            f"1E24012D6{n}",
            40 * n,
            ident="<scan@device.example.com>",
            sender="scanner@example.com",
            size=5000 + 4000 * n,
        )
        for n in range(4)
    )
    scan = read(text)
    assert len(scan.mails) == 4
    assert legs(scan) == []
    assert duplicates(scan) == []


# -- before-queue filters (P5) -----------------------------------------------------------------------------------------

OUTER = "mail.example.org[203.0.113.26]"


def proxied(outer: str, inner: str, *, accept: str = "250 2.0.0 Ok: queued as 1E24012D687") -> str:
    return f"""
        10:00:00 postfix/smtpd[20]: connect from {OUTER}
        10:00:00 postfix/smtpd[20]: NOQUEUE: client={outer}
        10:00:01 postfix/reinject/smtpd[30]: connect from localhost[127.0.0.1]
        10:00:01 postfix/reinject/smtpd[30]: 1E24012D687: client=localhost[127.0.0.1]{inner}
        10:00:01 postfix/cleanup[11]: 1E24012D687: message-id=<one@example.org>
        10:00:01 postfix/smtpd[20]: proxy-accept: END-OF-MESSAGE: {accept}; from=<sam@example.org> to=<alice@example.com>
            proto=ESMTP helo=<mail.example.org>
        10:00:01 postfix/qmgr[12]: 1E24012D687: from=<sam@example.org>, size=1000, nrcpt=1 (queue active)
        10:00:01 postfix/smtpd[20]: disconnect from {OUTER} ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5
        10:00:02 postfix/lmtp[13]: 1E24012D687: {saved("alice@example.com", delay=2)}
        10:00:02 postfix/qmgr[12]: 1E24012D687: removed
    """


@pytest.mark.parametrize("inner", ["", f", orig_client={OUTER}"])
def test_a_mail_through_a_before_queue_proxy_came_from_the_outer_session_s_client(read: Read, inner: str) -> None:
    """P5: proxy-accept names the queue ID; its session's NOQUEUE client line is the mail's."""
    scan = read(proxied(OUTER, inner))
    assert (mail(scan).client, mail(scan).client_address) == ("mail.example.org", "203.0.113.26")
    assert (mail(scan).origin, mail(scan).direction, mail(scan).delivered) == ("outside", "inbound", 1)
    assert mail(scan).service == "postfix"


def test_a_mail_submitted_through_a_before_queue_proxy_is_its_user_s(read: Read) -> None:
    """P5: The login stands in the outer session only."""
    scan = read(proxied(f"{OUTER}, sasl_method=PLAIN, sasl_username=alice@example.com", ""))
    assert (mail(scan).sasl_username, mail(scan).origin) == ("alice@example.com", "authenticated")


def test_a_proxy_that_names_no_queue_id_is_joined_by_the_client_it_forwards(read: Read) -> None:
    """P5: XFORWARD's orig_client is the mail's client where nothing else tells."""
    scan = read(proxied(OUTER, f", orig_client={OUTER}", accept="250 2.5.0 OK (381C560092030F3374)"))
    assert (mail(scan).client_address, mail(scan).origin) == ("203.0.113.26", "outside")


def test_two_mails_of_one_proxied_session_keep_their_clients(read: Read) -> None:
    """P5, P10: The session's client line before each proxy-accept is the one that counts."""
    second = proxied(OUTER, "", accept="250 2.0.0 Ok: queued as 1A00000C11").replace("1E24012D687", "1A00000C11")
    scan = read(proxied(OUTER, "") + second.replace("one@example.org", "two@example.org").replace("10:00:0", "10:00:1"))
    assert scan.mails["client_address"].tolist() == ["203.0.113.26", "203.0.113.26"]
    assert set(scan.mails["origin"]) == {"outside"}


# -- order (P6, P7, P8, P10, P12, P13) ---------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [True, False])
def test_removed_and_disconnect_come_in_either_order(read: Read, late: bool) -> None:
    """P6: A session ends when it likes."""
    end = "10:00:00 postfix/smtpd[10]: disconnect from mail.example.org[203.0.113.26] ehlo=1 mail=1 rcpt=1 data=1 commands=4"
    text = inbound("1E24012D687")
    scan = read(text + end if late else text.replace("10:00:00 @mx1 postfix/qmgr[12]: 1E24012D687: removed", end) + (
        "10:00:01 postfix/qmgr[12]: 1E24012D687: removed"
    ))  # fmt: skip
    assert (mail(scan).delivered, mail(scan).open) == (1, False)


def test_lines_of_one_second_may_stand_in_any_order(read: Read) -> None:
    """P7: Several processes write at once; a second's order says nothing."""
    lines = iso(f"""
        {opened("1E24012D687", n=2)}
        {inbound("1A00000C11", client=LOCAL)} {inbound("1A00000C22", client=LOCAL, recipient="bob@example.com")}
        10:00:00 postfix/lmtp[14]: 1E24012D687: {judged("alice@example.com")}
        10:00:00 postfix/lmtp[14]: 1E24012D687: {judged("bob@example.com")}
        10:00:00 postfix/qmgr[12]: 1E24012D687: removed
    """).splitlines()
    shuffler = random.Random(7)
    for _ in range(10):
        shuffler.shuffle(lines)
        scan = read("\n".join(lines) + "\n", raw=True)
        assert hops(scan) == [("1E24012D687", "1A00000C11"), ("1E24012D687", "1A00000C22")]
        assert (mail(scan).delivered, mail(scan).lives) == (2, 3)


@pytest.mark.parametrize("back", ["smtpd", "cleanup", "qmgr", "lmtp"])
@pytest.mark.parametrize("seconds", [1, 2])
def test_stamps_that_step_back_by_seconds_tear_no_mail_apart(read: Read, back: str, seconds: int) -> None:
    """P7: One process' clock lags; its lines stand where they belong, with a stamp too early."""
    text = iso(
        inbound("1E24012D687", 30)
        .replace("10:00:30 @mx1 postfix/lmtp", "10:00:31 @mx1 postfix/lmtp")
        .replace(
            "10:00:30 @mx1 postfix/qmgr[12]: 1E24012D687: removed",
            "10:00:31 @mx1 postfix/qmgr[12]: 1E24012D687: removed",
        )
    )
    lagging = re.sub(
        rf"T10:00:(\d\d)(?=\+00:00 mx1 postfix/{back}\[)", lambda m: f"T10:00:{int(m[1]) - seconds:02d}", text
    )
    assert lagging != text
    scan = read(lagging, raw=True)
    assert len(scan.entries) == 1
    assert (mail(scan).delivered, mail(scan).open, mail(scan).opened_before) == (1, False, False)


@pytest.mark.parametrize("step", [-4, -2, 2, 4])
def test_a_clock_set_during_a_hand_over_loses_no_leg_but_some_confidence(read: Read, step: int) -> None:
    """P7: The child's lines may seem to lie outside the hand-over that they came from."""
    child = inbound("1A00000C11", 31 + step, client=LOCAL)
    scan = read(f"""
        {through("1F00000AAA", "1F00000BBB", 0)}
        {opened("1E24012D687", 30)}
        {child}
        10:00:31 postfix/lmtp[14]: 1E24012D687: {judged("alice@example.com", delay=1, d=0.5)}
        10:00:31 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert ("1E24012D687", "1A00000C11") in hops(scan)
    assert scan.mails["delivered"].tolist() == [1, 1]


def test_local_delivery_logged_after_removed_belongs_to_the_mail(read: Read) -> None:
    """P7: A delivery line a second or two late joins by its delay."""
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:05 postfix/qmgr[12]: 1E24012D687: removed
        10:00:06 postfix/local[16]: 1E24012D687: {to("alice@example.com", "local", "delivered to mailbox", delay=5)}
    """)
    assert len(scan.entries) == 1
    assert mail(scan).delivered == 1


@pytest.mark.parametrize("before", [True, False])
def test_a_bounce_is_known_whether_its_line_comes_before_or_after_its_child_s(read: Read, before: bool) -> None:
    """P8: Postfix 3.11 logs the notification before the child's lines, older ones after them."""
    line = "10:00:01 postfix/bounce[17]: 1E24012D687: sender non-delivery notification: 1A00000C11\n"
    child = f"""
        10:00:01 postfix/cleanup[11]: 1A00000C11: message-id=<20260304100001.1A00000C11@mx1.example.com>
        10:00:01 postfix/qmgr[12]: 1A00000C11: from=<>, size=3000, nrcpt=1 (queue active)
        10:00:02 postfix/smtp[15]: 1A00000C11: {to("sam@example.org", FAR, "250 Ok")}
        10:00:02 postfix/qmgr[12]: 1A00000C11: removed
    """
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:01 postfix/lmtp[13]: 1E24012D687: {to("nobody@example.com", DOVECOT, "550 5.1.1 no such user", status="bounced")}
        {line + child if before else child + line}
        10:00:03 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert legs(scan) == [("1E24012D687", "1A00000C11", "bounce", "notification")]
    assert sorted(zip(scan.mails["queue_id"], scan.mails["direction"].astype(str), strict=True)) == [
        ("1A00000C11", "generated"),
        ("1E24012D687", "inbound"),
    ]
    assert counts(scan)["bounced"] == 1


def test_what_local_forwards_is_one_mail_though_its_child_is_over_first(read: Read) -> None:
    """P8: `forwarded as` comes after the child's last line."""
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:01 postfix/cleanup[11]: 1A00000C11: message-id=<one@example.org>
        10:00:01 postfix/qmgr[12]: 1A00000C11: from=<sam@example.org>, size=1100, nrcpt=1 (queue active)
        10:00:01 postfix/smtp[15]: 1A00000C11: {to("zoe@example.net", FAR, "250 Ok", orig="alice@example.com")}
        10:00:01 postfix/qmgr[12]: 1A00000C11: removed
        10:00:02 postfix/local[16]: 1E24012D687: {to("alice@example.com", "local", "forwarded as 1A00000C11", delay=2)}
        10:00:02 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert legs(scan) == [("1E24012D687", "1A00000C11", "forward", "forwarded as")]
    assert finals(scan) == [("1A00000C11", "zoe@example.net")]
    assert (mail(scan).delivered, str(mail(scan).direction)) == (1, "forwarded")


def test_a_bounce_without_its_line_is_a_mail_that_the_server_made(read: Read) -> None:
    """P9: Sender <>, no client, a message-id of its own queue ID."""
    scan = read(f"""
        10:00:01 postfix/cleanup[11]: 1A00000C11: message-id=<20260304100001.1A00000C11@mx1.example.com>
        10:00:01 postfix/qmgr[12]: 1A00000C11: from=<>, size=3000, nrcpt=1 (queue active)
        10:00:02 postfix/smtp[15]: 1A00000C11: {to("sam@example.org", FAR, "250 Ok")}
        10:00:02 postfix/qmgr[12]: 1A00000C11: removed
    """)
    assert (mail(scan).origin, mail(scan).direction, mail(scan).opened_before) == ("generated", "generated", False)


def test_two_mails_of_one_session_are_two_mails_in_order_or_mixed(read: Read) -> None:
    """P10: One smtpd process carries many mails, and their lines interleave."""
    one, two = inbound("1E24012D687"), inbound("1A00000C11", ident="<two@example.org>", recipient="bob@example.com")
    mixed = [line for pair in zip(iso(one).splitlines(), iso(two).splitlines(), strict=True) for line in pair]
    for scan in (read(one + two), read("\n".join(mixed) + "\n", raw=True)):
        assert finals(scan) == [("1A00000C11", "bob@example.com"), ("1E24012D687", "alice@example.com")]
        assert scan.mails["delivered"].tolist() == [1, 1]


def test_a_cleanup_line_after_the_session_s_timeout_makes_no_mail(read: Read) -> None:
    """P12: Up to ten minutes later; nothing was queued."""
    scan = read("""
        10:00:00 postfix/smtpd[10]: connect from mail.example.org[203.0.113.26]
        10:00:00 postfix/smtpd[10]: 1E24012D687: client=mail.example.org[203.0.113.26]
        10:05:00 postfix/smtpd[10]: timeout after DATA from mail.example.org[203.0.113.26]
        10:05:00 postfix/smtpd[10]: disconnect from mail.example.org[203.0.113.26]
        10:09:00 postfix/cleanup[11]: 1E24012D687: message-id=<one@example.org>
    """)
    assert len(scan.entries) == 1
    assert len(scan.mails) == 0


def test_a_ghost_s_queue_id_used_again_is_a_new_life(read: Read) -> None:
    """P12: The mail that never was doesn't swallow the next one of its ID."""
    scan = read(f"""
        10:00:00 postfix/smtpd[10]: 1E24012D687: client=mail.example.net[203.0.113.99]
        10:05:00 postfix/cleanup[11]: 1E24012D687: message-id=<ghost@example.net>
        {inbound("1E24012D687", 420)}
    """)
    assert len(scan.entries) == 2
    assert (mail(scan).client, mail(scan).message_id) == ("mail.example.org", "<one@example.org>")


def test_a_bounce_that_gets_an_aborted_transaction_s_queue_id_is_not_that_client_s(read: Read) -> None:
    """P12: Nothing opens a bounce but cleanup; by its deliveries' delay it began long after the client left."""
    scan = read(f"""
        10:00:00 postfix/smtpd[10]: 1A00000C11: client=mail.example.net[203.0.113.99]
        10:09:00 postfix/cleanup[11]: 1A00000C11: message-id=<20260304100900.1A00000C11@mx1.example.com>
        10:09:00 postfix/qmgr[12]: 1A00000C11: from=<>, size=3000, nrcpt=1 (queue active)
        10:09:01 postfix/smtp[15]: 1A00000C11: {to("sam@example.org", FAR, "250 Ok", delay=0.8)}
        10:09:01 postfix/qmgr[12]: 1A00000C11: removed
    """)
    assert len(scan.entries) == 2
    assert (str(mail(scan).origin), mail(scan).delivered) == ("generated", 1)


@pytest.mark.parametrize("seconds", [0, 1, 3, 5])
@pytest.mark.parametrize("queued", [0, 1])
def test_a_pickup_line_may_come_after_cleanup_s(read: Read, seconds: int, queued: int) -> None:
    """P13: By up to five seconds under load, and after qmgr's line too."""
    scan = read(f"""
        10:00:00 postfix/cleanup[11]: 1E24012D687: message-id=<20260304100000.1E24012D687@mx1.example.com>
        10:00:0{queued} postfix/qmgr[12]: 1E24012D687: from=<root@example.com>, size=500, nrcpt=1 (queue active)
        10:00:0{seconds} postfix/pickup[9]: 1E24012D687: uid=0 from=<root>
        10:00:07 postfix/lmtp[13]: 1E24012D687: {saved("alice@example.com", delay=7)}
        10:00:07 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert len(scan.entries) == 1
    assert (mail(scan).origin, mail(scan).delivered) == ("local", 1)


# -- what is not a mail, or not another one (P11, P14, P15, P19, P22) --------------------------------------------------


def test_an_aborted_transaction_is_no_mail_though_it_shows_a_client_and_a_login(read: Read) -> None:
    """P11: client= and sasl_username without a queued mail."""
    scan = read("""
        10:00:00 postfix/smtpd[10]: connect from desk.example.com[192.0.2.7]
        10:00:00 postfix/smtpd[10]: D155CDC24C3: client=desk.example.com[192.0.2.7], sasl_method=PLAIN,
            sasl_username=bob@example.com
        10:00:01 postfix/smtpd[10]: D155CDC24C3: reject: RCPT from desk.example.com[192.0.2.7]: 450 4.7.1
            <zoe@example.net>: Recipient address rejected: try later; from=<bob@example.com> to=<zoe@example.net>
            proto=ESMTP helo=<desk>
        10:00:01 postfix/smtpd[10]: disconnect from desk.example.com[192.0.2.7] ehlo=1 auth=1 mail=1 rcpt=1/2 rset=1 quit=1
            commands=6/7
    """)
    assert len(scan.mails) == 0
    assert counts(scan)["rejected"] == 1


def test_a_rejection_by_a_milter_at_the_end_of_a_mail_is_one_rejection_and_no_mail(read: Read) -> None:
    """P14: The line may stand there twice, a second apart."""
    reject = """postfix/cleanup[11]: 1E24012D687: milter-reject: END-OF-MESSAGE from mail.example.org[203.0.113.26]: 5.7.1
            Spam message rejected; from=<sam@example.org> to=<alice@example.com> proto=ESMTP helo=<mail.example.org>"""
    scan = read(f"""
        10:00:00 postfix/smtpd[10]: 1E24012D687: client=mail.example.org[203.0.113.26]
        10:00:00 postfix/cleanup[11]: 1E24012D687: message-id=<one@example.org>
        10:00:01 {reject}
        10:00:02 {reject}
    """)
    assert len(scan.mails) == 0
    assert counts(scan)["rejected"] == 1


def test_a_message_id_logged_twice_is_one_life(read: Read) -> None:
    """P15: A milter that edits headers lets cleanup speak twice."""
    text = inbound("1E24012D687")
    line = "10:00:00 @mx1 postfix/cleanup[11]: 1E24012D687: message-id=<one@example.org>"
    scan = read(text.replace(line, f"{line}\n{line}"))
    assert len(scan.entries) == 1
    assert mail(scan).delivered == 1


def test_a_message_id_logged_again_later_is_one_life(read: Read) -> None:
    """P15: Seconds later too, when the milter is slow."""
    line = "10:00:04 @mx1 postfix/cleanup[11]: 1E24012D687: message-id=<one@example.org>"
    scan = read(
        opened("1E24012D687")
        + line
        + f"\n10:00:05 postfix/lmtp[13]: 1E24012D687: {saved('alice@example.com', delay=5)}"
    )
    assert len(scan.entries) == 1


def test_a_repeated_line_of_a_delivery_is_one_delivery(read: Read) -> None:
    """P19: rsyslog's `message repeated` tells of logging, not of mail."""
    text = f"1E24012D687: {saved('alice@example.com', 'SessionOneAAAAAAAAAAAA')}"
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:00 postfix/lmtp[13]: {text}
        10:00:00 postfix/lmtp[13]: message repeated 3 times: [ {text}]
        10:00:00 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert (mail(scan).delivered, mail(scan).recipients) == (1, 1)
    assert finals(scan) == [("1E24012D687", "alice@example.com")]
    assert duplicates(scan) == []


def test_a_log_written_twice_into_one_file_delivers_nothing_twice(read: Read) -> None:
    """P19: Two rules that write one file: each line stands there twice."""
    doubled = "".join(line + "\n" + line + "\n" for line in iso(through_amavis()).splitlines())
    scan = read(doubled, raw=True)
    assert (len(scan.entries), mail(scan).delivered) == (2, 2)


def test_rejections_of_one_session_are_counted_each_and_a_filter_action_is_none(read: Read) -> None:
    """P22: NOQUEUE lines are recipients refused; `triggers FILTER` refuses nothing."""
    refused = """postfix/smtpd[10]: NOQUEUE: reject: RCPT from unknown[203.0.113.9]: 550 5.1.1 <{who}@example.com>: Recipient
            address rejected: User unknown; from=<sam@example.org> to=<{who}@example.com> proto=ESMTP helo=<h>"""
    scan = read(f"""
        10:00:00 {refused.format(who="x")}
        10:00:00 {refused.format(who="y")}
        10:00:01 postfix/smtpd[10]: NOQUEUE: filter: RCPT from unknown[203.0.113.9]: <alice@example.com>: Recipient address
            triggers FILTER lmtp:unix:/run/dspam/dspam.sock; from=<sam@example.org> to=<alice@example.com> proto=ESMTP helo=<h>
    """)
    assert counts(scan)["rejected"] == 2
    assert len(scan.mails) == 0


def test_an_address_probe_is_no_mail(read: Read) -> None:
    """`deliverable` answers a question; nothing is delivered."""
    scan = read(f"""
        10:00:00 postfix/cleanup[11]: 1E24012D687: message-id=<20260304100000.1E24012D687@mx1.example.com>
        10:00:00 postfix/qmgr[12]: 1E24012D687: from=<double-bounce@mx1.example.com>, size=300, nrcpt=1 (queue active)
        10:00:01 postfix/smtp[15]: 1E24012D687: {to("zoe@example.net", FAR, "250 Ok", status="deliverable")}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert len(scan.mails) == 0
    assert finals(scan) == []


# -- attempts and ends (P17, P18) --------------------------------------------------------------------------------------


def test_a_deferred_mail_that_is_sent_later_is_delivered_and_nothing_else(read: Read) -> None:
    """P17: Only the last attempt counts, and the delay counts from arrival."""
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:30 postfix/smtp[15]: 1E24012D687: {to("zoe@example.net", FAR, "connect: timed out", delay=30, status="deferred")}
        10:10:00 postfix/qmgr[12]: 1E24012D687: from=<sam@example.org>, size=1000, nrcpt=1 (queue active)
        10:10:00 postfix/error[15]: 1E24012D687: {to("zoe@example.net", "none", "suspended", delay=600, status="deferred")}
        10:30:00 postfix/qmgr[12]: 1E24012D687: from=<sam@example.org>, size=1000, nrcpt=1 (queue active)
        10:30:01 postfix/smtp[15]: 1E24012D687: {to("zoe@example.net", FAR, "250 Ok", delay=1801)}
        10:30:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert (mail(scan).delivered, mail(scan).deferred, mail(scan).recipients) == (1, 0, 1)
    assert scan.deliveries.sort_values("time")["last"].tolist() == [False, False, True]


def test_an_expired_mail_is_expired_and_neither_bounced_nor_deferred(read: Read) -> None:
    """P17: `status=expired, returned to sender` ends what was deferred."""
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:30 postfix/smtp[15]: 1E24012D687: {to("zoe@example.net", FAR, "timed out", delay=30, status="deferred")}
        10:40:00 postfix/smtp[15]: 1E24012D687: {to("zoe@example.net", FAR, "timed out", delay=2400, status="deferred")}
        10:40:00 postfix/qmgr[12]: 1E24012D687: from=<sam@example.org>, status=expired, returned to sender
        10:40:00 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert (mail(scan).expired, mail(scan).bounced, mail(scan).deferred, mail(scan).delivered) == (1, 0, 0, 0)
    assert mail(scan).deferrals == 2


def test_a_soft_bounce_is_deferred(read: Read) -> None:
    """soft_bounce turns what would bounce into another try."""
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:30 postfix/smtp[15]: 1E24012D687: {to("zoe@example.net", FAR, "550 no such user", delay=30, status="SOFTBOUNCE")}
    """)
    assert (mail(scan).deferred, mail(scan).bounced, mail(scan).delivered, mail(scan).open) == (1, 0, 0, True)


def test_a_mail_from_before_the_log_is_labelled_so_and_not_called_senderless(read: Read) -> None:
    """P18: Its sender is unknown, which isn't an empty one."""
    scan = read(f"""
        10:00:01 postfix/lmtp[13]: 1E24012D687: {saved("alice@example.com", delay=600)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert (bool(mail(scan).opened_before), mail(scan).origin, mail(scan).delivered) == (True, "unknown", 1)
    assert pd.isna(mail(scan).sender)


def test_a_mail_in_the_queue_at_the_log_s_end_is_still_open(read: Read) -> None:
    """P18: Not vanished, not lost: open."""
    scan = read(opened("1E24012D687"))
    assert (bool(mail(scan).open), bool(mail(scan).opened_before), mail(scan).delivered) == (True, False, 0)


def test_a_child_in_the_queue_keeps_its_mail_open(read: Read) -> None:
    """P18: The filter took it, and what came out is still on its way."""
    scan = read(
        f"""
        {opened("1E24012D687")}
        {opened("1A00000C11", 1, client=LOCAL)}
        10:00:01 postfix/lmtp[14]: 1E24012D687: {judged("alice@example.com", delay=1.2, d=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """
        + "".join(through(f"1F00{n:04X}", f"1F10{n:04X}", 60 + n) for n in range(3))
    )
    first = scan.mails.iloc[0]
    assert (first.queue_id, first.lives, bool(first.open)) == ("1E24012D687", 2, True)
    assert not scan.mails["open"].iloc[1:].any()


def through(parent: str, child: str, second: int) -> str:
    """Return a mail through DSPAM to alice."""
    ident = f"<{parent}@example.org>"
    return f"""
        {opened(parent, second, ident=ident)}
        {inbound(child, second, client=LOCAL, ident=ident)}
        {clock(second)} postfix/lmtp[14]: {parent}: {judged("alice@example.com")}
        {clock(second)} postfix/qmgr[12]: {parent}: removed
    """


def test_a_child_whose_parent_came_before_the_log_doesn_t_become_a_local_script_s_mail(read: Read) -> None:
    """P18: XFORWARD's orig_client tells that it came from outside."""
    scan = read(inbound("1A00000C11", client=f"{LOCAL}, orig_queue_id=1E24012D687, orig_client={OUTER}"))
    assert (mail(scan).origin, mail(scan).client_address) == ("outside", "203.0.113.26")


def test_a_requeued_mail_is_the_same_mail(read: Read) -> None:
    """postsuper -r gives a new queue ID; pickup names the old one."""
    scan = read(f"""
        {opened("1E24012D687")}
        10:01:00 postfix/postsuper[40]: 1E24012D687: requeued
        10:01:01 postfix/pickup[9]: 1A00000C11: uid=105 from=<sam@example.org> orig_id=1E24012D687
        10:01:01 postfix/cleanup[11]: 1A00000C11: message-id=<one@example.org>
        10:01:01 postfix/qmgr[12]: 1A00000C11: from=<sam@example.org>, size=1000, nrcpt=1 (queue active)
        10:01:02 postfix/lmtp[13]: 1A00000C11: {saved("alice@example.com", delay=62)}
        10:01:02 postfix/qmgr[12]: 1A00000C11: removed
    """)
    assert legs(scan) == [("1E24012D687", "1A00000C11", "requeue", "orig_id")]
    assert (mail(scan).origin, mail(scan).delivered, bool(mail(scan).open)) == ("outside", 1, False)


def test_killed_processes_leave_their_mails_and_their_sessions_alone(read: Read) -> None:
    """P23: A new process with an old one's PID starts anew."""
    scan = read(f"""
        {inbound("1E24012D687")}
        10:01:00 postfix/master[1]: reload -- version 3.7.11, configuration /etc/postfix
        10:01:01 postfix/smtpd[10]: connect from mail.example.net[203.0.113.99]
        {inbound("1A00000C11", 61, client="mail.example.net[203.0.113.99]", ident="<two@example.net>")}
    """)
    assert scan.mails["client"].tolist() == ["mail.example.org", "mail.example.net"]


def test_tls_lines_belong_to_no_queue_id(read: Read) -> None:
    """P25: They stand before the mail, under the same PID."""
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:01 postfix/smtp[15]: Trusted TLS connection established to mx.example.net[203.0.113.200]:25: TLSv1.3 with
            cipher TLS_AES_256_GCM_SHA384 (256/256 bits)
        10:00:01 postfix/smtp[15]: 1E24012D687: {to("zoe@example.net", FAR, "250 Ok")}
    """)
    assert len(scan.entries) == 1
    assert scan.sessions.loc[scan.sessions["event"] == "tls", "pid"].tolist() == [15]


# -- mailboxes (P28, P34) ----------------------------------------------------------------------------------------------


def stored(user: str, session: str, ident: str = "<one@example.org>", folder: str = "INBOX") -> str:
    return f"dovecot: lmtp({user})<77><{session}>: sieve: msgid={ident}: stored mail into mailbox '{folder}'"


@pytest.mark.parametrize("suffix", [":R2", ":2"])
def test_dovecot_s_session_joins_each_recipient_to_its_mailbox(read: Read, suffix: str) -> None:
    """P28: The second recipient of a transaction has the same session with a suffix, on both sides."""
    one, two = "IkiQKTt117kJgAAWP5HkgA", f"IkiQKTt117kJgAAWP5HkgA{suffix}"
    scan = read(f"""
        {opened("1E24012D687", n=2)}
        10:00:00 {stored("alice@example.com", one)}
        10:00:00 {stored("bob@example.com", two, folder="Junk")}
        10:00:00 postfix/lmtp[13]: 1E24012D687: {saved("alice@example.com", one)}
        10:00:00 postfix/lmtp[13]: 1E24012D687: {saved("bob+list@example.com", two)}
        10:00:00 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert sorted(zip(scan.deliveries["mailbox"], scan.deliveries["folder"], strict=True)) == [
        ("alice@example.com", "INBOX"),
        ("bob@example.com", "Junk"),
    ]
    assert duplicates(scan) == []


def test_two_addresses_of_one_mailbox_in_one_transaction_are_one_copy(read: Read) -> None:
    """P34: Two orig_to lead to one `to`; Dovecot stores it once and says so by one session."""
    session = "IkiQKTt117kJgAAWP5HkgA"
    scan = read(f"""
        {opened("1E24012D687", n=2)}
        10:00:00 {stored("alice@example.com", session)}
        10:00:00 postfix/lmtp[13]: 1E24012D687: {saved("alice@example.com", session, orig="sales@example.com")}
        10:00:00 postfix/lmtp[13]: 1E24012D687: {saved("alice@example.com", session, orig="root@example.com")}
        10:00:00 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert duplicates(scan) == []
    assert sorted(scan.deliveries["original_recipient"]) == ["root@example.com", "sales@example.com"]


def test_two_addresses_of_one_mailbox_stored_twice_are_two_copies(read: Read) -> None:
    """P34: Two sessions are two copies."""
    one, two = "IkiQKTt117kJgAAWP5HkgA", "IkiQKTt117kJgAAWP5HkgB"
    scan = read(f"""
        {opened("1E24012D687", n=2)}
        10:00:00 {stored("alice@example.com", one)}
        10:00:00 {stored("alice@example.com", two)}
        10:00:00 postfix/lmtp[13]: 1E24012D687: {saved("alice@example.com", one, orig="sales@example.com")}
        10:00:00 postfix/lmtp[13]: 1E24012D687: {saved("alice@example.com", two, orig="root@example.com")}
        10:00:00 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert duplicates(scan) == [("overlapping-aliases", "alice@example.com", 2)]


def test_a_sieve_redirect_is_one_mail_with_the_one_it_came_from(read: Read) -> None:
    """The redirected mail is handed in on this host, with the same message-id, for the address that Dovecot names."""
    session = "IkiQKTt117kJgAAWP5HkgA"
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:00 dovecot: lmtp(alice@example.com)<77><{session}>: sieve: msgid=<one@example.org>: forwarded to <zoe@example.net>
        10:00:00 postfix/lmtp[13]: 1E24012D687: {saved("alice@example.com", session)}
        10:00:00 postfix/qmgr[12]: 1E24012D687: removed
        10:00:01 postfix/pickup[9]: 1A00000C11: uid=5000 from=<sam@example.org>
        10:00:01 postfix/cleanup[11]: 1A00000C11: message-id=<one@example.org>
        10:00:01 postfix/qmgr[12]: 1A00000C11: from=<sam@example.org>, size=1200, nrcpt=1 (queue active)
        10:00:02 postfix/smtp[15]: 1A00000C11: {to("zoe@example.net", FAR, "250 Ok", delay=1)}
        10:00:02 postfix/qmgr[12]: 1A00000C11: removed
    """)
    assert legs(scan) == [("1E24012D687", "1A00000C11", "redirect", "sieve")]
    assert (mail(scan).lives, mail(scan).origin) == (2, "outside")


# -- several hosts -----------------------------------------------------------------------------------------------------


def relayed() -> tuple[str, str]:
    """Return the logs of a gateway and of the server behind it, which is one mail."""
    reply = "250 2.0.0 Ok: queued as 4dhRlh0sf8z9HdB"
    gateway = f"""
        {opened("1E24012D687", host="gw")}
        10:00:01 @gw postfix/smtp[15]: 1E24012D687:
            {to("alice@example.com", "mx1.example.com[192.0.2.10]:25", reply, delay=1, d=1)}
        10:00:01 @gw postfix/qmgr[12]: 1E24012D687: removed
    """
    return gateway, inbound("4dhRlh0sf8z9HdB", 1, client="gw.example.com[192.0.2.5]")


def test_a_relay_chain_over_two_own_hosts_is_one_mail(read: Read) -> None:
    """The next host's ID is in the log too, with the same message-id."""
    scan = read(*relayed())
    assert legs(scan) == [("1E24012D687", "4dhRlh0sf8z9HdB", "relay", "queued as")]
    assert (mail(scan).delivered, mail(scan).host, mail(scan).lives) == (1, "gw", 2)
    assert finals(scan) == [("4dhRlh0sf8z9HdB", "alice@example.com")]


def test_hosts_may_be_read_in_any_order_or_merged(read: Read) -> None:
    """Neither files nor lines of different hosts have an order."""
    gateway, server = relayed()
    expected = legs(read(gateway, server))
    lines = iso(gateway + server).splitlines(keepends=True)
    random.Random(3).shuffle(lines)
    merged = "".join(sorted(lines, key=lambda line: line[:19]))
    assert legs(read(server, gateway)) == legs(read(gateway + server)) == legs(read(merged, raw=True)) == expected


def test_host_alias_gives_one_host_s_two_names_one_queue(read: Read) -> None:
    """A host whose name changed in mid-mail is one host."""
    text = iso(inbound("1E24012D687")).replace("mx1 postfix/lmtp", "mx1.example.com postfix/lmtp")
    scan = read(text, raw=True, options=Options(host_aliases={"mx1.example.com": "mx1"}))
    assert (len(scan.entries), mail(scan).delivered) == (1, 1)


# -- texts that strangers write (P16, P34) -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        '"a,b; c"@example.com',
        '"two words"@example.com',
        '"x>, relay=evil"@example.com',
        "o'brien@example.com",
        "käthe@example.com",
    ],
)
def test_addresses_hold_quotes_commas_and_blanks_and_are_followed_all_the_same(read: Read, address: str) -> None:
    """A local part may look like the fields around it."""
    scan = read(f"""
        {opened("1E24012D687", sender=address)}
        {inbound("1A00000C11", 1, client=LOCAL, recipient=address, sender=address)}
        10:00:01 postfix/lmtp[14]: 1E24012D687: {judged(address, delay=1.2, d=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert hops(scan) == [("1E24012D687", "1A00000C11")]
    assert finals(scan) == [("1A00000C11", address)]
    assert mail(scan).sender == address


@pytest.mark.parametrize(
    "reply",
    [
        "host mx.example.net[203.0.113.200] said: 450 4.7.1 status=sent (queued as 1A00000C11) (in reply to RCPT TO command)",
        "host mx.example.net[203.0.113.200] said: 450 to=<eve@example.com>, relay=local, status=sent (delivered to mailbox)",
        "lost connection; 1A00000C11: client=localhost[127.0.0.1], sasl_username=eve@example.com",
    ],
)
def test_a_remote_server_s_reply_can_t_forge_a_delivery_or_a_leg(read: Read, reply: str) -> None:
    """Replies are a stranger's text, whatever they look like."""
    scan = read(f"""
        {opened("1E24012D687")}
        {inbound("1A00000C11", 0, ident="<two@example.org>")}
        10:00:01 postfix/smtp[15]: 1E24012D687: {to("zoe@example.net", FAR, reply, delay=1, d=1, status="deferred")}
    """)
    assert legs(scan) == []
    assert finals(scan) == [("1A00000C11", "alice@example.com")]
    assert scan.deliveries.loc[scan.deliveries["queue_id"] == "1E24012D687", "status"].tolist() == ["deferred"]


def test_a_mail_can_t_come_out_of_itself(read: Read) -> None:
    """Garbled or hostile lines make no circle."""
    scan = read(f"""
        {opened("1E24012D687", client=f"{LOCAL}, orig_queue_id=1A00000C11")}
        {opened("1A00000C11", client=f"{LOCAL}, orig_queue_id=1E24012D687")}
        {opened("1A00000C22", client=f"{LOCAL}, orig_queue_id=1A00000C22")}
    """)
    assert legs(scan) == []
    assert len(scan.mails) == 3


# -- clocks and envelopes (P29 to P33) ---------------------------------------------------------------------------------


def bsd(text: str, year: int = 2026) -> str:
    """Return the lines in traditional form."""
    out = []
    for line in iso(text).splitlines():
        stamp, rest = line.split(" ", 1)
        month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[
            int(stamp[5:7]) - 1
        ]
        out.append(f"{month} {int(stamp[8:10]):2d} {stamp[11:19]} {rest}\n")
    return "".join(out)


def test_a_mail_over_new_year_is_one_mail_of_a_minute(read: Read) -> None:
    """P29: Traditional stamps have no year; January after December is the next one."""
    scan = read(
        bsd(f"""
        2026-12-31 23:59:59 postfix/smtpd[10]: 1E24012D687: client=mail.example.org[203.0.113.26]
        2026-12-31 23:59:59 postfix/cleanup[11]: 1E24012D687: message-id=<one@example.org>
        2027-01-01 00:00:00 postfix/qmgr[12]: 1E24012D687: from=<sam@example.org>, size=1000, nrcpt=1 (queue active)
        2027-01-01 00:00:30 postfix/lmtp[13]: 1E24012D687: {saved("alice@example.com", delay=31)}
        2027-01-01 00:00:30 postfix/qmgr[12]: 1E24012D687: removed
        """),
        raw=True,
        year=2026,
        timezone="UTC",
    )
    assert mail(scan).last - mail(scan).first == pd.Timedelta(seconds=31)


def test_the_hour_that_repeats_in_autumn_tears_no_mail_apart(read: Read) -> None:
    """P30: 02:59:50 is followed by 02:00:05, fifteen seconds later."""
    scan = read(
        bsd(f"""
        2026-10-25 02:59:50 postfix/smtpd[10]: 1E24012D687: client=mail.example.org[203.0.113.26]
        2026-10-25 02:59:50 postfix/cleanup[11]: 1E24012D687: message-id=<one@example.org>
        2026-10-25 02:59:50 postfix/qmgr[12]: 1E24012D687: from=<sam@example.org>, size=1000, nrcpt=1 (queue active)
        2026-10-25 02:00:05 postfix/lmtp[13]: 1E24012D687: {saved("alice@example.com", delay=15)}
        2026-10-25 02:00:05 postfix/qmgr[12]: 1E24012D687: removed
        """),
        raw=True,
        year=2026,
        timezone="Europe/Berlin",
    )
    assert len(scan.entries) == 1
    assert mail(scan).last - mail(scan).first == pd.Timedelta(seconds=15)


def test_months_in_the_server_s_language_are_refused_and_counted(read: Read) -> None:
    """P31: `Απρ 15 12:20:28` is no stamp that is known; such lines are counted, and the others read."""
    foreign = bsd(inbound("1E24012D687")).replace("Mar  4", "Μαρ  4")
    scan = read(
        foreign + bsd(inbound("1A00000C11", 10, ident="<two@example.org>")), raw=True, year=2026, timezone="UTC"
    )
    assert len(scan.mails) == 1
    assert sum(source.undecodable for source in scan.sources) == foreign.count("\n")


def test_a_cut_line_takes_no_other_with_it(read: Read) -> None:
    """P32: Two lines merged into one cost these two and no more."""
    broken = (
        f"{DAY}T10:00:05+00:00 mx1 postfix/smtpd[10]: 1F3D3530C4: client=localhost[127.0.0.1]Jun  9 00:26:01 mx1 pos\n"
    )
    scan = read(
        iso(inbound("1E24012D687")) + broken + iso(inbound("1A00000C11", 10, ident="<two@example.org>")), raw=True
    )
    assert len(finals(scan)) == len(scan.mails) == 2


@pytest.mark.parametrize("prefix", ["postfix-mailcow-1  | ", "postfix-mailcow-1 | "])
def test_a_container_s_prefix_is_no_part_of_the_line(read: Read, prefix: str) -> None:
    """P33: docker compose puts the container before each line."""
    text = "".join(prefix + line + "\n" for line in bsd(inbound("1E24012D687")).splitlines())
    assert mail(read(text, raw=True, year=2026, timezone="UTC")).delivered == 1


def test_a_line_wrapped_by_docker_s_syslog_keeps_its_own_program(read: Read) -> None:
    """P33: Two stamps, the inner one is Postfix' own."""
    text = "".join(f"Mar  4 11:00:09 dock docker[32360]: {line}\n" for line in bsd(inbound("1E24012D687")).splitlines())
    assert mail(read(text, raw=True, year=2026, timezone="UTC")).delivered == 1


# -- port 25 (P35) -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("services", "verdict"), [({}, "blind"), ({"postfix": 25}, "found"), ({"postfix": 587}, "clear")]
)
def test_a_login_on_plain_smtpd_is_no_proof_of_port_25(read: Read, services: dict[str, int], verdict: str) -> None:
    """P35: Without a named submission service, or being told, the port isn't known."""
    client = "desk.example.com[192.0.2.7], sasl_method=PLAIN, sasl_username=bob@example.com"
    scan = read(inbound("1E24012D687", client=client, sender="bob@example.com"), options=Options(services=services))
    report = logscan.analyse(scan, checks=["authenticated-port-25"])
    assert [check.verdict for check in report.checks] == [verdict]


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_names_every_pitfall_and_every_test(checkout: Path) -> None:
    """docs/correlation.md is complete, and no test that it names is gone."""
    page = (checkout / "docs" / "correlation.md").read_text("utf-8")
    rows = {line.split()[1] for line in page.splitlines() if line.startswith("| P")}
    named = set(re.findall(r"`(test_\w+)`", page))
    here = {name for name in globals() if name.startswith("test_")} - {
        "test_the_page_names_every_pitfall_and_every_test"
    }
    assert rows == {f"P{n}" for n in range(1, 36)}
    assert here <= named
    there = {
        name
        for path in (checkout / "tests").glob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert named <= there
