"""What a reply means in plain words: by whom it was said, why, whose matter it is, what becomes of the mail, what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa

from logscan.checking import mailbox_cures, postfix_texts, status_codes
from logscan.checking.mailbox_replies import OVER_QUOTA, of_agent, of_reply
from logscan.checking.refusal_remedies import OF, REMEDIES, WHOSE, Whose
from logscan.checking.refusal_texts import IN_WORDS, REGISTRY
from logscan.checking.refusals import Refusal, folded, judged
from logscan.checking.spoken import Spoken, spoken


@dataclass(frozen=True)
class Explanation:
    """A reply and what it means. ``means``, ``whose``, ``becomes`` and ``todo`` are sentences without an end."""

    reply: str
    by: str
    """Who said it, in words."""
    host: str
    address: str
    stage: str
    code: str
    code_means: str
    enhanced: str
    enhanced_means: str
    cause: str
    """A name for why; ``unknown`` where neither text nor code tells."""
    means: str
    known_by: str
    """``text``, ``code``, or empty: nothing is known but what the codes say."""
    page: str
    """Where that stands, and when it was looked up, where it is a provider's text."""
    whose: Whose
    whose_matter: str
    becomes: str
    todo: str


@dataclass(frozen=True)
class _Told:
    """What a reply tells by itself."""

    cause: str
    means: str
    known_by: str
    page: str
    whose: Whose
    todo: str


UNKNOWN = "the text isn’t known here; "


@lru_cache(4096)
def explained(reply: str) -> Explanation:
    """Return what a reply means: one as a server gave it (also of several lines), or a whole line of a log."""
    found = spoken(reply)
    told = _told(found)
    return Explanation(
        reply=found.said,
        by=_by(found),
        host=found.host,
        address=found.address,
        stage=found.stage,
        code=found.code,
        code_means=status_codes.basic(found.code),
        enhanced=found.dsn,
        enhanced_means=status_codes.enhanced(found.dsn),
        cause=told.cause,
        means=told.means,
        known_by=told.known_by,
        page=told.page,
        whose=told.whose,
        whose_matter=WHOSE[told.whose],
        becomes=_becomes(found),
        todo=told.todo,
    )


def _by(found: Spoken) -> str:
    match found.by:
        case "door":
            return "this server, to a client that connected"
        case "here":
            return "a program of this host or network (mailbox server, filter, relay)"
        case "host":
            return "another host, to this server"
        case "agent":
            own = found.status or postfix_texts.of_delivery(found.said)
            return "Postfix itself, of its own attempt" if own else "nobody that is told"
    return "somebody: it isn’t told who; taken for what another host said to this server"


def _told(found: Spoken) -> _Told:
    if _class(found) in ("2", "3"):
        return _Told(
            "accepted",
            "no refusal: the command, or the mail, was taken",
            "code",
            status_codes.BASIC_PAGE,
            "unknown",
            "Nothing",
        )
    if found.by == "door":
        return _at_door(found)
    if found.by == "agent":
        return _of_agent(found)
    return (_of_mailbox(found) if found.by == "here" else None) or _of_host(found)


def _class(found: Spoken) -> str:
    return (found.code or found.dsn)[:1] if found.by != "agent" else ""


def _at_door(found: Spoken) -> _Told:
    own = postfix_texts.at_door(found.said)
    return (
        _of_own(own)
        if own
        else _by_codes(found, "ours", "Look for the text in main.cf, its tables, and the milters’ settings")
    )


def _of_agent(found: Spoken) -> _Told:
    if own := postfix_texts.of_delivery(found.said):
        return _of_own(own)
    if cause := of_agent(found.said):
        return _mailbox(cause, found)
    return _by_codes(
        found, "unknown", "Look at Postfix’s other lines of the same second" if found.status else REMEDIES["unknown"]
    )


def _of_own(own: postfix_texts.Own) -> _Told:
    return _Told(own.name, own.means, "text", own.page, own.whose, own.todo.rstrip("."))


def _of_mailbox(found: Spoken) -> _Told | None:
    cause = of_reply(f"said: {found.code} {found.dsn} {_rest(found)}")
    return _mailbox(cause, found) if cause else None


_ADDRESS = re.compile(r"<([^<>\s@]{1,64}@[^<>\s]{1,255})>")


def _mailbox(cause: str, found: Spoken) -> _Told:
    who = _ADDRESS.search(found.said)
    cure = mailbox_cures.cure(cause, "SCRIPT", [who[1] if who else "ADDRESS"])
    means = mailbox_cures.IN_WORDS[cause]
    whose: Whose = "recipient" if cause == OVER_QUOTA else "ours"
    return _Told(cause, means, "text", "Dovecot lmtp/lmtp-local.c; Postfix global/sys_exits.c", whose, cure.rstrip("."))


def _rest(found: Spoken) -> str:
    """Return a reply without the codes that it begins with."""
    said = found.said[len(found.code) :].lstrip(" -") if found.code else found.said
    return said[len(found.dsn) :].lstrip() if found.dsn and said.startswith(found.dsn) else said


VAGUE = ("unknown", "policy-unknown", "rate", "remote-trouble")
"""Causes that a text of :data:`postfix_texts.ELSEWHERE` says better."""


def _of_host(found: Spoken) -> _Told:
    refusal = _judged(found)
    if (refusal is None or refusal.cause in VAGUE) and (own := postfix_texts.elsewhere(_rest(found))):
        return _of_own(own)
    guess = refusal is not None and refusal.cause == "policy-unknown" and refusal.page.startswith(REGISTRY)
    if refusal is None or refusal.cause == "unknown" or guess:
        return _by_codes(found, "ours" if found.by == "here" else "unknown", REMEDIES["unknown"])
    known_by = "code" if refusal.page.startswith(REGISTRY) else "text"
    whose = OF[refusal.cause]
    if refusal.cause == "ip-listed" and refusal.whose == "message":
        whose = "sender"  # an address that stands in the mail
    said = (
        "it is put off for now: "
        if not refusal.permanent and refusal.cause not in ("greylisted", "remote-trouble")
        else ""
    )
    lists = f" ({refusal.listed_by})" if refusal.listed_by else ""
    return _Told(
        refusal.cause,
        said + IN_WORDS[refusal.cause] + lists,
        known_by,
        refusal.page,
        whose,
        REMEDIES[refusal.cause].rstrip("."),
    )


def _judged(found: Spoken) -> Refusal | None:
    code = found.code or f"{found.dsn[:1]}50"
    text = found.said if found.code else f"{code} {found.said}"
    stage = "" if found.stage in ("", "connect") else f" (in reply to {found.stage} command)"
    words = f"{'refused to talk to me' if found.stage == 'connect' else 'said'}: {text}{stage}"
    return judged(folded(pa.array([words], pa.string())).to_pylist())[0]


def _by_codes(found: Spoken, whose: Whose, todo: str) -> _Told:
    """Return what is left where no text is known: what the codes say."""
    if found.dsn and (status_codes.registered(found.dsn) or not found.code):
        means = f"{UNKNOWN}the code alone says: {status_codes.enhanced(found.dsn)}"
        page = status_codes.REGISTRY_PAGE
    elif found.code:
        means, page = f"{UNKNOWN}the code alone says: {status_codes.basic(found.code)}", status_codes.BASIC_PAGE
    else:
        means, page = f"{UNKNOWN}and there is no code in it", ""
    return _Told("unknown", means, "code" if page else "", page, whose, todo.rstrip("."))


WAITS = (
    "it waits in the queue and is tried again, until maximal_queue_lifetime (5 days unless set) is over; then it goes back to "
    "its sender"
)
RETURNED = "it goes back to its sender, with this text"
OUTCOMES = {
    "deferred": WAITS,
    "softbounce": WAITS + " (soft_bounce makes a refusal for good one for now)",
    "bounced": "it went back to its sender, with this text",
    "expired": "it waited too long, and went back to its sender",
    "sent": "it was taken",
    "undeliverable": "there was none: it was a probe of the address (verify)",
    "deliverable": "there was none: it was a probe of the address (verify)",
}


def _becomes(found: Spoken) -> str:
    """Return what becomes of the mail."""
    kind = _class(found) or found.dsn[:1]
    if found.by == "door":
        if "warning" in found.status:
            return "it was let in all the same: a rule on trial (warn_if_reject)"
        waits = (
            "the client keeps it and tries again"
            if kind == "4"
            else "the client was told; its server gives it back to its sender"
        )
        return f"it isn’t in the queue here: {waits}"
    if done := OUTCOMES.get(found.status.lower()):
        return done
    if found.stage == "connect":
        return f"Postfix tries the domain’s other hosts; failing them, {WAITS}"
    return {"2": "it was taken", "4": WAITS, "5": RETURNED}.get(kind, "that can’t be told from this text")
