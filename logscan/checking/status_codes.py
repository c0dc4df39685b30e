"""What the codes of a reply mean by themselves: the three digits of SMTP, and the enhanced status codes of the registry.

In words of our own; the codes are RFC 5321's and the registry's (RFC 5248), which names the RFC of each.
"""

from __future__ import annotations

import re

BASIC_PAGE = "RFC 5321, section 4.2"
REGISTRY_PAGE = "the IANA registry of SMTP enhanced status codes (as of 2024-12-06)"

BASIC: dict[str, str] = {
    "211": "the server’s state",
    "214": "help",
    "220": "the server is ready",
    "221": "the server closes the connection",
    "235": "the login succeeded (RFC 4954)",
    "250": "done",
    "251": "the mailbox is elsewhere, the server sends the mail on",
    "252": "the address can’t be checked, the mail is taken all the same",
    "334": "the login goes on (RFC 4954)",
    "354": "the server waits for the mail’s text",
    "421": "the server doesn’t serve this connection now, and closes it",
    "432": "the account’s password must be changed first (RFC 4954)",
    "450": "not done now: the mailbox can’t be reached, or a policy puts it off",
    "451": "not done now: something failed at the server, or a policy puts it off",
    "452": "not done now: the server hasn’t the room, or there are too many recipients",
    "454": "the login, or encryption, doesn’t work now (RFC 4954, RFC 3207)",
    "455": "parameters of the command can’t be met now",
    "500": "the server doesn’t know the command",
    "501": "something behind the command is wrong",
    "502": "the server doesn’t do that command",
    "503": "the commands come in a wrong order",
    "504": "the server doesn’t do that with the command",
    "521": "the host takes no mail at all (RFC 7504)",
    "523": "the mail is encrypted too weakly, or too big for its priority",
    "530": "a login, or encryption, is needed first (RFC 4954, RFC 3207)",
    "534": "the way of logging in is too weak (RFC 4954)",
    "535": "the login is refused: name or password (RFC 4954)",
    "538": "that way of logging in needs encryption (RFC 4954)",
    "550": "refused: the mailbox isn’t there, or a policy refuses",
    "551": "the mailbox is elsewhere, and the server doesn’t send the mail on",
    "552": "refused: more than the mailbox, or the server, takes",
    "553": "refused: an address isn’t allowed or is written wrongly",
    "554": "refused, without saying more (instead of a greeting: nothing is taken from this client)",
    "555": "parameters of MAIL or RCPT aren’t known or can’t be met",
    "556": "the domain takes no mail (RFC 7504)",
}
"""Codes of RFC 5321 and of the extensions that are in use."""

CLASSES = {"2": "done", "3": "go on", "4": "not now", "5": "refused for good"}
"""What the first digit of either code says."""

SUBJECTS = {
    "0": "nothing more is said",
    "1": "about an address",
    "2": "about the mailbox",
    "3": "about the mail system there",
    "4": "about network and routing",
    "5": "about the SMTP protocol",
    "6": "about the mail’s content",
    "7": "about security or policy",
}
"""The second number of an enhanced code."""

ENHANCED: dict[str, str] = {
    "0.0": "something that has no code",
    "1.0": "something about an address",
    "1.1": "the recipient’s mailbox doesn’t exist",
    "1.2": "the recipient’s domain doesn’t exist or takes no mail",
    "1.3": "the recipient’s address is written wrongly",
    "1.4": "the recipient’s address fits several mailboxes",
    "1.5": "the recipient’s address is right",
    "1.6": "the mailbox has moved, and nobody knows where to",
    "1.7": "the sender’s address is written wrongly",
    "1.8": "the sender’s domain doesn’t exist or can’t be answered",
    "1.9": "the mail went on to a host that reports nothing (RFC 5248)",
    "1.10": "the recipient’s domain says in the DNS that it takes no mail (null MX, RFC 7505)",
    "2.0": "something about the mailbox",
    "2.1": "the mailbox is there, but switched off",
    "2.2": "the mailbox is full",
    "2.3": "the mail is longer than that mailbox allows",
    "2.4": "a mailing list couldn’t be expanded",
    "3.0": "something about the mail system there",
    "3.1": "the mail system there is full",
    "3.2": "the host takes no mail from the network (now)",
    "3.3": "the host can’t do something that the mail needs",
    "3.4": "the mail is bigger than the host takes",
    "3.5": "the host is configured wrongly",
    "3.6": "the mail’s priority was changed (RFC 6710)",
    "4.0": "something about network or routing",
    "4.1": "the next host doesn’t answer",
    "4.2": "the connection broke",
    "4.3": "a directory, such as the DNS, doesn’t answer",
    "4.4": "there is no way to the next host",
    "4.5": "the mail system there is congested",
    "4.6": "the mail goes in a circle",
    "4.7": "the mail waited too long and was given up",
    "5.0": "something about the protocol",
    "5.1": "a command that isn’t allowed there or isn’t known",
    "5.2": "a command that is written wrongly",
    "5.3": "too many recipients at a time",
    "5.4": "a command with wrong parameters",
    "5.5": "another version of the protocol is needed",
    "5.6": "a line of the login is too long (RFC 4954)",
    "6.0": "something about the mail’s content",
    "6.1": "a kind of content that isn’t taken there",
    "6.2": "the content would have to be converted, which isn’t allowed",
    "6.3": "the content would have to be converted, which the host can’t do",
    "6.4": "the content was converted, and something was lost",
    "6.5": "converting the content failed",
    "6.6": "the content couldn’t be fetched (RFC 4468)",
    "6.7": "addresses outside ASCII aren’t taken there (RFC 6531)",
    "6.8": "the reply would need UTF-8, which the client didn’t allow (RFC 6531)",
    "6.9": "headers in UTF-8 can’t be sent on to a recipient (RFC 6531)",
    "6.10": "as 6.8, which has taken its place",
    "7.0": "something about security or policy",
    "7.1": "whoever sends isn’t allowed to deliver there: any policy; the code says no more",
    "7.2": "whoever sends may not write to that mailing list",
    "7.3": "the mail would have to change its way of securing, which isn’t possible",
    "7.4": "a way of securing that isn’t supported there",
    "7.5": "encrypting or checking failed: a key is missing or wrong",
    "7.6": "an algorithm of encryption that isn’t supported there",
    "7.7": "the mail was changed or damaged on its way",
    "7.8": "name or password of the login are wrong (RFC 4954)",
    "7.9": "the way of logging in is too weak (RFC 4954)",
    "7.10": "encryption is needed (RFC 5248)",
    "7.11": "this way of logging in needs encryption (RFC 4954)",
    "7.12": "the password must be set anew for this way of logging in (RFC 4954)",
    "7.13": "the account is switched off (RFC 5248)",
    "7.14": "another server would have to be trusted first (RFC 5248)",
    "7.15": "the mail’s priority is too low now (RFC 6710)",
    "7.16": "the mail is too big for its priority (RFC 6710)",
    "7.17": "the mailbox has another owner since (RFC 7293)",
    "7.18": "the domain has another owner since (RFC 7293)",
    "7.19": "whether the owner changed can’t be told (RFC 7293)",
    "7.20": "no DKIM signature passes (RFC 7372)",
    "7.21": "no DKIM signature is one that is accepted there (RFC 7372)",
    "7.22": "no DKIM signature is of the author’s domain (RFC 7372)",
    "7.23": "SPF fails: the sender’s domain doesn’t allow this address (RFC 7372)",
    "7.24": "SPF couldn’t be worked out: the record is wrong or the DNS failed (RFC 7372)",
    "7.25": "the sending address has no name in the DNS that fits (RFC 7372)",
    "7.26": "several ways of authentication failed (RFC 7372)",
    "7.27": "the sender’s domain says that it takes no mail (null MX, RFC 7505)",
    "7.28": "it looks like part of a flood of mail",
    "7.29": "the ARC seals don’t hold (RFC 8617)",
    "7.30": "the mail demands TLS on all its way, which the next host doesn’t promise (REQUIRETLS, RFC 8689)",
}
"""The registry's codes, without their class."""

_DSN = re.compile(r"(?P<kind>[245])\.(?P<subject>\d{1,3})\.(?P<detail>\d{1,3})", re.ASCII)


def basic(code: str) -> str:
    """Return what the three digits say; of a code that nobody defines, what its first digit says. Empty for no code."""
    if not code:
        return ""
    return BASIC.get(code) or f"a code of the server’s own, which means no more than {CLASSES.get(code[0], 'nothing')}"


def enhanced(dsn: str) -> str:
    """Return what an enhanced code says, its subject alone where the registry hasn't it; empty for no code."""
    found = _DSN.fullmatch(dsn)
    if not found:
        return ""
    if dsn == "2.0.0":
        return "done, and there is no more to say"
    meant = ENHANCED.get(f"{found['subject']}.{found['detail']}")
    if meant:
        return meant
    subject = SUBJECTS.get(found["subject"]) if found["subject"] != "0" else None
    return f"{subject}; the registry hasn’t this code" if subject else "the registry hasn’t this code"


def registered(dsn: str) -> bool:
    """Whether the registry has an enhanced code."""
    return dsn.partition(".")[2] in ENHANCED
