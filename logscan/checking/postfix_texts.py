"""Postfix's own texts: what its delivery agents say where no other host spoke, and what smtpd says to whoever connects.

Read in the sources of Postfix 3.12; the place stands beside each. The first text that fits counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from logscan.checking.refusal_remedies import Whose

VERSION = "Postfix 3.12"


@dataclass(frozen=True)
class Own:
    """A text of Postfix's own, and what it means."""

    name: str
    words: re.Pattern[str]
    means: str
    whose: Whose
    todo: str
    page: str


def _own(name: str, words: str, page: str, whose: Whose, means: str, todo: str) -> Own:
    return Own(
        name,
        re.compile(words, re.IGNORECASE),
        means,
        whose,
        todo,
        page if page.startswith("words") else f"{VERSION} {page}",
    )


DNS = "Look the name up on this server (host -t MX NAME): "
WAIT = "Nothing, if it is one host for an hour: Postfix tries again by itself. "

SOCKET = r"[^\[]{0,300}\[(?:/|private/|127\.|::1)[^\]]{0,200}\]"
"""A name with a place on this host behind it."""

DELIVERY = (
    _own("no-such-host", r"^(?:unable to look up host (?P<host>\S+): (?:name or service not known|no address)"
         r"|Host or domain name not found\. Name service error for name=\S+ type=\S+: Host not found$)", "smtp/smtp_addr.c",
         "recipient", "the recipient’s domain isn’t in the DNS",
         DNS + "if it is written wrongly, the sender sends the mail again to the right address; if other servers find it, this "
         "server’s resolver is at fault."),
    _own("dns-trouble", r"^(?:Host or domain name not found\. Name service error for name=\S+ type=\S+: .*(?:try again|server)"
         r"|unable to look up host \S+: temporary failure)|^Name service error", "smtp/smtp_addr.c, dns/dns_lookup.c",
         "unknown", "the DNS doesn’t answer for the next host",
         DNS + "one domain alone has trouble with its name servers; if it is so for all, the resolver in /etc/resolv.conf "
         "(and in Postfix’s chroot, /var/spool/postfix/etc/resolv.conf) doesn’t answer."),
    _own("domain-takes-no-mail", r"^Domain \S+ does not accept mail \(nullMX\)", "smtp/smtp_addr.c", "recipient",
         "the recipient’s domain says in the DNS that it takes no mail (null MX)", "Ask the recipient for another address."),
    _own("no-primary-relay", r"^unable to find primary relay", "smtp/smtp_addr.c", "unknown",
         "this server is a backup MX of the domain and can’t find the hosts before it",
         DNS + "the MX hosts of the domain must have addresses."),
    _own("loops-to-myself", r"^mail for \S+ loops back to myself", "smtp/smtp_addr.c, smtp/smtp_proto.c", "ours",
         "the DNS or a transport sends the domain’s mail to this server, which isn’t told that the domain is its own",
         "If the domain is at home here, put it into one of mydestination, virtual_mailbox_domains, virtual_alias_domains or "
         "relay_domains; if not, its MX must not lead here (host -t MX DOMAIN). Behind address translation: proxy_interfaces."),
    _own("forwarding-loop", r"^mail forwarding loop for ", "local/recipient.c, pipe/pipe.c", "ours",
         "the mail has been delivered to this address before: a forward leads back here",
         "Follow the aliases and the user’s .forward: one of them sends mail to another server that sends it back."),
    _own("alias-loop", r"^alias database loop for |^recipient nesting limit|user has circular", "local/alias.c", "ours",
         "an alias leads back to itself", "Follow the entry in aliases(5) and take the circle out; then newaliases."),
    _own("too-many-hops", r"^too many hops", "global/cleanup_strerror.c", "ours",
         "the mail passed through more servers than hopcount_limit allows: it goes in a circle",
         "The Received headers of the mail show which servers send it to each other."),
    _own("no-such-user-here", r"^unknown user: |^User unknown(?: in .* table)?|^5\.1\.1 User unknown|^user unknown\b",
         "local/unknown.c, virtual/unknown.c, trivial-rewrite/resolve.c", "recipient",
         "there is no such mailbox on this server", "Look whether the address is written right, and where it should lead "
         "(logscan route ADDRESS). That it was taken first means that smtpd didn’t know it: local_recipient_maps, "
         "virtual_mailbox_maps or relay_recipient_maps."),
    _own("moved", r"^User has moved to |^Mailbox is unavailable", "trivial-rewrite/resolve.c", "recipient",
         "relocated_maps says that this address is no longer here", "Tell the sender the new address."),
    _own("bad-address", r"^bad address syntax|^null recipient address|^null username in", "qmgr/qmgr_message.c", "sender",
         "the recipient’s address is written wrongly", "The sender, or the program that made the mail, must write it right."),
    _own("program-away", rf"^connect to {SOCKET}(?::\d+)?: Connection (?:refused|timed out)"
         rf"|^lost connection with {SOCKET} while (?:receiving the initial|performing)", "smtp/smtp_connect.c", "ours",
         "a program of this host (mailbox server, filter) doesn’t answer at its socket or port",
         "Look whether it runs (systemctl status, its own log), and whether it may take no more connections. Then postqueue -f."),
    _own("program-broke-off", rf"^(?:lost connection|conversation) with {SOCKET}", "smtp/smtp_trouble.c", "ours",
         "a program of this host (mailbox server, filter) broke off, or hung, in the middle of a mail",
         "Its own log of that second tells why. Behind “sending end of data” it may have the mail already: it can come twice."),
    _own("dropped", r"^connect to .*: (?:Connection|Operation) timed out", "smtp/smtp_connect.c", "unknown",
         "nothing answers at the next host’s port: it is down, or a firewall on the way drops the packets",
         WAIT + "If no host can be reached at port 25, whoever gave you the line shuts it (check port-25-shut): send through "
         "their relay (relayhost)."),
    _own("rejected", r"^connect to .*: (?:Connection refused|No route to host|Host is (?:unreachable|down)|Connection reset)",
         "smtp/smtp_connect.c", "theirs", "the next host, or a router, refuses the connection", WAIT +
         "If the next host is yours (relay, filter, mailbox server), look whether it runs."),
    _own("no-network", r"^connect to .*: (?:Network is (?:unreachable|down)|Can(?:no|')t assign requested)",
         "smtp/smtp_connect.c", "ours", "this host has no way to that network, often IPv6 without an IPv6 line",
         "For IPv6: inet_protocols = ipv4 in main.cf until the host has an IPv6 line, then postfix reload."),
    _own("forbidden", r"^connect to .*: (?:Permission denied|Operation not permitted)", "smtp/smtp_connect.c", "ours",
         "this host’s own firewall, or the rights of a socket, forbid the connection",
         "Look at the firewall’s rules for what goes out, and at owner and mode of the socket."),
    _own("no-socket", r"^connect to .*: No such file or directory", "smtp/smtp_connect.c", "ours",
         "the socket isn’t there: the program behind it (mailbox server, filter) doesn’t run, or has its socket elsewhere",
         "Start it, and compare its socket’s path with main.cf and transport_maps; in a chroot paths begin at "
         "/var/spool/postfix. Then postqueue -f."),
    _own("lost", r"^(?:lost connection with |conversation with .* timed out)", "smtp/smtp_trouble.c", "unknown",
         "the connection broke, or nothing came any more, in the middle of the talk", WAIT + "Behind “sending end of data” the "
         "other side may have the mail already: it can come twice. If big mails alone break off, look at the MTU of the way; if "
         "the other side is a program of this host, look at its log."),
    _own("no-tls", r"^TLS is required, but (?:was not offered|host .* refused)|requested REQUIRETLS|did not announce REQUIRETLS",
         "smtp/smtp_proto.c", "theirs",
         "this server may send to that host with encryption only, and the host doesn’t offer it",
         "Mail stays here rather than going in the clear. Look why the level is encrypt or higher for that domain "
         "(postconf smtp_tls_security_level smtp_tls_policy_maps), and tell the other side’s postmaster; for one domain a "
         "weaker level in smtp_tls_policy_maps is a decision about its secrecy."),
    _own("tls-engine", r"^TLS is required, but (?:our TLS engine is )?unavailable|^client TLS configuration problem|^TLSA "
         "lookup error",
         "smtp/smtp_proto.c, smtp/smtp_tls_policy.c", "ours", "encryption is demanded, and this server can’t do it as configured",
         "Postfix’s warnings in the same second say which file or setting is wrong."),
    _own("handshake", r"^Cannot start TLS: handshake failure", "smtp/smtp_proto.c", "unknown",
         "the two hosts don’t agree on how to encrypt", "Postfix’s warning before it says why: a version or cipher that one of "
         "them doesn’t have (postconf smtp_tls_protocols smtp_tls_mandatory_protocols)."),
    _own("certificate", r"^Server certificate (?:not trusted|not verified)", "smtp/smtp_proto.c", "theirs",
         "the other host’s certificate isn’t the one that the policy here demands",
         "Look at it (posttls-finger DOMAIN) and at smtp_tls_policy_maps, smtp_tls_CAfile; it may have run out there. Mail stays "
         "here meanwhile."),
    _own("login-refused", r"^SASL (?:\[CACHED\] )?authentication failed", "smtp/smtp_sasl_glue.c", "ours",
         "the next hop refuses this server’s login", "Name and password in smtp_sasl_password_maps must be right for exactly the "
         "next hop that relayhost names (then postmap); the provider may want a password for programs."),
    _own("too-big-for-host", r"^message size \d+ exceeds size limit", "smtp/smtp_proto.c", "recipient",
         "the next host says before the mail that it is bigger than it takes",
         "Send it smaller, or put the file where the recipient can fetch it."),
    _own("no-smtputf8", r"^(?:message requires SMTPUTF8|SMTPUTF8 is required, but)", "smtp/smtp_proto.c", "theirs",
         "the mail has an address or header outside ASCII, and no host of the recipient takes such mail",
         "The sender writes from, and to, an address in ASCII."),
    _own("no-transport", r"^(?:unknown )?(?:\S+ )?mail transport (?:unavailable|error)", "qmgr/qmgr_deliver.c", "ours",
         "the service of master.cf that should deliver doesn’t run or isn’t there",
         "A warning of qmgr in the same second names it; look for its line in master.cf, then postfix reload."),
    _own("local-configuration",
         r"^mail system configuration error|^address resolver failure|^table lookup failure|^user lookup error"
         r"|^alias database (?:unavailable|loop)", "local/*.c, virtual/mailbox.c", "ours",
         "a table or setting of this server can’t be read", "Postfix’s warnings in the same second name it. The mail waits."),
    _own("command-failed", r"^(?:Command (?:died|failed|time limit exceeded)|Delivery failed:)", "global/pipe_command.c", "ours",
         "a program that this server hands mail to failed",
         "Its output stands behind the text, more in its own log; run it by hand "
         "as the user of the line in master.cf or of the alias."),
    _own("waited-too-long", r"^returned to sender$", "qmgr/qmgr_active.c, bounce", "unknown",
         "it could not be delivered for as long as mail may wait here", "The lines of this queue ID before it tell why each "
         "attempt failed; logscan trace shows them together."),
    _own("expired", r"^message is administratively expired", "qmgr/qmgr_message.c", "ours",
         "the administrator had it returned (postsuper -e)", "Nothing."),
)  # fmt: skip
"""Reasons in delivery lines."""

CLIENT = "Whoever runs the client must mend it; an exception for one you know goes into a table of check_client_access before it."

DOOR = (
    _own("relay-denied", r"Relay access denied", "smtpd/smtpd_check.c", "unknown",
         "whoever connected wanted to send to a domain that isn’t at home here, without being allowed to",
         "Strangers are refused rightly. Was it a user: the mail program must log in (port 587 or 465). Was it mail for a "
         "domain of "
         "yours: the domain belongs into mydestination, virtual_mailbox_domains, virtual_alias_domains or relay_domains."),
    _own("greylisted", r"gr[ae]y-?list|Service temporarily unavailable; client", "the policy service’s text", "theirs",
         "it is put off on purpose: a server that tries again is let in", "Nothing; the sender’s server tries again."),
    _own("new-client", r"Service currently unavailable", "postscreen/postscreen_smtpd.c", "theirs",
         "postscreen has just tested a client that it didn’t know: it passed, and is let in when it comes again",
         "Nothing; the sender’s server tries again. A server that it takes hours with: postscreen_access_list."),
    _own("no-such-user-here", r"User unknown", "smtpd/smtpd_check.c", "recipient", "there is no such recipient here",
         "Look whether the address is written right; for a mailbox that should be there: the table that the text names."),
    _own("blocked-by-list", r"blocked using ", "smtpd/smtpd_check.c, postscreen/postscreen_early.c", "theirs",
         "the client, or the sender’s domain, is on the block list that is named",
         "Let whoever runs the client have it taken off the list; is it one of yours, look first why it got there. The "
         "list’s own "
         "page tells. If everybody is refused: the list answers errors (check blocklist-answers-error)."),
    _own("no-name", r"Client host rejected: cannot find your (?:reverse )?hostname", "smtpd/smtpd_check.c", "theirs",
         "the client’s address has no name in the DNS that leads back to it", CLIENT),
    _own("client-barred", r"Client host rejected|Client address rejected", "smtpd/smtpd_check.c", "ours",
         "a rule of this server bars the client",
         "Look for it in the tables of check_client_access, and for reject at the end of "
         "the restrictions (postconf smtpd_client_restrictions); of a submission port: the client didn’t log in."),
    _own("helo", r"Helo command rejected", "smtpd/smtpd_check.c", "theirs", "the name that the client greets with isn’t accepted",
         CLIENT),
    _own("not-own-address", r"Sender address rejected: not (?:owned by user|logged in)", "smtpd/smtpd_check.c", "ours",
         "the login isn’t allowed to send with that sender address", "If it shall be allowed: smtpd_sender_login_maps."),
    _own("sender-domain", r"Sender address rejected: (?:Domain not found|undeliverable address|unverified address)"
         r"|Sender address rejected: Domain .* does not accept", "smtpd/smtpd_check.c", "sender",
         "mail to the sender’s address couldn’t be delivered: its domain isn’t in the DNS or takes none",
         "The sender’s domain must be put right. Of your own programs: myorigin, or the sender that they set."),
    _own("sender-barred", r"Sender address rejected", "smtpd/smtpd_check.c", "ours",
         "a rule of this server bars the sender’s address",
         "Look for it in the tables of check_sender_access."),
    _own("recipient-barred", r"Recipient address rejected: (?:Access denied|Domain not found|need fully-qualified|undeliverable"
         r"|unverified)", "smtpd/smtpd_check.c", "recipient", "the recipient’s address isn’t accepted here",
         "Undeliverable: the probe of the address failed, the text says why. Access denied: look in check_recipient_access."),
    _own("unauthenticated-tls", r"Must issue a STARTTLS command first|Encryption required for requested", "smtpd/smtpd.c",
         "theirs",
         "the client must encrypt first", "Switch on STARTTLS, or TLS on port 465, in the client."),
    _own("too-much", r"Error: too (?:many|much)", "smtpd/smtpd.c", "theirs",
         "the client does more at a time than is allowed here",
         "Is the client one of yours: smtpd_client_*_limit and anvil’s lines show by how much."),
    _own("protocol", r"Improper use of SMTP command pipelining|protocol synchronization|bare <LF>|I can break rules",
         "smtpd/smtpd_check.c, smtpd/smtpd.c", "theirs", "the client doesn’t talk as the protocol demands; spam programs do so",
         "A device of yours that does: let it hand in its mail by a service of its own."),
    _own("content", r"message content rejected|^5\.7\.1 .*(?:spam|virus)|Spam message rejected|message contains a virus|infected",
         "global/cleanup_strerror.c, milters", "sender", "a rule or a filter of this server refuses what the mail holds",
         "The filter’s own log tells which rule; header_checks and body_checks say their text."),
    _own("too-big", r"message (?:file too big|size exceeds)", "global/cleanup_strerror.c", "sender",
         "the mail is bigger than message_size_limit", "The sender sends it smaller; or postconf message_size_limit."),
    _own("our-trouble",
         r"Service unavailable|queue file write error|try again later|Server configuration|Insufficient system storage",
         "smtpd/smtpd_check.c, milter/milter.c", "ours",
         "something of this server failed: a milter, a policy service, a table, the disk",
         "Postfix’s warnings in the same second name it. The client keeps the mail and tries again."),
)  # fmt: skip
"""What smtpd, postscreen and milters say to whoever connects."""


ELSEWHERE = (
    _own("loop", r"hop count exceeded|too many hops|\bmail (?:forwarding )?loop|\b(?:routing|forwarding) loop|loop detected",
         "global/cleanup_strerror.c; words that many servers use", "unknown",
         "the mail passed through too many servers: it goes in a circle",
         "The Received headers of the mail show which servers send it to each other: a forward that leads back, or a domain "
         "whose MX leads to a host that sends its mail on."),
    _own("login-refused", r"^(?:\S+ ){0,2}(?:error: )?(?:authentication (?:failed|credentials invalid|unsuccessful)"
         r"|username and password not accepted|invalid (?:login|credentials))", "words that many servers use", "ours",
         "the next hop refuses this server’s login",
         "Name and password in smtp_sasl_password_maps must be right for exactly the next hop that relayhost names (then "
         "postmap); the provider may want a password for programs."),
    _own("recipients-at-once", r"too many recipients", "smtpd/smtpd.c", "theirs",
         "more recipients at a time than the host takes",
         "Nothing: Postfix sends the mail to the rest in a further transaction."),
    _own("no-external-forwarding", r"does not allow external forwarding", "words that many servers use", "sender",
         "the sender’s organisation forbids its users to forward mail to outside",
         "The user asks the administrators there, or takes the forward back."),
)  # fmt: skip
"""What other hosts say that is neither about this server nor about one recipient."""


def elsewhere(text: str) -> Own | None:
    """Return what another host's text means that no cause of a refusal is; None for one that isn't known."""
    return next((each for each in ELSEWHERE if each.words.search(text)), None)


def of_delivery(reason: str) -> Own | None:
    """Return what a delivery agent's own reason means; None for one that isn't known."""
    return next((each for each in DELIVERY if each.words.search(reason)), None)


def at_door(text: str) -> Own | None:
    """Return what a refusal of smtpd's means; None for one that isn't known."""
    return next((each for each in DOOR if each.words.search(text)), None)
