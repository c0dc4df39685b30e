"""Takes a reply out of what people have at hand: a bare reply of several lines, a log line, a bounce message's paragraph."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from logscan.checking.connections import PRIVATE
from logscan.checking.postfix_texts import of_delivery
from logscan.checking.refusals import HEAD, STAGE

By = Literal["host", "here", "agent", "door", "somebody"]
"""Who said it: another host; a program of this host behind a socket; Postfix's delivery agent; smtpd here, to a client; or that
isn't told (a bare reply)."""

LONGEST = 8000
"""Characters that are looked at: Postfix cuts a reply at about 4,000."""


@dataclass(frozen=True)
class Spoken:
    """A reply, taken apart. Everything in it is a stranger's text."""

    by: By
    said: str
    """On one line, without what stood around it."""
    code: str = ""
    dsn: str = ""
    """The enhanced code that the reply itself holds; of the agent's own reasons, its line's. Postfix puts one of its own into
    the line of a reply without any: that one tells nothing."""
    host: str = ""
    address: str = ""
    stage: str = ""
    """The command that it answers; ``connect`` where the host refused to talk."""
    status: str = ""
    """What Postfix made of it, as its line says: deferred, bounced, sent, reject …"""


_DELIVERY = re.compile(
    r"(?:\brelay=(?P<relay>[^, ]{1,300}), .{0,200}?)?\b(?:dsn=(?P<dsn>[245](?:\.\d{1,3}){2}), )?"
    r"status=(?P<status>[A-Za-z-]{1,20})(?:,[^()]{0,60})? \((?P<reason>.*)\)",
    re.ASCII,
)
"""Postfix global/log_adhoc.c."""

_DOOR = re.compile(
    r"\b(?P<action>(?:milter-|proxy-)?reject(?:_warning)?): (?P<stage>[A-Z][A-Za-z-]{1,20}(?: TO| FROM)?|[a-z][a-z ]{3,20} "
    r"[A-Za-z]{1,12}|DATA content)(?: command)?(?: from (?P<client>\S{1,400}))?: (?P<said>.*)",
)
"""Postfix smtpd/smtpd_check.c (log_whatsup), smtpd_milter.c, postscreen/postscreen_smtpd.c."""

_HEADER = re.compile(r"\b(?P<action>reject): (?:header|body|mime-header|nested-header) .*helo=<[^<>]*>: (?P<said>.*)")
"""Postfix cleanup/cleanup_message.c."""

_EXPIRED = re.compile(r"\bstatus=(?P<status>(?:force-)?expired), (?P<said>returned to sender)\b")
"""Postfix qmgr/qmgr_active.c."""

_BEHIND = re.compile(r"; (?:from=<|to=<|proto=)")
_HEAD = re.compile(HEAD)
_PLACE = re.compile(r"\[(?P<place>[^\]\s]{1,200})\]")
_NEAR = re.compile(PRIVATE)
_SUSPENDED = "delivery temporarily suspended: "
_CODE = re.compile(
    r"(?P<code>[2345]\d\d)(?:[ -]|$)\s*#?(?P<dsn>[245]\.\d{1,3}\.\d{1,3})?(?![\d.]*\d)"
    r"|(?P<only>[245]\.\d{1,3}\.\d{1,3})(?![.\d])",
    re.ASCII,
)
_INSIDE = re.compile(
    r"(?<![\w.:])[45]\d\d[ -]#?[45]\.\d{1,3}\.\d{1,3}(?![.\d])|(?<![\w.:])[45]\d\d(?:-| (?=[A-Za-z<\[]))", re.ASCII
)
_AROUND = re.compile(
    r"^(?:<[^<>\s]{1,320}>(?: \(expanded from <[^<>\s]{1,320}>\))?: |(?i:diagnostic-code:)? ?(?i:smtp|lmtp|x-[a-z-]{1,20}); ?)"
)
"""What a bounce message puts before it (bounce/bounce_notify_util.c, RFC 3464)."""


def spoken(text: str) -> Spoken:
    """Return what was said, by whom, and at what; never raises. A text without any code is the delivery agent's, or nobody's."""
    line = " ".join(part for part in (each.strip() for each in text[:LONGEST].splitlines()) if part)
    if found := _DELIVERY.search(line):
        return _reason(found["reason"], found["status"], found["dsn"] or "", found["relay"] or "")
    if found := _EXPIRED.search(line):
        return Spoken("agent", found["said"], status=found["status"])
    if found := _DOOR.search(line) or _HEADER.search(line):
        return _at_door(found)
    return _reason(_AROUND.sub("", line), "", "", "")


def log_line(text: str) -> bool:
    """Whether a line of text is one of a log that holds a reply."""
    line = text[:LONGEST]
    return any(each.search(line) for each in (_DELIVERY, _EXPIRED, _DOOR, _HEADER))


def _at_door(found: re.Match[str]) -> Spoken:
    groups = found.groupdict()
    said = groups["said"]
    behind = _BEHIND.search(said)
    said = said[: behind.start()] if behind else said
    code, dsn = _codes(said)
    return Spoken("door", said, code, dsn, "", groups.get("client") or "", groups.get("stage") or "", groups["action"])


def _reason(reason: str, status: str, dsn: str, relay: str) -> Spoken:
    """Take the reason of a delivery line apart, or a reply without a line around it."""
    found = _HEAD.match(reason)
    if not found:
        return _bare(reason.removeprefix(_SUSPENDED), status, dsn, relay)
    mute, _, said = found["said"].partition(": ")
    stage = STAGE.search(said)
    place = _PLACE.search(reason[: found.start("said")])
    address = place["place"] if place else ""
    said = said[: stage.start()] if stage else said
    code, own = _codes(said)
    command = "connect" if mute != "said" else stage["command"] if stage else ""
    return Spoken("here" if _near(address) else "host", said, code, own, found["host"], address, command, status)


def _bare(said: str, status: str, dsn: str, relay: str) -> Spoken:
    """Return a reply that no host is named for. In a log's line it is the agent's word, or what the next hop took it with."""
    code, own = _codes(said)
    if not code and (status or of_delivery(said)):
        return Spoken("agent", said, "", own or dsn, "", "", "", status)
    if not code and not own and (inside := _INSIDE.search(said)):
        # 'Remote server returned …', a quoted reply in a letter: the reply begins within.
        said = said[inside.start() :].strip("'\" ")
        code, own = _codes(said)
    stage = STAGE.search(said)
    said = said[: stage.start()] if stage else said
    if not code and not own:
        return Spoken("agent", said, "", dsn, "", "", "", status)
    host, _, rest = relay.partition("[")
    place = rest.partition("]")[0]
    by: By = "somebody" if not relay else "here" if _near(place) else "host"
    return Spoken(by, said, code, own, host, place, stage["command"] if stage else "", status)


def _near(place: str) -> bool:
    """Whether a place in brackets is a socket, or an address of this host or its own network."""
    return "/" in place or bool(_NEAR.match(f"{place}]"))


def _codes(said: str) -> tuple[str, str]:
    found = _CODE.match(said)
    return (found["code"] or "", found["dsn"] or found["only"] or "") if found else ("", "")
