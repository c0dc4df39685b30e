"""Mends that mail of local programs is filtered: from sendmail, and from this host's own address."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from functools import partial

from logscan.findings import Edit, Remedy
from logscan.remedies.freeing import freed, reasons
from logscan.remedies.plan import RELOAD, RESTART, Change, Plan, apply, not_shown
from logscan.remedies.steps import is_real_file, newline_of
from logscan.settings import Listener, Service, Settings, is_loopback, read_settings, split_list

KEY = "local-unfiltered"

_FETCHMAIL = (
    "Not where fetchmail or the like hands in mail from outside by this way: it would go unfiltered. Local programs' "
    "mail to users of this server is then not filtered either."
)
_BY_CLIENT = (
    ' content_filter away on port 25 and decide by client: "check_client_access static:{{FILTER {}}}" at the end of '
    "smtpd_recipient_restrictions, behind permit_mynetworks and permit_sasl_authenticated; this spares authenticated "
    "users on port 25 too."
)


def unfilter_local(settings: Settings, *, pickup: bool = True, loopback: bool = True) -> Remedy:
    """Return the remedy for local programs' mail that is filtered: by sendmail (``pickup``), by 127.0.0.1:25, or both.

    For loopback a diff only where ``inet_interfaces`` spells out the addresses and no postscreen stands in front.
    """
    key = f"{KEY}-{'both' if pickup and loopback else 'sendmail' if pickup else 'loopback'}"
    if not settings.known("master"):
        text = (
            "Set an empty content_filter on the service by which local programs hand in mail: on the pickup line for "
            "sendmail; for 127.0.0.1:25 with a line of its own for that address in master.cf."
        )
        return Remedy(f"{text} {_FETCHMAIL} {RELOAD}", key=key)
    filtered = settings.filtered()
    pickups = [each for each in filtered if each.command == "pickup"] if pickup else []
    inner, wild = _loopback(settings) if loopback else ([], None)
    parts: list[str] = []
    if pickups:
        parts.append("Let mail handed in with sendmail pass the filter by: an empty content_filter on pickup.")
    if inner:
        parts.append("Let programs on this host pass the filter by: an empty content_filter on the loopback line.")
    services = [*pickups, *(each.service for each in inner)]
    doubts = reasons(settings, [*services, *([wild.service] if wild else [])])
    changes = [change for each in services for change in freed(settings, each)]
    split = None
    if wild and not wild.postscreen and not doubts:
        split = _per_address(settings, wild.service)
    if split and wild:
        changes.append(Change([], split, wild.service.file, wild.service.line))
    if wild:
        parts += _wild_words(wild, bool(split))
        if not split:
            doubts.append(
                "The line of port 25 can't be split by address: postscreen stands in front of it."
                if wild.postscreen
                else "(No diff: inet_interfaces doesn't spell out the addresses, or master.cf itself isn't at hand.)"
            )
    if not parts:
        return not_shown(settings, "mail of local programs isn't filtered", key)
    if doubts:
        first = wild.service if wild else services[0]
        commands = [command for change in changes for command in change.commands]
        text = "\n".join((" ".join(parts), *commands, " ".join((*doubts, _FETCHMAIL, RELOAD))))
        return Remedy(text, first.file, first.line, key=key)
    text, after = " ".join(parts), f"{_FETCHMAIL} {RESTART if split else RELOAD}"
    remedy = Plan(settings, changes).remedy(text, after, key=key, needs=("restart",) if split else ())
    return replace(remedy, again=partial(unfilter_local, pickup=pickup, loopback=loopback))


def _wild_words(wild: Listener, split: bool) -> list[str]:
    line = f'"{wild.service.name} {wild.service.type}"'
    by_client = _BY_CLIENT.format(wild.content_filter)
    if split:
        return [
            f"Replace the line {line} by one for each address: loopback with an empty content_filter, outer addresses as "
            "they are.",
            "Or take" + by_client,
        ]
    if wild.postscreen:
        return ["Instead, take" + by_client]
    return [
        f"Replace the line {line} in master.cf by one for each address: 127.0.0.1:25 (and [::1]:25 with IPv6) with an "
        "empty content_filter, every outer address with all the options of today.",
        "Or take" + by_client,
    ]


def _loopback(settings: Settings) -> tuple[list[Listener], Listener | None]:
    """Return the filtered port-25 listeners on loopback alone; or, without any, the one on all addresses."""
    listeners = settings.listeners_on(25)
    own = [each for each in listeners if each.loopback]
    if own:
        return [each for each in own if each.content_filter], None
    return [], next((each for each in listeners if each.content_filter and not each.address), None)


def _per_address(settings: Settings, service: Service) -> list[Edit] | None:
    """Return the edits that split a wildcard line by address; None where that can't be promised."""
    if not is_real_file(settings, service.file) or not settings.postfix.fact("inet_interfaces"):
        return None
    protocols = set(split_list(settings.postfix.get("inet_protocols").lower()))
    six, four = bool(protocols & {"all", "ipv6"}), bool(protocols & {"all", "ipv4"})
    inner: list[str] = []
    outer: list[str] = []
    for item in split_list(settings.postfix.get("inet_interfaces").lower()):
        if item == "localhost":
            if six:
                return None  # whether the name has an IPv6 address here isn't told, and a wrong one stops Postfix
            inner.append("127.0.0.1")
            continue
        try:
            address = ipaddress.ip_address(item.strip("[]"))
        except ValueError:
            return None
        if not (six if address.version == 6 else four):
            continue
        name = f"[{address}]" if address.version == 6 else str(address)
        (inner if is_loopback(str(address)) else outer).append(name)
    if not inner or not outer:
        return None
    text = settings.texts[service.file]
    newline = newline_of(text)
    block = text[service.span[0] : service.span[1]]
    copy = newline.join(service.raw) + newline
    if "service_name" in "".join(each.value for each in service.overrides):
        return None  # its new name would show in the log
    port = 25
    rename = len(service.name)
    lead = "" if block.endswith("\n") else newline
    added = [f"{host}:{port}{copy[rename:]}" for host in dict.fromkeys(outer)][1:]
    inside = _without_filter(settings, service, copy)
    if inside is None:
        return None
    added += [f"{host}:{port}{inside[rename:]}" for host in dict.fromkeys(inner)]
    first = next(iter(dict.fromkeys(outer)))
    tail = "".join(added)
    return [
        Edit(service.file, *service.name_span, f"{first}:{port}"),
        Edit(service.file, service.span[1], service.span[1], lead + (tail if not lead else tail.rstrip("\r\n"))),
    ]


def _without_filter(settings: Settings, service: Service, block: str) -> str | None:
    """Return a copy of a service's own lines with an empty content_filter and its aliases expanded."""
    label = service.file
    alone = read_settings(
        [(label, block), *((f, t) for f, t in settings.texts.items() if settings.kinds.get(f) == "main.cf")]
    )
    alone.postfix.origin[label] = "file"
    if len(alone.postfix.services) != 1:
        return None
    edits: list[Edit] = []
    for change in freed(alone, alone.postfix.services[0]):
        if not change.edits:
            return None
        edits += change.edits
    return apply(alone.texts[label], edits)
