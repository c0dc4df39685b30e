"""What the texts of refusals mean: rules in order, of standards, of server programs, and of known providers.

A rule's ``words`` are looked for in a reply whose codes, mail addresses, numbers of mails and paths of links are folded away
(``NUMBERS`` and ``HOSTS`` of :mod:`logscan.checking.refusals`), so that what a stranger can choose tells little. Texts change:
each rule names the page or source that it was read from, and those of providers when that was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Cause = Literal[
    "ip-listed", "new-ip", "no-ptr", "ipv6-no-ptr", "helo", "tls", "rate", "domain-listed", "spf", "dkim", "dmarc",
    "unauthenticated", "content", "sender-rejected", "login-required", "mailbox-full", "no-such-user", "greylisted",
    "relay-denied", "too-big", "recipient-refuses", "remote-trouble", "policy-unknown", "unknown",
]  # fmt: skip

SERVER: tuple[Cause, ...] = ("ip-listed", "new-ip", "no-ptr", "ipv6-no-ptr", "helo", "tls", "rate")
"""Causes that are about this server: its address, its name, how and how much it sends."""

AUTHENTICATION: tuple[Cause, ...] = ("spf", "dkim", "dmarc", "unauthenticated")
"""Causes that are about the domain that the mail says it is from."""

RECIPIENT: tuple[Cause, ...] = (
    "mailbox-full",
    "no-such-user",
    "greylisted",
    "relay-denied",
    "too-big",
    "recipient-refuses",
)
"""Causes that are about one recipient or one mail; and greylisting, which is no refusal at all."""

IN_WORDS: dict[str, str] = {
    "ip-listed": "this server’s address is blocked, or on a block list",
    "new-ip": "this server’s address has no reputation there yet",
    "no-ptr": "this server’s address has no name in the DNS that fits (PTR)",
    "ipv6-no-ptr": "this server’s IPv6 address has no name in the DNS that fits (PTR), or the mail isn’t authenticated",
    "helo": "the name that this server greets with isn’t accepted",
    "tls": "encryption is wanted",
    "rate": "too much at a time, or too many complaints",
    "domain-listed": "a domain of this server’s mail is on a block list or has a bad reputation",
    "spf": "SPF doesn’t allow this server to send for the sender’s domain",
    "dkim": "the DKIM signature is missing or wrong",
    "dmarc": "DMARC of the author’s domain fails",
    "unauthenticated": "neither SPF nor DKIM shows where the mail is from",
    "content": "the mail itself is taken for spam",
    "sender-rejected": "the sender’s address isn’t accepted",
    "login-required": "the next hop wants a login",
    "mailbox-full": "the mailbox is full",
    "no-such-user": "the recipient doesn’t exist",
    "greylisted": "greylisting",
    "relay-denied": "the host takes no mail for that domain",
    "too-big": "the mail is too big",
    "recipient-refuses": "the recipient doesn’t take that mail",
    "remote-trouble": "trouble of the other side",
    "policy-unknown": "its policy, without a reason that is known here",
    "unknown": "an unknown reason",
}
"""Each cause as the end of a sentence."""


@dataclass(frozen=True)
class Rule:
    """A text and what it means; ``page`` is where that stands, ``seen`` when it was looked up there."""

    cause: Cause
    words: str
    """An expression as Arrow reads them, without regard to case."""
    page: str
    seen: str = ""
    permanent: bool | None = None
    """Of replies of the class 5 only (True), of the class 4 only (False)."""


def _rule(cause: Cause, words: str, page: str, seen: str = "", permanent: bool | None = None) -> Rule:
    return Rule(cause, words, page, seen, permanent)


LOOKED_UP = "2026-11-28"
GOOGLE = "https://support.google.com/a/answer/3726730"
MICROSOFT = "https://learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online"
OUTLOOK = "https://sendersupport.olc.protection.outlook.com/pm/troubleshooting.aspx"
YAHOO = "https://senders.yahooinc.com/smtp-error-codes/"
GMX = "https://postmaster.gmx.net/en/error-messages"
TELEKOM = "https://postmaster.t-online.de/index.en.html"
POSTFIX = "Postfix smtpd/smtpd_check.c"
EXIM = "Exim src/acl.c, src/verify.c"
GENERAL = "words that many servers use"

ADDRESS = (
    r"(?:\[ip\]|\bips?\b|client(?: host)?\b|your (?:server|host|network|mail ?server|address|system)"
    r"|sending (?:host|server))"
)
"""What stands for the address that connects."""

LISTED = (
    r"(?:(?:black|block|deny|reject)[- ]?list(?:ed|s)?|\blisted\b|\bbanned\b|\bdns[rx]?bls?\b|\brbls?\b"
    r"|\b(?:poor|bad|low|negative|none/bad|untrusted)[a-z ]{0,12} reputation|reputation[a-z ]{0,12}(?:poor|bad|low))"
)

PROVIDERS = (
    _rule("rate", r"unusual rate of .{0,200}(?:rate limited|limited)|detected an unusual rate of e?mail", GOOGLE, LOOKED_UP),
    _rule("ip-listed", r"unusual rate of unsolicited mail .{0,120}your ip address.{0,120}blocked", GOOGLE, LOOKED_UP, True),
    _rule("rate", r"unusual rate of unsolicited mail", GOOGLE, LOOKED_UP),
    _rule("recipient-refuses", r"receiving (?:e?mail|messages) (?:too quickly|at a rate that)", GOOGLE, LOOKED_UP),
    _rule("ipv6-no-ptr", r"ipv6 sending guidelines", GOOGLE, LOOKED_UP),
    _rule("no-ptr", r"does(?:n't| not) have a ptr|ptr record (?:setup|does(?:n't| not)|for)", GOOGLE, LOOKED_UP),
    _rule("unauthenticated", r"sender is unauthenticated|authenticate with either spf or dkim", GOOGLE, LOOKED_UP),
    _rule("ip-listed", r"(?:very )?low reputation of the sending ip", GOOGLE, LOOKED_UP),
    _rule("domain-listed", r"(?:very )?low reputation of the sending domain", GOOGLE, LOOKED_UP),
    _rule("ip-listed", r"the ip you're using to send mail is not authorized", GOOGLE, LOOKED_UP),
    _rule("content", r"blocked because its content", GOOGLE, LOOKED_UP),
    _rule("content", r"detected that this message is likely (?:unsolicited|suspicious)", GOOGLE, LOOKED_UP),
    _rule("ip-listed", r"part of (?:your|their) network is on our block ?list|banned sending ip", OUTLOOK, LOOKED_UP),
    _rule("dmarc", r"does(?:n't| not) (?:meet the required authentication level|pass dmarc)", MICROSOFT, LOOKED_UP),
    _rule("no-such-user", r"recipient address rejected: access denied", MICROSOFT, LOOKED_UP),
    _rule("recipient-refuses", r"delivery restriction|resolver\.rst\.|sendernotauthenticated", MICROSOFT, LOOKED_UP),
    _rule("rate", r"has exceeded (?:a|the) (?:connection |rate )?(?:threshold|limit)|\bS775\b", MICROSOFT, LOOKED_UP),
    _rule("ip-listed", r"permanently deferred|will not be accepted from \[ip\]|\[BL2\d\]", YAHOO, LOOKED_UP),
    _rule("rate", r"deferred due to (?:unexpected volume|user complaints|excessive)|\[TSS?\d\d\]", YAHOO, LOOKED_UP),
    _rule("no-ptr", r"bad dns ptr resource record|dns_ptr|ptr resource record", GMX, LOOKED_UP),
    _rule("ip-listed", r"ip address is (?:black|block) ?listed|no smtp service.{0,60}\[ip\] is listed", GMX, LOOKED_UP),
    _rule("new-ip", r"\[ip\] - none/bad reputation|\(NOWL\)", TELEKOM, LOOKED_UP),
    _rule("ip-listed", r"\[ip\] - a problem occurred|\(BL\)$", TELEKOM, LOOKED_UP),
)  # fmt: skip
"""Texts of known providers; they go first, since they were read where they are explained."""

GENERIC = (
    _rule("greylisted", r"gr[ae]y-?[- ]?list", GENERAL, permanent=False),
    _rule("recipient-refuses", r"recipient\b.{0,30}(?:has )?(?:blocked|blacklisted|rejects|refuses)\b"
          r"|blocked by (?:the )?recipient", GENERAL),
    _rule("content", r"\b(?:surbl|uribl)\b", GENERAL),
    _rule("sender-rejected", r"sender(?:'s)?(?: address| e-?mail)? (?:is |was |has been )?(?:black|block|deny)[- ]?listed"
          r"|(?:black|block|deny)[- ]?listed sender|sender (?:is |was )?(?:blocked|banned|denied)", GENERAL),
    _rule("domain-listed", r"(?:sender address|helo command) \S* ?blocked using|blocked using (?:dbl|rhsbl|\w*uribl)|"
          r"\bdomain\b.{0,40}" + LISTED, POSTFIX),
    _rule("content", r"\b(?:url|uri|link)s?\b.{0,40}(?:" + LISTED + r"|blocked)", GENERAL),
    _rule("ip-listed", r"client host .{0,80}blocked using|\bblocked using \S+\.\S+", POSTFIX),
    _rule("no-ptr", r"client host rejected: cannot find your (?:reverse )?hostname", POSTFIX),
    _rule("helo", r"helo command rejected|(?:invalid|bad|bogus|forged|rejected|unacceptable) (?:helo|ehlo)"
          r"|(?:helo|ehlo)\b.{0,60}(?:invalid|not valid|not match|bogus|forged|resolve|rejected)", POSTFIX),
    _rule("ip-listed", r"client host rejected: access denied", POSTFIX),
    _rule("sender-rejected", r"sender (?:address )?rejected|sender verify fail|verification failed for"
          r"|(?:sender|from) (?:address|domain)\b.{0,40}"
          r"(?:not (?:exist|found|valid|resolve)|invalid|unknown|rejected|refused)|domain of sender", POSTFIX),
    _rule("relay-denied", r"relay(?:ing)?\b.{0,24}(?:denied|not (?:permitted|allowed)|prohibited|rejected|refused)"
          r"|(?:unable|not (?:permitted|allowed|authori[sz]ed)) to relay|tenantattribution|allowed rcpthosts"
          r"|we do not relay", POSTFIX + "; qmail qmail-smtpd.c; Exim default configuration"),
    _rule("mailbox-full", r"(?:mail ?box|account|user|inbox|storage|recipient)\b.{0,50}(?:\bfull\b|over ?-?quota|quota exceeded"
          r"|exhausted|out of storage)|(?:quota|storage)\b.{0,24}(?:exceed|ueberschritten)|over ?quota"
          r"|exceed\w* .{0,24}(?:quota|storage)|insufficient (?:disk )?(?:storage|quota)", GENERAL),
    _rule("no-such-user", r"(?:user|recipient|mailbox|alias|account)s? (?:is |was )?(?:unknown|not found|unavailable|disabled"
          r"|inactive|suspended|invalid|not (?:available|active))|unknown (?:user|recipient|local|mailbox|address)"
          r"|no such (?:user|recipient|mailbox|address|person|account|domain)|(?:user|recipient|mailbox|account|address)\b.{0,60}"
          r"(?:does(?:n't| not) exist|doesn't have|not exist|no longer|not listed|not found)|unrout(?:e)?able address"
          r"|invalid (?:user|recipient|mailbox)|no mail ?box|recipient (?:rejected|address rejected: (?:user|undeliverable"
          r"|unverified))|not a valid (?:user|recipient|mailbox)|does not accept mail \(nullmx\)", GENERAL),
    _rule("too-big", r"(?:message|mail|size)\b.{0,30}(?:too (?:big|large|long)|exceed)\w*.{0,40}(?:size|limit|maximum|bytes)?"
          r"|size limit|too (?:big|large)", GENERAL),
    _rule("dmarc", r"\bdmarc\b|not aligned with either spf or dkim", GENERAL),
    _rule("unauthenticated", r"\bspf\b.{0,40}\bdkim\b|\bdkim\b.{0,40}\bspf\b", GENERAL),
    _rule("dkim", r"\bdkim\b|domainkeys", GENERAL),
    _rule("spf", r"\bspf\b|sender policy framework|openspf|not (?:allowed|permitted|authori[sz]ed|designated) to send (?:mail )?"
          r"(?:from|for)", GENERAL),
    _rule("no-ptr", r"\bptr\b|reverse[- ]?(?:dns|lookup|hostname|name|resol)|\brdns\b|no valid (?:host ?name|fcrdns)|fcrdns"
          r"|cannot (?:find|resolve) your (?:host|ip|address)|ip name (?:lookup failed|possibly forged)", GENERAL),
    _rule("tls", r"(?:must|need|require)\w*\b.{0,40}(?:starttls|\btls\b|encrypt)|(?:starttls|\btls\b|encryption).{0,40}"
          r"(?:required|needed|must|mandatory)|not using tls", GENERAL),
    _rule("login-required", r"client (?:was )?not authenticated|authentication (?:is )?required"
          r"|must (?:first )?authenticate|login (?:is )?required"
          r"|please (?:log ?in|authenticate)", GENERAL),
    _rule("content", r"(?:url|link|body|attachment|header|content|subject)\b.{0,60}(?:reject|block|banned|forbid|refuse"
          r"|not allowed|suspicious|prohibited)|\bvirus|malware|phish|infected"
          r"|(?:banned|forbidden|blocked) (?:file|content|attachment|extension)", GENERAL),
    _rule("rate", r"too (?:many|much) (?:connection|message|mail|recipient|session|concurrent|error|spam)|rate[- ]?limit|throttl"
          r"|(?:connection|message|mail|sending) (?:rate|limit|frequency)|exceeded .{0,40}(?:rate|per (?:hour|minute|day))"
          r"|slow(?:ing)? down|sending too|frequency limit", GENERAL),
    _rule("ip-listed", ADDRESS + r".{0,80}(?:" + LISTED + r"|\bblocked\b)|" + LISTED + r".{0,80}" + ADDRESS, GENERAL),
    _rule("ip-listed", r"\bblocked by \S+\.\S+|(?:found|listed) (?:in|on|at|by) .{0,40}(?:list|\bbls?\b)|spamhaus|spamcop"
          r"|barracudacentral|(?:ipcheck|support)\.proofpoint|\bdynamic ip|ip reputation|" + LISTED, GENERAL),
    _rule("new-ip", r"unknown (?:sender )?reputation|no reputation|new ip\b|not (?:seen|known) before", GENERAL),
    _rule("content", r"\bspam|unsolicited|\buce\b|\bjunk\b|bulk mail|(?:message|mail|content) (?:was |is |has been )?"
          r"(?:rejected as|considered|classified)", GENERAL, permanent=True),
    _rule("rate", r"deferred due to|try again later.{0,60}(?:volume|complaints)|(?:volume|complaints).{0,60}(?:defer|try)",
          GENERAL, permanent=False),
)  # fmt: skip
"""Texts of server programs, and words that many use: what is about a recipient first, since X.7.1 is said of that too."""

NOT_WANTED = r"(?:not (?:allowed|accepted|welcome|authori[sz]ed|permitted)|denied|refused|rejected|prohibited)"

FALLBACK = (
    _rule("remote-trouble", r"temporar|try (?:again )?later|system (?:problem|error|busy|resources)|maintenance|overload|busy"
          r"|unavailable|not available|local error|internal (?:server )?error|queue|disk|out of memory|resources|timed? ?out"
          r"|lookup fail|processing", GENERAL, permanent=False),
    _rule("ip-listed", r"\[ip\].{0,80}" + NOT_WANTED + "|" + NOT_WANTED + r".{0,80}\[ip\]", GENERAL, permanent=True),
    _rule("policy-unknown", r"\bpolic(?:y|ies)\b|administrative(?:ly)? (?:prohibit|reject|denied)|access denied|not authori[sz]ed"
          r"|service (?:unavailable|refused|not available)|\bblocked\b|security|prohibited|not (?:allowed|accepted|welcome)"
          r"|\brefused\b|\brejected\b|denied", GENERAL, permanent=True),
)  # fmt: skip
"""What is left, behind the codes: the other side names no reason."""

RULES = (*PROVIDERS, *GENERIC)

REGISTRY = "https://www.iana.org/assignments/smtp-enhanced-status-codes"

RECIPIENT_CODES: dict[str, Cause] = {
    **dict.fromkeys(("1.1", "1.2", "1.3", "1.6", "1.10", "2.1"), "no-such-user"),
    "2.2": "mailbox-full",
    "2.3": "too-big",
    "3.4": "too-big",
}
"""Enhanced codes, without their class, that are about a recipient; servers use them as they are meant (RFC 3463, RFC 7505)."""

CODES: dict[str, Cause] = {
    **dict.fromkeys(("1.7", "1.8", "7.27"), "sender-rejected"),
    **dict.fromkeys(("3.0", "3.1", "3.2", "4.1", "4.2", "4.3", "4.4", "4.5"), "remote-trouble"),
    **dict.fromkeys(("6.0", "6.1", "6.2", "6.3"), "content"),
    **dict.fromkeys(("5.3", "7.28"), "rate"),
    **dict.fromkeys(("7.10", "7.11", "7.30"), "tls"),
    **dict.fromkeys(("7.20", "7.21", "7.22"), "dkim"),
    **dict.fromkeys(("7.23", "7.24"), "spf"),
    "7.25": "no-ptr",
    "7.26": "unauthenticated",
    # Microsoft's own (its page of non-delivery reports): they lie outside the registry.
    **dict.fromkeys(("7.509", "7.515"), "dmarc"),
    **dict.fromkeys(("7.511", "7.513", "7.514"), "ip-listed"),
    **dict.fromkeys((f"7.{number}" for number in range(606, 650)), "ip-listed"),
    **dict.fromkeys((f"7.{number}" for number in range(650, 700)), "rate"),
}
"""Enhanced codes, without their class (the registry of RFC 5248), where the words say nothing."""
