"""Looks at both sides of the filter before anything is changed there: which services pass mail to it, which take it back.

A change on one side is right or harmful by what stands on the other. Where one of them isn't known for certain, or mail
comes by a way that the table of the two sides doesn't hold for, :attr:`Sides.doubt` says so, and the remedy is words.
"""

from __future__ import annotations

from dataclasses import dataclass

from logscan.settings import Service, Settings, parse_destination


@dataclass(frozen=True)
class Sides:
    """``front``: the services whose mail is filtered; ``back``: those that the filter hands it back to."""

    front: tuple[Service, ...]
    back: tuple[Service, ...]
    doubt: str = ""
    """Why no diff may be printed."""


def sides(settings: Settings) -> Sides:
    """Return the services before and behind the content filter."""
    back = tuple(each.service for each in settings.reinjection())
    keys = {each.key for each in back}
    front = tuple(each for each in settings.filtered() if each.key not in keys)
    if settings.filter_actions:
        front = tuple(each for each in settings.entrances() if each.key not in keys)
    return Sides(front, back, _doubt(settings, front, back))


def _doubt(settings: Settings, front: tuple[Service, ...], back: tuple[Service, ...]) -> str:
    proxied = [each.key for each in settings.entrances() if each.get("smtpd_proxy_filter").strip()]
    if proxied:
        return (
            f"Mail that enters by {', '.join(proxied)} goes through a proxy before the queue, so that its aliases are "
            "expanded behind the proxy only: with no_address_mappings there they never would be."
        )
    if not back:
        return "Which service the filter hands mail back to isn't told by the configuration given."
    destinations = {each.get("content_filter").strip() for each in front} - {""}
    if len(destinations) > 1:
        return f"There are several filters ({', '.join(sorted(destinations))}): see first which hands back to which service."
    if settings.dspam.facts or {"forward_method", "notify_method"} & set(settings.amavis):
        if settings.dspam.facts and not settings.dspam.delivery and _dspam_only(settings):
            return (
                "dspam.conf names no DeliveryHost: DSPAM hands mail back by a command, not to a service of master.cf."
            )
        return ""
    if len(back) > 1:
        names = ", ".join(each.key for each in back)
        return f"Several services look as if the filter handed mail back to them ({names}): make sure which does."
    return ""


def _dspam_only(settings: Settings) -> bool:
    return all(each.kind == "dspam" for each in settings.filters)


def unsigned_without(settings: Settings, service: Service) -> str:
    """Return why mail of this service would leave unsigned (DKIM) if it passed the filter by; empty where it wouldn't."""
    value = service.get("content_filter").strip()
    kinds = {each.kind for each in settings.filters if each.destination == value}
    if "amavis" in kinds or parse_destination(value).port == 10024:
        if not settings.known("amavis"):
            return "amavis may sign it (DKIM); its configuration isn't at hand"
        fact = settings.amavis.get("enable_dkim_signing")
        if fact is not None and fact.value.strip().strip("'\"") not in {"", "0", "undef"}:
            return f"amavis signs it (DKIM, {fact.file}:{fact.line})"
    name = "non_smtpd_milters" if service.command == "pickup" else "smtpd_milters"
    own = "no_milters" not in service.get("receive_override_options").lower() and service.get(name).strip()
    behind = [
        each.service
        for each in settings.reinjection()
        if each.service.get("smtpd_milters").strip()
        and "no_milters" not in each.service.get("receive_override_options").lower()
    ]
    if behind and not own:
        return f"the milters that may sign it (DKIM) run only behind the filter ({behind[0].key})"
    return ""
