"""Mail from elsewhere to elsewhere: a trusted host's own, a gateway's, or what an alias forwards."""

from __future__ import annotations

from pathlib import Path

from test_field_correlation import directions, field
from test_pitfalls import FAR, Read, iso, opened, read, saved, to

import logscan

__all__ = ["read"]


def sent_on(queue_id: str, second: int, client: str, sender: str, recipient: str, relay: str, orig: str = "") -> str:
    return f"""
        {opened(queue_id, second, client=client, sender=sender, ident=f"<{queue_id}.{sender}>")}
        10:00:{second:02d} postfix/smtp[14]: {queue_id}: {to(recipient, relay, "250 2.0.0 ok", orig=orig)}
        10:00:{second:02d} postfix/qmgr[12]: {queue_id}: removed
    """


def test_what_is_relayed_for_a_host_without_a_login_goes_out() -> None:
    assert directions(field("07-boky-postfix/plain.log")) == {"outbound": 1}


def test_hosts_of_ours_send_to_one_large_provider_by_its_one_next_hop(read: Read) -> None:
    hop = "mx.big.example[203.0.113.90]:25"
    scan = read(
        sent_on("1E24012D687", 1, "app[198.51.100.7]", "shop@example.com", "ann@big.example", hop)
        + sent_on("1E24012D688", 2, "web[198.51.100.8]", "form@example.com", "bob@big.example", hop)
        + sent_on("1E24012D689", 3, "web[198.51.100.8]", "form@example.com", "zoe@example.net", FAR)
    )
    assert directions(scan) == {"outbound": 3}


def test_a_gateway_takes_strangers_mail_for_a_domain_behind_it(read: Read) -> None:
    for hop in ("inner.example.com[10.0.0.5]:25", "store.example.com[198.51.100.20]:25"):
        scan = read(
            sent_on("1E24012D687", 1, "mx.one.example[203.0.113.7]", "ann@one.example", "al@example.com", hop)
            + sent_on("1E24012D688", 2, "mx.two.example[203.0.113.8]", "bob@two.example", "bo@example.com", hop)
        )
        assert directions(scan) == {"forwarded": 2}


def test_a_gateway_may_have_several_next_hops(read: Read) -> None:
    hops = ("mx1.example.com[198.51.100.20]:25", "mx2.example.com[198.51.100.21]:25")
    scan = read(
        "".join(
            sent_on(
                f"1E24012D68{n}", n, f"m.h{n}.example[203.0.113.{n}]", f"x@h{n}.example", "al@example.com", hops[n % 2]
            )
            for n in range(4)
        )
    )
    assert directions(scan) == {"forwarded": 4}


def test_two_programs_of_one_house_write_to_one_partner(read: Read) -> None:
    scan = read(
        sent_on("1E24012D687", 1, "app1.example.com[198.51.100.7]", "shop@example.com", "ann@example.net", FAR)
        + sent_on("1E24012D688", 2, "app2.example.com[198.51.100.8]", "crm@crm.example", "bob@example.net", FAR)
    )
    assert directions(scan) == {"outbound": 2}


def test_whom_a_policy_server_looked_at_is_no_host_of_ours(read: Read) -> None:
    looked = "10:00:01 policyd-spf[7]: prepend Received-SPF: Pass (mailfrom) identity=mailfrom; client-ip=203.0.113.7; \
        helo=mx.one.example; envelope-from=ann@one.example; receiver=al@example.com"
    hop = "store.example.com[198.51.100.20]:25"
    scan = read(
        looked + sent_on("1E24012D687", 1, "mx.one.example[203.0.113.7]", "ann@one.example", "al@example.com", hop)
    )
    assert directions(scan) == {"forwarded": 1}


def test_with_main_cf_nothing_is_guessed(tmp_path: Path) -> None:
    text = sent_on("1E24012D687", 1, "mx.one.example[203.0.113.7]", "ann@one.example", "al@example.com", FAR)
    (tmp_path / "mail.log").write_text(iso(text))
    (tmp_path / "main.cf").write_text("myhostname = mx1.example.com\nrelay_domains = hash:/etc/postfix/relay\n")
    assert directions(logscan.read(tmp_path, jobs=1)) == {"forwarded": 1}


def tried(queue_id: str, recipient: str, agent: str, reply: str, relay: str = "none", status: str = "deferred") -> str:
    return f"""
        {opened(queue_id, 1)}
        10:00:02 postfix/{agent}[14]: {queue_id}: {to(recipient, relay, reply, status=status)}
    """


def test_mail_that_the_filter_or_the_mailbox_server_didn_t_take_came_in(read: Read) -> None:
    scan = read(
        tried("1E24012D687", "al@one.example", "smtp", "connect to 127.0.0.1[127.0.0.1]:10024: Connection refused")
        + tried("1E24012D688", "bo@two.example", "lmtp", "connect to box.example[192.0.2.4]:7025: Connection refused")
        + tried(
            "1E24012D689",
            "cy@six.example",
            "lmtp",
            "host 10.0.0.5[10.0.0.5] said: 552 full",
            "10.0.0.5[10.0.0.5]:24",
            "bounced",
        )
    )
    assert directions(scan) == {"inbound": 3}


def test_what_a_script_throws_away_had_come_in(read: Read) -> None:
    scan = read(f"""
        {opened("1E24012D687")}
        10:00:01 dovecot: lmtp(al@example.com)<80><SessionA>: sieve: msgid=<one@example.org>: marked message to be discarded
            if not explicitly delivered (discard action)
        10:00:01 postfix/lmtp[14]: 1E24012D687: {saved("al@example.com", "SessionA")}
        10:00:01 postfix/qmgr[12]: 1E24012D687: removed
    """)
    assert directions(scan) == {"inbound": 1}


def test_own_mail_thrown_away_before_its_first_attempt_was_on_its_way_out(read: Read) -> None:
    login = "laptop[198.51.100.7], sasl_method=LOGIN, sasl_username=al@example.com"
    for recipient, direction in (("zoe@example.net", "outbound"), ("bo@example.com", "internal")):
        scan = read(f"""
            10:00:01 postfix/submission/smtpd[14]: 1E24012D687: client={login}
            10:00:01 postfix/cleanup[11]: 1E24012D687: message-id=<one@example.com>
            10:00:01 postfix/cleanup[11]: 1E24012D687: milter-discard: END-OF-MESSAGE from laptop[198.51.100.7]: milter triggers
                DISCARD action; from=<al@example.com> to=<{recipient}> proto=ESMTP helo=<laptop>
            {opened("1E24012D699", 5)}
            10:00:06 postfix/lmtp[14]: 1E24012D699: {saved("bo@example.com", "SessionB")}
        """)
        assert directions(scan) == {direction: 1, "inbound": 1}


def test_what_an_alias_sends_on_stays_forwarded(read: Read) -> None:
    scan = read(
        sent_on(
            "1E24012D687", 1, "mx.one.example[203.0.113.7]", "ann@one.example", "zoe@example.net", FAR, "al@example.com"
        )
    )
    assert directions(scan) == {"forwarded": 1}
