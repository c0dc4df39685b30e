"""What became of each mail: vanished or waiting, one or two, in a mailbox or not; by genuine stories and by small logs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_field_correlation import directions, ends
from test_pitfalls import Read, clock, inbound, iso, judged, opened, read, saved, to
from test_queue_listing import RELAY, lines
from test_simulated import check_accounts

import logscan
from benchmarks.accuracy import became, counted, sent, truth_of
from logscan.report.accounts import ENDS
from logscan.report.accounts import ends as account

__all__ = ["read"]

LAB = Path(__file__).parent / "data" / "lab"


@pytest.mark.parametrize("name", ["forwarding-and-lists", "mail-stuck", "mail-vanished", "multi-instance"])
def test_each_mail_of_a_story_became_what_it_truly_became(name: str) -> None:
    """Taken, in mailboxes, outside, returned, waiting: per message-id."""
    truth = truth_of(LAB / name)
    sends = sent(truth)
    scan = logscan.read(LAB / name, jobs=1)
    check_accounts(scan)
    true, told = became(truth, sends), counted(scan, sends)
    assert {key: +true[key] for key in true} == {key: +told.get(key, Counter()) for key in true}


def test_without_the_queue_s_listing_what_was_removed_by_hand_waits() -> None:
    """The log alone can't tell it; what a crash took is known all the same."""
    scan = logscan.read(LAB / "mail-vanished" / "mail.log.gz", jobs=1)
    endings = scan.entries["ending"].value_counts()
    assert (endings["vanished"], endings["queued"], endings["held"], endings["deleted"]) == (5, 6, 2, 4)


# -- lists ---------------------------------------------------------------------------------------------------------------


def list_mail(second: int, children: str, *, program: str = "local", relay: str = "local", reply: str = "") -> str:
    reply = reply or "delivered to command: /opt/lists/post birds"
    return f"""
        {opened("1E24012D687", sender="ann@nest.example")}
        10:00:01 postfix/{program}[14]: 1E24012D687: {to("birds@lists.example", relay, reply, delay=1)}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
        {children}
    """


def member(
    queue_id: str, second: int, recipient: str, *, opener: str, sender: str = "birds-owner@lists.example"
) -> str:
    at = f"10:{second // 60:02d}:{second % 60:02d}"
    return f"""
        {at} postfix/{opener.format(queue_id=queue_id)}
        {at} postfix/cleanup[11]: {queue_id}: message-id=<one@example.org>
        {at} postfix/qmgr[12]: {queue_id}: from=<{sender}>, size=1100, nrcpt=1 (queue active)
        {at} postfix/smtp[15]: {queue_id}: {to(recipient, RELAY, "250 ok")}
        {at} postfix/qmgr[12]: {queue_id}: removed
    """


PICKUP = "pickup[9]: {queue_id}: uid=38 from=<birds-owner@lists.example>"
LOOPBACK = "smtpd[16]: {queue_id}: client=localhost[127.0.0.1]"


COMMAND = "delivered to command: /opt/lists/post birds"
QUOTED = 'delivered to command: "|/usr/lib/mailman/mail/mailman post birds"'


@pytest.mark.parametrize(
    ("program", "relay", "reply", "opener"),
    [
        ("local", "local", COMMAND, PICKUP),
        ("local", "local", COMMAND, LOOPBACK),
        ("local", "local", QUOTED, PICKUP),
        ("pipe", "mailman", "delivered via mailman service", PICKUP),
        ("pipe", "mailman", "delivered via mailman service", LOOPBACK),
        # What comes from a mailbox server by sendmail is a script's.
        ("lmtp", "127.0.0.1[127.0.0.1]:8024", "250 Ok", LOOPBACK),
    ],
)
def test_a_list_is_one_mail_with_what_its_program_sent_on(
    read: Read, opener: str, program: str, relay: str, reply: str
) -> None:
    children = member("1A00000C11", 3, "bob@far.example", opener=opener) + member(
        "1A00000C22", 90, "eve@far.example", opener=opener
    )
    scan = read(list_mail(0, children, program=program, relay=relay, reply=reply))
    assert list(scan.legs["kind"]) == ["list", "list"]
    assert (len(scan.mails), ends(scan), directions(scan)) == (1, {"delivered": 2}, {"forwarded": 1})
    check_accounts(scan)


def test_what_a_moderator_let_through_later_or_another_mail_is_none_of_the_list_s(read: Read) -> None:
    late = member("1A00000C11", 1500, "bob@far.example", opener=PICKUP)
    assert len(read(list_mail(0, late)).mails) == 2
    other = member("1A00000C11", 3, "bob@far.example", opener=PICKUP).replace("<one@", "<other@")
    assert len(read(list_mail(0, other)).mails) == 2


def test_a_mailbox_server_s_mail_is_no_list_s_where_its_sender_stays(read: Read) -> None:
    """A cron job may send one message to a mailbox here and to somebody elsewhere."""
    text = inbound("1E24012D687", recipient="birds@lists.example", sender="ann@nest.example")
    again = member("1A00000C11", 3, "bob@far.example", opener=LOOPBACK, sender="ann@nest.example")
    assert len(read(text + again).legs) == 0


def test_a_program_or_dev_null_is_no_mailbox_and_not_outside(read: Read) -> None:
    scan = read(f"""
        {opened("1E24012D687", n=2)}
        10:00:01 postfix/local[14]: 1E24012D687: {to("robot@lists.example", "local", "delivered to command: /srv/bot")}
        10:00:01 postfix/local[14]: 1E24012D687: {to("void@lists.example", "local", "delivered to file: /dev/null")}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    rows = scan.deliveries
    assert (rows["mailbox"].notna().tolist(), rows["outside"].tolist()) == ([False, True], [False, False])
    assert ends(scan) == {"delivered": 1, "discarded": 1}


# -- instances -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        "250 2.0.0 Ok: queued as 2B00000D33",
        "250 2.0.0 Ok: 4711 bytes queued as 2B00000D33",
        "250 Ok: queued as 2B00000D33",
    ],
)
@pytest.mark.parametrize("second", ["postfix-edge", "relayhost"])
def test_a_second_instance_is_the_next_server_and_no_filter(read: Read, reply: str, second: str) -> None:
    way = to("bob@far.example", "127.0.0.1[127.0.0.1]:2525", reply)
    scan = read(f"""
        {opened("1A00000C11", client="unknown[10.1.2.3], sasl_method=PLAIN, sasl_username=ann@nest.example")}
        10:00:00 {second}/smtpd[20]: 2B00000D33: client=localhost[127.0.0.1]
        10:00:00 {second}/cleanup[21]: 2B00000D33: message-id=<one@example.org>
        10:00:00 {second}/qmgr[22]: 2B00000D33: from=<sam@example.org>, size=1200, nrcpt=1 (queue active)
        10:00:00 postfix/smtp[13]: 1A00000C11: {way}
        10:00:00 postfix/qmgr[12]: 1A00000C11: removed
        10:00:02 {second}/smtp[23]: 2B00000D33: {to("bob@far.example", RELAY, "250 ok")}
        10:00:02 {second}/qmgr[22]: 2B00000D33: removed
    """)
    assert list(scan.legs["kind"]) == ["relay"]
    assert (len(scan.mails), ends(scan)) == (1, {"delivered": 1})


# -- late stamps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [0, 4, 9, 30, 55])
@pytest.mark.parametrize("upload", [0, 20])
def test_a_delivery_stamped_late_by_a_loaded_logger_is_of_the_same_life(read: Read, late: int, upload: int) -> None:
    scan = read(f"""
        10:00:00 postfix/smtpd[10]: 1E24012D687: client=mail.example.org[203.0.113.26]
        10:00:{upload:02d} postfix/cleanup[11]: 1E24012D687: message-id=<one@example.org>
        10:00:{upload:02d} postfix/qmgr[12]: 1E24012D687: from=<sam@example.org>, size=1000, nrcpt=1 (queue active)
        10:0{(upload + late) // 60}:{(upload + late) % 60:02d} postfix/lmtp[13]: 1E24012D687: {
        saved("al@example.com", delay=upload)
    }
        10:0{(upload + late) // 60}:{(upload + late) % 60:02d} postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert (len(scan.entries), len(scan.mails), ends(scan)) == (1, 1, {"delivered": 1})


def test_a_bounce_with_the_id_of_a_transaction_given_up_is_a_life_of_its_own(read: Read) -> None:
    scan = read("""
        10:00:00 postfix/smtpd[10]: 1E24012D687: client=mail.example.org[203.0.113.26]
        10:00:40 postfix/cleanup[11]: 1E24012D687: message-id=<20260304100040.1E24012D687@mx1>
        10:00:40 postfix/qmgr[12]: 1E24012D687: from=<>, size=2000, nrcpt=1 (queue active)
        10:00:41 postfix/smtp[15]: 1E24012D687: to=<ann@nest.example>, relay=none, delay=1, delays=0/0/1/0, dsn=4.4.1,
         status=deferred (connect to nest.example[198.51.100.9]:25: Connection timed out)
    """)
    assert len(scan.entries) == 2


# -- one mail though its lines differ ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pickup",
    [
        "10:05:00 postfix/pickup[9]: 1A00000C77: uid=110 from=<sam@example.org> orig_id=1A00000C11",
        "10:05:00 postfix/anvil[30]: statistics: max cache size 1 at Mar  4 09:00:00",
    ],
)
def test_a_mail_queued_again_is_one_mail_though_pickup_s_line_is_lost(read: Read, pickup: str) -> None:
    scan = read(f"""
        {lines("1A00000C11", "10:00:00", tries=("10:00:30",), ident="one")}
        10:04:40 postfix/postsuper[40]: 1A00000C11: requeued
        {pickup}
        10:05:00 postfix/cleanup[11]: 1A00000C77: message-id=<one@example.org>
        10:05:00 postfix/qmgr[12]: 1A00000C77: from=<sam@example.org>, size=1000, nrcpt=1 (queue active)
        10:05:01 postfix/smtp[15]: 1A00000C77: {to("bob@far.example", RELAY, "250 ok", delay=301)}
        10:05:01 postfix/qmgr[12]: 1A00000C77: removed
    """)
    assert list(scan.legs["kind"]) == ["requeue"]
    assert (len(scan.mails), ends(scan)) == (1, {"delivered": 1})


@pytest.mark.parametrize(
    "rewritten",
    ["SRS0=4wGj=JW=nest.example=ann@here.example", "SRS1=xy=mid.example==4wGj=JW=nest.example=ann@here.example"],
)
def test_a_filter_hands_back_a_mail_whose_sender_was_rewritten_meanwhile(read: Read, rewritten: str) -> None:
    """A sender rewritten behind the filter only, since the first cleanup maps no addresses."""
    scan = read(f"""
        {opened("1A00000C11", sender="ann@nest.example")}
        10:00:00 postfix/smtpd[20]: 2B00000D33: client=localhost[127.0.0.1]
        10:00:00 postfix/cleanup[21]: 2B00000D33: message-id=<one@example.org>
        10:00:00 postfix/qmgr[12]: 2B00000D33: from=<{rewritten}>, size=1300, nrcpt=1 (queue active)
        10:00:00 postfix/smtp[13]: 2B00000D33: {to("bob@far.example", RELAY, "250 ok")}
        10:00:00 postfix/qmgr[12]: 2B00000D33: removed
        10:00:00 postfix/lmtp[13]: 1A00000C11: {judged("bob@far.example")}
        10:00:00 postfix/qmgr[12]: 1A00000C11: removed
    """)
    assert list(scan.legs["kind"]) == ["filter"]
    assert ends(scan) == {"delivered": 1}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_what_lists_sent_on_belongs_to_the_mail_each_was_handed(read: Read, data: st.DataObject) -> None:
    """Many lists and mails at once, the lines of one second in any order: a forest as it was, whatever is alike."""
    text, truth = [], {}
    for n in range(data.draw(st.integers(1, 5))):
        start, ident = data.draw(st.integers(0, 200)), f"<m{n}@example.org>"
        parent = f"1A0000{n:02X}00"
        text += opened(parent, start, ident=ident, sender=f"ann{n}@nest.example").strip().splitlines()
        command = to(f"l{n}@lists.example", "local", f"delivered to command: /opt/lists/post l{n}", delay=1)
        text += [
            f"{clock(start + 1)} postfix/local[14]: {parent}: {command}",
            f"{clock(start + 1)} postfix/qmgr[12]: {parent}: removed",
        ]
        for k in range(data.draw(st.integers(0, 3))):
            child, second = f"1A0000{n:02X}{k + 1:02X}", start + 2 + data.draw(st.integers(0, 500))
            truth[child] = parent
            opener = data.draw(st.sampled_from([PICKUP, LOOPBACK]))
            text += (
                member(child, second, f"r{k}@far.example", opener=opener)
                .replace("<one@example.org>", ident)
                .strip()
                .splitlines()
            )
    shuffled = data.draw(st.permutations([line.strip() for line in text]))
    scan = read("\n".join(sorted(shuffled, key=lambda line: line[:8])))
    assert dict(zip(scan.legs["child_queue_id"], scan.legs["parent_queue_id"], strict=True)) == truth
    assert set(scan.legs["kind"]) <= {"list"}
    check_accounts(scan)


@pytest.mark.parametrize(
    ("service", "argv", "store"),
    [
        ("tickets", "/opt/desk/bin/take-mail --queue support", False),
        ("dovecot", "/usr/lib/dovecot/dovecot-lda -d ${recipient}", True),
        ("boxes", "/opt/own/put.py ${recipient}", True),
    ],
)
def test_what_a_pipe_calls_tells_a_program_from_a_mailbox(tmp_path: Path, service: str, argv: str, store: bool) -> None:
    """By master.cf: a delivery agent, or what virtual_transport names, has mailboxes."""
    (tmp_path / "main.cf").write_text("myhostname = mx1.example.com\nvirtual_transport = boxes\n")
    (tmp_path / "master.cf").write_text(
        f"smtp inet n - y - - smtpd\n{service} unix - n n - - pipe\n  flags=DRhu user=nobody argv={argv}\n"
    )
    (tmp_path / "mail.log").write_text(
        iso(f"""
            {opened("1E24012D687")}
            10:00:01 postfix/pipe[14]: 1E24012D687: {to("help@desk.example", service, f"delivered via {service} service")}
            10:00:01 postfix/qmgr[12]: 1E24012D687: removed
        """)
    )
    scan = logscan.read(tmp_path, jobs=1)
    row = scan.deliveries.iloc[0]
    assert (row["outside"], isinstance(row["mailbox"], str), ends(scan)) == (False, store, {"delivered": 1})
    kinds = {str(ENDS[int(kind)]) for kind in account(scan).kind}
    assert kinds == {"delivered" if store else "program"}


def boxed(queue_id: str, second: int, sender: str) -> str:
    """Return what a list sent on to a mailbox here."""
    at = clock(second)
    return f"""
        {at} postfix/pickup[9]: {queue_id}: uid=38 from=<{sender}>
        {at} postfix/cleanup[11]: {queue_id}: message-id=<one@example.org>
        {at} postfix/qmgr[12]: {queue_id}: from=<{sender}>, size=1100, nrcpt=1 (queue active)
        {at} postfix/lmtp[15]: {queue_id}: {saved("bob@example.com", f"Session{queue_id}")}
        {at} postfix/qmgr[12]: {queue_id}: removed
    """


@pytest.mark.parametrize(
    "sender", ["owner-{}@lists.example", "{}-bounces+bob=example.com@lists.example", "{}+owner@lists.example"]
)
def test_of_two_lists_each_sent_on_its_own_and_two_copies_are_by_design(read: Read, sender: str) -> None:
    command = "delivered to command: /opt/post "
    posts = "".join(
        f"10:00:01 postfix/local[14]: 1E24012D687: {to(f'{name}@lists.example', 'local', command + name)}\n"
        for name in ("birds", "fish")
    )
    children = boxed("1A00000C11", 3, sender.format("fish")) + boxed("1A00000C22", 3, sender.format("birds"))
    scan = read(f"{opened('1E24012D687', n=2)}{posts}10:00:01 postfix/qmgr[12]: 1E24012D687: removed\n{children}")
    row = scan.legs.set_index("child_queue_id")["delivery"]
    assert scan.deliveries["recipient"].iloc[row[["1A00000C11", "1A00000C22"]]].tolist() == [
        "fish@lists.example",
        "birds@lists.example",
    ]
    assert ends(scan) == {"delivered": 2}
    report = logscan.analyse(scan, checks=["duplicate-delivery"])
    assert [(f.cause, f.severity) for c in report.checks for f in c.findings] == [("by-list-and-directly", "note")]


@pytest.mark.parametrize(
    "rule",
    [
        "10:00:00 postfix/cleanup[11]: 1E24012D687: hold: header Subject: x from mail.example.org[203.0.113.26];"
        " from=<sam@example.org> to=<al@example.com> proto=ESMTP helo=<mail.example.org>",
        "10:00:00 postfix/cleanup[11]: 1E24012D687: milter-hold: END-OF-MESSAGE from mail.example.org[203.0.113.26]:"
        " milter triggers HOLD action; from=<sam@example.org> to=<al@example.com> proto=ESMTP helo=<mail.example.org>",
        "10:00:00 postfix/smtpd[10]: 1E24012D687: hold: RCPT from mail.example.org[203.0.113.26]: <al@example.com>: Recipient"
        " address triggers HOLD action; from=<sam@example.org> to=<al@example.com> proto=ESMTP helo=<mail.example.org>",
        "10:00:00 postfix/postsuper[40]: 1E24012D687: placed on hold",
    ],
)  # fmt: skip
def test_a_held_mail_is_one_and_a_deleted_one_waits_no_longer(read: Read, rule: str) -> None:
    taken = "\n".join(opened("1E24012D687").strip().splitlines()[:2])
    assert ends(read(f"{taken}\n{rule}")) == {"held": 1}
    deleted = "10:30:00 postfix/postsuper[40]: 1E24012D687: removed"
    assert ends(read(f"{taken}\n{rule}\n{deleted}")) == {"discarded": 1}
    released = f"""
        10:30:00 postfix/postsuper[40]: 1E24012D687: released from hold
        10:30:01 postfix/qmgr[12]: 1E24012D687: from=<sam@example.org>, size=1000, nrcpt=1 (queue active)
        10:30:01 postfix/lmtp[13]: 1E24012D687: {saved("al@example.com", delay=1801)}
        10:30:01 postfix/qmgr[12]: 1E24012D687: removed
    """
    assert ends(read(f"{taken}\n{rule}\n{released}")) == {"delivered": 1}
