"""Why a remote host refuses, from the reply in a delivery line: a cause, whose address it names, how it was found.

What no rule knows stays unknown and is told by its template. A reply is a stranger's text: it is judged once it is folded,
and nothing of a mail address or of the path of a link counts. Replies may be many and all different, so they are judged all
at once, by Arrow, whose expressions take a time that is proportional to the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

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

Ints = npt.NDArray[np.int64]

Whose = Literal["ours", "message", ""]
"""Whose address a reply names: the one that connects, one that stands in the mail, or it doesn't tell."""

HEAD = (
    r"^(?:delivery temporarily suspended: )?host (?P<host>[^\s\[\]]+)(?:\[[^\]\s]+\])?(?::\d+)? "
    r"(?P<said>(?:said|refused to talk to me): (?s:.*))$"
)
"""Postfix smtp/smtp_proto.c and smtp_trouble.c; qmgr puts its own words before it (qmgr_deliver.c, error(8))."""

MUTE = "refused to talk to me: "

UNSEEN = ("connect", "EHLO", "HELO", "MAIL FROM")
"""Stages at which nothing of a mail is known but its sender: what is called spam then is the host that sends."""

STAGE = re.compile(r" \(in reply to (?P<command>[A-Za-z ]+?)(?: command)?\)$")

CODE = re.compile(r"(?P<code>[245]\d\d)(?:[ -]|$)(?:(?P<dsn>[245]\.\d{1,3}\.\d{1,3})(?=\D|$))?", re.ASCII)

LONGEST = 1000
"""Characters of a reply that are looked at; Postfix cuts it at about 4,000."""

NUMBERS = (
    (r"<[^<>\s]*@[^<>\s]*>", "<>"),
    (r"(^|[^0-9A-Za-z_.+-])[0-9A-Za-z_.+=-]{1,80}@[0-9A-Za-z_.-]+", r"\1<>"),
    (r"\b(https?://[^\s/?#]{1,100})\S*", r"\1"),
    (
        r"(?i)\b(?:[0-9a-z]{8,}[0-9][0-9a-z]*|[0-9a-z]{4,}[0-9][0-9a-z]{4,}|[0-9a-z]*[0-9][0-9a-z]{8,})(?:[.-][0-9a-z]+)*\b",
        "…",
    ),
)
"""What is folded first: mail addresses, paths of links, numbers of mails. Replies of a host differ in little else."""

HOSTS = (
    (r"(^|[^0-9A-Za-z_.])\[?(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b\]?", r"\1[ip]"),
    (r"(?i)(^|[^0-9A-Za-z_:])\[?(?:[0-9a-f]{1,4}:+){2,7}[0-9a-f.]{0,15}\]?", r"\1[ip]"),
    (r"(?i)\bip=\[ip\]", "[ip]"),
    (r"\b[245]\.[0-9]{1,3}\.[0-9]{1,3}\b", " "),
    (r"\b[245][0-9][0-9][ -]", " "),
    (r"\s+", " "),
)
"""What is folded then: addresses of hosts, and the codes of each line of a reply (Postfix puts a blank between lines)."""

IP = re.compile(
    r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\w)|(?<![\w:])(?:[0-9a-f]{1,4}:+){2,7}[0-9a-f.]{1,15}(?![\w:])",
    re.IGNORECASE | re.ASCII,
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
    found = re.match(HEAD, reply)
    told = judged(folded(pa.array([found["said"]], pa.string())).to_pylist())[0] if found else None
    return (host_name(found["host"]), told) if found and told else None


def host_name(name: str) -> str:
    """Return a host's name as it is compared."""
    return name.lower().rstrip(".") or "(no name)"


def folded(said: pa.Array) -> pa.Array:
    """Return what hosts said (the ``said`` of :data:`HEAD`) without what differs in each: :data:`NUMBERS`."""
    return _replaced(pc.utf8_slice_codeunits(said, 0, LONGEST), NUMBERS)


def _replaced(words: pa.Array, folds: Sequence[tuple[str, str]]) -> pa.Array:
    for pattern, put in folds:
        words = pc.replace_substring_regex(words, pattern, put)
    return words


@dataclass(frozen=True)
class _Parts:
    """What a host said, in its parts."""

    said: str
    command: str
    code: str
    dsn: str

    @property
    def permanent(self) -> bool:
        return self.code[0] == "5"

    @property
    def detail(self) -> str:
        """The enhanced code without its class."""
        return self.dsn.partition(".")[2]


def judged(words: Sequence[str]) -> list[Refusal | None]:
    """Return what each host said (:func:`folded`) when it refused; None where that has no code of a refusal."""
    parts = [_parts(each) for each in words]
    there = [each for each in parts if each is not None]
    if not there:
        return [None] * len(parts)
    texts = pc.utf8_trim_whitespace(_replaced(pa.array([each.said for each in there], pa.string()), HOSTS))
    rules = _rules(texts, there)
    made = iter(_refusal(each, text, rule) for each, text, rule in zip(there, texts.to_pylist(), rules, strict=True))
    return [None if each is None else next(made) for each in parts]


def _parts(words: str) -> _Parts | None:
    said = words.partition(": ")[2]
    stage = STAGE.search(said)
    command = stage["command"] if stage else "connect" if words.startswith(MUTE) else ""
    first = CODE.match(said)
    if not first or first["code"][0] == "2":
        return None
    return _Parts(said[: stage.start()] if stage else said, command, first["code"], first["dsn"] or "")


def _refusal(parts: _Parts, text: str, rule: Rule) -> Refusal:
    cause, found = rule.cause, IP.search(parts.said)
    address = found[0].lower() if found else ""
    if cause == "no-ptr" and ":" in address:
        cause = "ipv6-no-ptr"
    if cause == "content" and parts.command in UNSEEN:
        cause = "ip-listed"
    listed = LIST.search(text)
    return Refusal(
        cause=cause,
        permanent=parts.permanent,
        stage=parts.command,
        code=parts.code,
        dsn=parts.dsn,
        text=text,
        address=address,
        whose=_whose(text, parts.command) if address else "",
        listed_by=listed["list"].lower() if listed else "",
        page=f"{rule.page} ({rule.seen})" if rule.seen else rule.page,
    )


NO_RULE = Rule("unknown", "", "")


def _rules(texts: pa.Array, parts: Sequence[_Parts]) -> list[Rule]:
    """Return the rule that tells the cause of each folded reply, its codes among them; :data:`NO_RULE` where none does."""
    permanent = np.array([each.permanent for each in parts], np.bool_)
    every = np.ones(len(parts), np.bool_)
    first = _first(RULES, texts, permanent, every)
    out: list[Rule | None] = [None] * len(parts)
    for row, each in enumerate(parts):
        out[row] = _by_words_and_codes(RULES[first[row]] if first[row] >= 0 else None, each)
    left = np.array([each is None for each in out], np.bool_)
    last = _first(FALLBACK, texts, permanent, left)
    return [
        rule or (FALLBACK[last[row]] if last[row] >= 0 else _without_words(parts[row])) for row, rule in enumerate(out)
    ]


def _by_words_and_codes(found: Rule | None, parts: _Parts) -> Rule | None:
    """Return what words and codes tell: of providers' texts the words, then a recipient's codes, words, other codes."""
    if found is None or not found.seen:
        by_code = RECIPIENT_CODES.get(parts.detail)
        if by_code and not (found and found.cause in ("ip-listed", "domain-listed", "greylisted")):
            return Rule(by_code, "", REGISTRY)
    if found:
        return found
    other = CODES.get(parts.detail)
    # A host that is in trouble says 4XX; for good, X.3.2 is how some refuse a server.
    return Rule(other, "", REGISTRY) if other and not (parts.permanent and other == "remote-trouble") else None


def _without_words(parts: _Parts) -> Rule:
    """Return what a reply without any known word means: 5XX instead of a greeting is a refusal of this server."""
    greeting = parts.command == "connect"
    if parts.permanent and (greeting or parts.detail.startswith("7.")):
        return Rule("policy-unknown", "", REGISTRY)
    if not parts.permanent and (greeting or parts.code == "421"):
        return Rule("remote-trouble", "", REGISTRY)
    return NO_RULE


def _first(
    rules: Sequence[Rule], texts: pa.Array, permanent: npt.NDArray[np.bool_], wanted: npt.NDArray[np.bool_]
) -> Ints:
    """Return, per wanted text, the place of the first rule whose words it has, or -1."""
    out = np.full(len(texts), -1, np.int64)
    left = np.flatnonzero(wanted)
    for place, rule in enumerate(rules):
        rows = left if rule.permanent is None else left[permanent[left] == rule.permanent]
        if not len(rows):
            continue
        some = texts if len(rows) == len(texts) else texts.take(pa.array(rows))
        has = pc.match_substring_regex(some, rule.words, ignore_case=True).to_numpy(zero_copy_only=False)
        out[rows[has]] = place
        left = left[out[left] < 0]
    return out


def _whose(text: str, stage: str) -> Whose:
    """Return whose address a reply names: before the mail was sent it can only be the one that connects."""
    if stage in (*UNSEEN, "RCPT TO"):
        return "ours"
    if MESSAGE.search(text):
        return "message"
    return "ours" if OURS.search(text) else ""
