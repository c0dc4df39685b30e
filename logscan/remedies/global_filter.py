"""Mends a content_filter in main.cf, which holds for mail of users and local programs too."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from logscan.findings import Remedy
from logscan.remedies.freeing import freed, reasons
from logscan.remedies.local import unfilter_local
from logscan.remedies.plan import RELOAD, Change, Plan, joined, not_shown
from logscan.remedies.steps import drop_parameter, set_override
from logscan.settings import Listener, Service, Settings

KEY = "filter-port-25-only"


def filter_port_25_only(settings: Settings, *, loopback: bool = False) -> Remedy:
    """Return the remedy for a global filter: content_filter moves from main.cf to the smtpd of port 25.

    Services on other outer ports that take mail without authentication keep the filter. Pickup and the submission
    services lose it, also where they name one themselves. With ``loopback`` mail to 127.0.0.1:25 does too.
    """
    if loopback:
        inside = partial(unfilter_local, pickup=False)
        both = joined(settings, filter_port_25_only(settings), inside, f"{KEY}-and-loopback")
        return replace(both, again=partial(filter_port_25_only, loopback=True)) if both.edits else both
    fact = settings.postfix.fact("content_filter")
    value = settings.postfix.get("content_filter").strip()
    if fact is None or not value:
        if settings.known("postfix"):
            return not_shown(settings, "main.cf sets no content_filter for all", KEY)
        text = "Move content_filter from main.cf to the smtpd service of port 25 in master.cf (-o content_filter=...), and "
        text += "see that pickup and the submission services have none of their own."
        return Remedy(f"{text} {RELOAD}", key=KEY)
    back = {each.service.key for each in settings.reinjection()}
    keep = [each for each in settings.listeners() if _strangers(each, back)]
    kept = {each.service.key for each in keep}
    free = [each for each in settings.filtered() if each.key not in kept and each.key not in back]
    named = [each for each in free if each.options.get("content_filter")]
    text = "Filter only mail from outside: move content_filter from main.cf to the smtpd of port 25 in master.cf"
    text += f", and take it away from {', '.join(each.key for each in named)} too." if named else "."
    after = f"No longer filtered: {', '.join(each.key for each in free) or 'mail from local programs and users'}."
    after += " Mail of local programs to 127.0.0.1:25 still is, and that of users who log in on port 25. " + RELOAD
    doubts = reasons(settings, free)
    if not any(each.port == 25 for each in keep):
        doubts.append("No smtpd of port 25 in the master.cf given uses it.")
    if doubts:
        return Remedy(" ".join((text, *doubts, after)), fact.file, fact.line, key=KEY)
    changes = [
        set_override(settings, each.service, "content_filter", fact.value.strip())
        for each in keep
        if not each.service.options.get("content_filter")
    ]
    changes += [change for each in free for change in _freed(settings, each)]
    drop = drop_parameter(settings, fact.file, "content_filter")
    changes.append(Change(["postconf -X content_filter"], drop, fact.file, fact.line))
    return replace(Plan(settings, changes).remedy(text, after, key=KEY), again=filter_port_25_only)


def _freed(settings: Settings, service: Service) -> list[Change]:
    """Return the steps that free a service; one without a filter of its own is freed by main.cf."""
    steps = freed(settings, service)
    return steps if service.options.get("content_filter") else steps[1:]


def _strangers(listener: Listener, back: set[str]) -> bool:
    """Whether a listener takes mail from strangers: port 25, or an outer port without logins."""
    if listener.loopback or listener.service.key in back or not listener.content_filter:
        return False
    return listener.port == 25 or (not listener.sasl and listener.port not in {465, 587})
