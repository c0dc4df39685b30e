"""Mail from elsewhere to elsewhere: a trusted host's own, a gateway's, or what an alias forwards."""

from __future__ import annotations

from test_field_correlation import directions, field
from test_pitfalls import FAR, Read, opened, read, to

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


def test_what_an_alias_sends_on_stays_forwarded(read: Read) -> None:
    scan = read(
        sent_on(
            "1E24012D687", 1, "mx.one.example[203.0.113.7]", "ann@one.example", "zoe@example.net", FAR, "al@example.com"
        )
    )
    assert directions(scan) == {"forwarded": 1}
