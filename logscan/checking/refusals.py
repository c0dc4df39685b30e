"""Why a remote host refuses, from the reply in a delivery line: a cause, whose address it names, how it was found.

What no rule knows stays unknown and is told by its template. A reply is a stranger's text: it is judged once it is folded
(:func:`template`), and nothing of a mail address or of the path of a link counts.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal

from logscan.checking.refusal_texts import (
    CODES,
    FALLBACK,
    RECIPIENT,
    RECIPIENT_CODES,
    REGISTRY,
    RULES,
    Cause,
    Rule,
)

Whose = Literal["ours", "message", ""]
"""Whose address a reply names: the one that connects, one that stands in the mail, or it doesn't tell."""

HEAD = (
    r"^(?:delivery temporarily suspended: )?host (?P<host>[^\s\[\]]+)(?:\[[^\]\s]+\])?(?::\d+)? "
    r"(?P<said>(?:said|refused to talk to me): (?s:.*))$"
)
"""Postfix smtp/smtp_proto.c and smtp_trouble.c; qmgr puts its own words before it (qmgr_deliver.c, error(8))."""

HEADED = re.compile(HEAD)
MUTE = "refused to talk to me: "

UNSEEN = ("connect", "EHLO", "HELO", "MAIL FROM")
"""Stages at which nothing of a mail is known but its sender: what is called spam then is the host that sends."""

STAGE = re.compile(r" \(in reply to (?P<command>[A-Za-z ]+?)(?: command)?\)$")

CODE = re.compile(r"^(?P<code>[245]\d\d)(?:[ -]|$)(?:(?P<dsn>[245]\.\d{1,3}\.\d{1,3})(?=\D|$))?")
AGAIN = re.compile(r"(?<!\S)[245]\d\d[ -](?:[245]\.\d{1,3}\.\d{1,3}(?!\S) ?)?|(?<!\S)[245]\.\d{1,3}\.\d{1,3}(?!\S)")
"""The codes of each line of a reply: Postfix puts a blank between the lines."""

LONGEST = 1000
"""Characters of a reply that are looked at; Postfix cuts it at about 4,000."""

FOLDS = (
    (re.compile(r"<[^<>\s]*@[^<>\s]*>|(?<![\w.+-])[\w.+=-]{1,80}@[\w.-]+"), "<>"),
    (re.compile(r"\b(https?://[^\s/?#]{1,100})\S*"), r"\1"),
    (
        re.compile(
            r"\[?(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)\]?"
            r"|\[?(?<![\w:])(?:[0-9a-f]{1,4}:+){2,7}[0-9a-f.]{0,15}\]?",
            re.I,
        ),
        "[ip]",
    ),
    (re.compile(r"\b(?=[a-z-]*\d)[0-9a-z-]{9,}\b(?:\.\d+\b)?", re.I), "…"),
    (re.compile(r"\bip=\[ip\]", re.I), "[ip]"),
)  # fmt: skip
"""Mail addresses, paths of links, addresses of hosts, numbers of mails."""

IP = re.compile(
    r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\w)|(?<![\w:])(?:[0-9a-f]{1,4}:+){2,7}[0-9a-f.]{1,15}(?![\w:])", re.I
)

OURS = re.compile(
    r"client(?: host)?\b|(?:mail|messages?|connections?|e-?mail) (?:sent )?from (?:your |the )?(?:ip |address |host )*\[ip\]"
    r"|(?:sending|your|connecting|smtp) (?:ip|host|server|address|mta)|\bip address\b|^\[ip\]|\[ip\] - ",
    re.IGNORECASE,
)
MESSAGE = re.compile(r"\b(?:originat\w*|received|headers?|url|link|hop|relayed|body)\b", re.IGNORECASE)

LIST = re.compile(
    r"(?:blocked (?:using|by)|listed (?:in|on|at|by)) (?P<list>[a-z0-9-]+(?:\.[a-z0-9-]+)+)", re.IGNORECASE
)


NO_POLICY = (*RECIPIENT, "sender-rejected", "login-required", "remote-trouble", "unknown")
"""Causes that tell nothing of what the other side thinks of this server."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reply that refuses: why, and what tells so."""

    cause: Cause
    permanent: bool
    """Of the class 5: Postfix returns the mail, unless the other side refused to talk at all."""
    stage: str
    """The command that it answers, ``connect`` where the host refused to talk; empty where it isn't told."""
    code: str
    dsn: str
    text: str
    """The reply without its codes, addresses and numbers: alike replies have the same."""
    address: str = ""
    """Address of a host that it names."""
    whose: Whose = ""
    listed_by: str = ""
    """The DNS list that it names."""
    page: str = ""
    """Where the meaning of the text stands, and when it was looked up there."""

    @property
    def for_policy(self) -> bool:
        """Whether the other side refuses for good, for what it thinks of this server or its mail."""
        return self.permanent and self.cause not in NO_POLICY


def refusal(reply: str) -> tuple[str, Refusal] | None:
    """Return the host that refuses in a delivery's reply, in lower case, and what it says; None where none does."""
    found = HEADED.match(reply[: LONGEST + 300])
    told = judged(found["said"]) if found else None
    return (host_name(found["host"]), told) if found and told else None


def host_name(name: str) -> str:
    """Return a host's name as it is compared."""
    return name.lower().rstrip(".")


@functools.lru_cache(maxsize=4096)
def judged(words: str) -> Refusal | None:
    """Return what a host said (the ``said`` of :data:`HEAD`) when it refused; None where it has no code of a refusal."""
    greeting = words.startswith(MUTE)
    said = words[: LONGEST + 300].partition(": ")[2]
    stage = STAGE.search(said)
    command = stage["command"] if stage else "connect" if greeting else ""
    said = said[: stage.start()] if stage else said
    first = CODE.match(said)
    if not first or first["code"][0] == "2":
        return None
    text = template(said)
    code, dsn = first["code"], first["dsn"] or ""
    rule = rule_for(text, code, dsn, greeting)
    cause = rule.cause
    address = _named(said)
    if cause == "no-ptr" and ":" in address:
        cause = "ipv6-no-ptr"
    if cause == "content" and command in UNSEEN:
        cause = "ip-listed"
    listed = LIST.search(text)
    return Refusal(
        cause=cause,
        permanent=code[0] == "5",
        stage=command,
        code=code,
        dsn=dsn,
        text=text,
        address=address,
        whose=_whose(text, command) if address else "",
        listed_by=listed["list"].lower() if listed else "",
        page=f"{rule.page} ({rule.seen})" if rule.seen else rule.page,
    )


def template(said: str) -> str:
    """Return a reply without codes, mail addresses, paths, host addresses and numbers of mails."""
    text = AGAIN.sub(" ", said[:LONGEST])
    for pattern, put in FOLDS:
        text = pattern.sub(put, text)
    return " ".join(text.split())


NO_RULE = Rule("unknown", re.compile(""), "")


def rule_for(text: str, code: str, dsn: str, greeting: bool = False) -> Rule:
    """Return the rule that tells the cause of a folded reply, the codes among them; :data:`NO_RULE` where none does.

    ``greeting``: the host said so instead of greeting, where 5XX means that it takes no mail of this server.
    """
    permanent = code[0] == "5"
    detail = dsn.partition(".")[2]
    found = _first(RULES, text, permanent)
    # What is about a recipient is said with the recipient's codes; X.7.1 is said of everything.
    if found is None or found.page == "" or not found.seen:
        by_code = RECIPIENT_CODES.get(detail)
        if by_code and not (found and found.cause in ("ip-listed", "domain-listed", "greylisted")):
            return _of_code(by_code)
    if found:
        return found
    # A host that is in trouble says 4XX; for good, X.3.2 is how some refuse a server.
    if detail in CODES and not (permanent and CODES[detail] == "remote-trouble"):
        return _of_code(CODES[detail])
    found = _first(FALLBACK, text, permanent)
    if found:
        return found
    if permanent and (greeting or detail.startswith("7.")):
        return _of_code("policy-unknown")
    if not permanent and (greeting or code == "421"):
        return _of_code("remote-trouble")
    return NO_RULE


def _first(rules: tuple[Rule, ...], text: str, permanent: bool) -> Rule | None:
    for rule in rules:
        if rule.permanent in (None, permanent) and rule.words.search(text):
            return rule
    return None


@functools.cache
def _of_code(cause: Cause) -> Rule:
    return Rule(cause, NO_RULE.words, REGISTRY)


def _named(said: str) -> str:
    """Return the first address of a host in a reply, mail addresses and links aside."""
    plain = FOLDS[1][0].sub(" ", FOLDS[0][0].sub(" ", said[:LONGEST]))
    found = IP.search(plain)
    return found[0].lower() if found else ""


def _whose(text: str, stage: str) -> Whose:
    """Return whose address a reply names: before the mail was sent it can only be the one that connects."""
    if stage in (*UNSEEN, "RCPT TO"):
        return "ours"
    if MESSAGE.search(text):
        return "message"
    return "ours" if OURS.search(text) else ""
