"""Mends that mail of local programs is filtered: from sendmail, and from this host's own address."""

from __future__ import annotations

import ipaddress

from logscan.remedies.plan import RELOAD, RESTART, Change, Edit, Plan, not_shown
from logscan.remedies.steps import is_real_file, newline_of, set_override
from logscan.settings import Listener, Service, Settings, formats, is_loopback, split_list
from logscan.verdict import Remedy

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
    plan = Plan(settings)
    parts: list[str] = []
    blocked = ""
    restart = False
    place: tuple[str, int] | None = None
    filtered = settings.filtered()
    pickups = [each for each in filtered if each.command == "pickup"] if pickup else []
    if pickups:
        plan.changes += [set_override(settings, each, "content_filter", "") for each in pickups]
        parts.append("Let mail handed in with sendmail pass the filter by: an empty content_filter on pickup.")
    inner, wild = _loopback(settings) if loopback else ([], None)
    if inner:
        plan.changes += [set_override(settings, each.service, "content_filter", "") for each in inner]
        parts.append("Let programs on this host pass the filter by: an empty content_filter on the loopback line.")
    elif wild:
        service = wild.service
        split = None if wild.postscreen else _per_address(settings, service)
        restart = split is not None
        place = service.file, service.line
        if split:
            plan.changes.append(Change([], split, service.file, service.line))
        elif wild.postscreen:
            blocked = "The line of port 25 can't be split by address: postscreen stands in front of it. "
        else:
            parts.append(
                f'Replace the line "{service.name} {service.type}" in master.cf by one for each address: '
                "127.0.0.1:25 (and [::1]:25 with IPv6) with an empty content_filter, every outer address with all the "
                "options of today."
            )
            blocked = "(No diff: inet_interfaces doesn't spell out the addresses, or master.cf itself isn't at hand.) "
        if split:
            parts.append(
                f'Replace the line "{service.name} {service.type}" by one for each address: loopback with an empty '
                "content_filter, outer addresses as they are."
            )
        parts.append(("Instead, take" if wild.postscreen else "Or take") + _BY_CLIENT.format(wild.content_filter))
    if not parts:
        if settings.known("master"):
            return not_shown(settings, "mail of local programs isn't filtered")
        text = (
            "Set an empty content_filter on the service by which local programs hand in mail: on the pickup line for "
        )
        text += "sendmail; for 127.0.0.1:25 with a line of its own for that address in master.cf."
        return Remedy(f"{text} {_FETCHMAIL} {RELOAD}")
    if blocked:
        commands = [command for change in plan.changes for command in change.commands]
        text = "\n".join((" ".join(parts), *commands, f"{blocked}{_FETCHMAIL} {RELOAD}"))
        return Remedy(text, *(place or (None, None)))
    return plan.remedy(" ".join(parts), f"{_FETCHMAIL} {RESTART if restart else RELOAD}")


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
            inner.extend([*(["127.0.0.1"] if four else []), *(["[::1]"] if six else [])])
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
    freed = _without_filter(copy, service.indent, newline)
    if freed is None:
        return None
    added += [f"{host}:{port}{freed[rename:]}" for host in dict.fromkeys(inner)]
    first = next(iter(dict.fromkeys(outer)))
    tail = "".join(added)
    return [
        Edit(service.file, *service.name_span, f"{first}:{port}"),
        Edit(service.file, service.span[1], service.span[1], lead + (tail if not lead else tail.rstrip("\r\n"))),
    ]


def _without_filter(block: str, indent: str, newline: str) -> str | None:
    """Return one service's lines with an empty content_filter."""
    master = next(each for each in formats() if each.name == "master.cf")
    services = master.parse(block).services
    if len(services) != 1:
        return None
    override = services[0].override("content_filter")
    if override is None:
        return f"{block}{indent}-o content_filter={newline}"
    if override.value_span is None:
        return None
    begin, end = override.value_span
    return block[:begin] + block[end:]
