"""What to do about a refusal, by the cause that its reply tells, and whose matter it is.

No remedy here loses mail: nothing is deleted from the queue, no check is switched off.
"""

from __future__ import annotations

from typing import Literal

Whose = Literal["ours", "sender", "recipient", "theirs", "unknown"]

WHOSE: dict[Whose, str] = {
    "ours": "this server’s: its address, its name, its settings, or how much it sends",
    "sender": "the sender’s, or whoever keeps the sender’s domain: the address, its records in the DNS, or the mail itself",
    "recipient": "the recipient’s, or whoever keeps that mailbox",
    "theirs": "the other side’s",
    "unknown": "it can’t be told from this text",
}
"""Whose matter a refusal is, as the end of a sentence."""

REMEDIES = {
    "ip-listed": (
        "Find out first why: look at what this server sent in the days before (logscan analyse, the accounts that sent most, "
        "mail forwarded to outside), and stop it; an account whose password is known to others gets a new one. Then ask for "
        "removal at the page that the reply names. It comes back if the cause goes on."
    ),
    "new-ip": (
        "The provider knows nothing of this address. Write to the address or form that its reply names, with the host's name, "
        "who runs it, and what it sends; its PTR must be the name it greets with, and a page under that name should say who "
        "is responsible. Send little at first."
    ),
    "no-ptr": (
        "Have whoever gave you the address set its PTR to the name in myhostname (postconf -h smtp_helo_name), and let that "
        "name have this address: host ADDRESS and host NAME must lead to each other."
    ),
    "ipv6-no-ptr": (
        "Have whoever gave you the IPv6 address set its PTR to the server's name, and give that name this AAAA record; sign "
        "with DKIM and list the address in SPF. Until then: smtp_address_preference = ipv4 in main.cf, then postfix reload."
    ),
    "helo": (
        "Postfix greets with smtp_helo_name, which is myhostname unless set: it must be a full name that the DNS knows, best "
        "the PTR of the address that mail leaves by (postconf smtp_helo_name myhostname)."
    ),
    "tls": (
        "Let Postfix encrypt where it is offered: smtp_tls_security_level = may in main.cf, then postfix reload. If it is set "
        "already, the host wants a newer version of TLS than this server speaks (postconf smtp_tls_protocols)."
    ),
    "domain-listed": (
        "A domain is listed, not the address: the sender's, or one that the reply names. Look it up at the list that is "
        "named, and find out who sends in its name, or what its web server spreads."
    ),
    "spf": (
        "List this server's addresses, IPv4 and IPv6, in the TXT record (v=spf1) of the sender's domain, and look that there "
        "is one such record only. The addresses are those that mail leaves by, not those it comes in by. A web form "
        "that sends with its visitor's address as sender needs one of your own, and the visitor's in Reply-To."
    ),
    "dkim": "Let the signer (OpenDKIM, rspamd's dkim_signing) sign for the sender's domain, and publish its key in the DNS.",
    "dmarc": (
        "DMARC wants SPF or DKIM to pass for the very domain of the From header: list this server in that domain's SPF record, "
        "and sign with a key of that domain. If the domain isn't yours, its owner doesn't allow you to send in its name."
    ),
    "unauthenticated": (
        "List this server's addresses in the sender's domain's SPF record, and sign with DKIM (OpenDKIM, rspamd's "
        "dkim_signing); if the domain isn't yours, send in the name of one that is."
    ),
    "sender-rejected": (
        "The domain of the sender's address must be in the DNS, with an MX or an address. For mail of programs: set their "
        "sender, or myorigin in main.cf, to a domain that is yours (postconf myorigin); a name such as host.lan or localdomain "
        "is refused."
    ),
    "content": (
        "Look at what these mails have in common: one sender, a link, an attachment, a newsletter. Others may do as this "
        "provider does, and block the address next."
    ),
    "policy-unknown": "The provider says no more than its reply does; ask its postmaster, with the reply and its time.",
    "login-required": (
        "This next hop takes mail of those only who log in: for a relay of your provider's set smtp_sasl_auth_enable = yes "
        "and smtp_sasl_password_maps in main.cf; else it is the wrong host to send to (postconf relayhost transport_maps)."
    ),
    "rate": (
        "Postfix tries again by itself. If it goes on: look for an account or a program that sends more than usual; to go "
        "slower, give this provider's domains a transport of their own with a small _destination_concurrency_limit and a "
        "_destination_rate_delay (master.cf, transport_maps)."
    ),
    "mailbox-full": (
        "Only the recipient, or whoever keeps the mailbox, can make room. Tell the sender; the mail can be sent again then."
    ),
    "no-such-user": (
        "Look whether the address is written right; ask the recipient for the address by other means. Of a list or an alias of "
        "this server: take the address out of it."
    ),
    "greylisted": (
        "Nothing: Postfix tries again by itself, and the mail is taken then. If it never comes through, look whether each "
        "attempt leaves by another address of this server."
    ),
    "relay-denied": (
        "That host doesn’t take mail for the recipient’s domain. Look where this server sends it (postconf relayhost "
        "transport_maps) and what the domain’s MX records say (host -t MX DOMAIN); if the MX is right, its owner must let "
        "that host take the domain’s mail. Of Microsoft’s hosts: the domain isn’t set up there, or not any more."
    ),
    "too-big": "Send it smaller, or put the file where the recipient can fetch it: the limit is the other side’s.",
    "recipient-refuses": "The recipient, or the recipient’s organisation, decides who may write there: ask them by other means.",
    "remote-trouble": (
        "Nothing: the other side has trouble, and the mail is tried again. If it lasts for days, tell its postmaster."
    ),
    "unknown": (
        "Read what the reply says, and the page that it may name; ask the postmaster of the host, with the reply and its time."
    ),
}
"""By cause (:data:`logscan.checking.refusal_texts.IN_WORDS`)."""

OF: dict[str, Whose] = {
    **dict.fromkeys(("ip-listed", "new-ip", "no-ptr", "ipv6-no-ptr", "helo", "tls", "rate", "login-required"), "ours"),
    **dict.fromkeys(
        ("domain-listed", "spf", "dkim", "dmarc", "unauthenticated", "content", "sender-rejected"), "sender"
    ),
    **dict.fromkeys(("mailbox-full", "no-such-user", "too-big", "recipient-refuses"), "recipient"),
    **dict.fromkeys(("greylisted", "relay-denied", "remote-trouble"), "theirs"),
    **dict.fromkeys(("policy-unknown", "unknown"), "unknown"),
}
"""Whose matter each cause is."""
