"""Mends how users hand in mail: over a submission port instead of port 25, and past the filter."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from logscan.findings import Remedy
from logscan.remedies.freeing import freed, reasons
from logscan.remedies.plan import RELOAD, Plan, not_shown
from logscan.remedies.steps import set_override
from logscan.settings import Listener, Settings

AUTH = "no-auth-on-25"
SUBMISSION = "submission-unfiltered"


def refuse_auth_on_25(settings: Settings) -> Remedy:
    """Return the second half of the remedy for logins on port 25: no AUTH there, once the users have moved."""
    offering = [each for each in settings.listeners_on(25) if each.sasl and not each.loopback]
    warning = (
        "Only after the users named have moved, and webmail or programs that log in on port 25 with them: until then "
        "this locks them out."
    )
    own = own_domains_words(settings, offering)
    if not settings.known("master"):
        text = f"Set smtpd_sasl_auth_enable=no on the smtpd service of port 25 in master.cf. {warning} {own} {RELOAD}"
        return Remedy(text, key=AUTH)
    if not offering:
        return not_shown(settings, "port 25 offers no authentication", AUTH)
    changes = [set_override(settings, each.service, "smtpd_sasl_auth_enable", "no") for each in offering]
    where = "on the smtpd behind postscreen (smtpd pass)" if offering[0].postscreen else "on port 25"
    text = f"Offer no authentication {where}: smtpd_sasl_auth_enable=no."
    if not submission_ports(settings):
        text = "First open a submission service (port 587) in master.cf: there is none, and users would have nowhere to go. "
        text += f"When they use it, offer no authentication {where}: -o smtpd_sasl_auth_enable=no."
        return Remedy(f"{text} {warning} {own} {RELOAD}", changes[0].file, changes[0].line, key=AUTH)
    remedy = Plan(settings, changes).remedy(text, f"{warning} {own} {RELOAD}", key=AUTH, needs=("users",))
    return replace(remedy, again=refuse_auth_on_25)


def own_domains_words(settings: Settings, offering: list[Listener]) -> str:
    """Return how to keep programs from falling back to mail without a login, and whom that refuses besides."""
    name = offering[0].service.key if offering else "smtp/inet"
    held = offering[0].service.get("smtpd_sender_restrictions").strip() if offering else ""
    rest = f", and behind these what stands there today ({held})" if held else ""
    return (
        "Some mail programs fall back to sending without a login, and vanish from sight. To see them, refuse mail from "
        f"your own domains there, on this service only (-o smtpd_sender_restrictions=... on {name}; in main.cf it would "
        "lock users out of 587): permit_mynetworks, permit_sasl_authenticated, then check_sender_access with a table "
        f"of your domains (DOMAIN REJECT){rest}. This also refuses mailing lists, forwarders and web shops that send as your "
        "domain from elsewhere: see first who does (warn_if_reject before check_sender_access logs and lets through)."
    )


def submission_ports(settings: Settings) -> set[int]:
    """Return the submission ports on which users can log in."""
    return {each.port for each in settings.listeners() if each.port in {465, 587} and each.sasl and not each.loopback}


def move_to_submission(settings: Settings, user: str | None = None) -> Remedy:
    """Return the whole remedy for logins on port 25: a message to the user, then :func:`refuse_auth_on_25`."""
    refuse = refuse_auth_on_25(settings)
    ports = submission_ports(settings)
    ways = ["port 587 with STARTTLS"] if 587 in ports or 465 not in ports else []
    ways += ["port 465 with SSL/TLS"] if 465 in ports else []
    text = f"First let the users named change the outgoing server's port to {' or '.join(ways)}. Then: {refuse.text}"
    host = settings.postfix.get("myhostname") or "our mail server"
    message = (
        f"Hello,\n\nyour mail program{f' (login {user})' if user else ''} sends mail through port 25 of {host}. That "
        "port is meant for mail from other servers, and treats what it takes as such: your own mail may be taken for "
        "spam.\n\nPlease change the settings of your mail program for outgoing mail (SMTP):\n"
        f"  server: {host}\n  port and encryption: {' or '.join(ways)}\n  login and password: as before\n\n"
        "Port 25 will stop accepting logins. Please do this on each device that you send mail from. Thank you.\n"
    )
    again = partial(move_to_submission, user=user) if refuse.again else None
    return replace(refuse, text=text, message=message, again=again)


def unfilter_submission(settings: Settings, tag: str | None = None) -> Remedy:
    """Return the remedy for a filtered submission service (all of them, or the one that logs under ``tag``)."""
    wanted: list[Listener] = []
    for each in settings.listeners():
        submission = each.port in {465, 587} or (each.sasl and each.port != 25 and not each.loopback)
        if each.content_filter and (submission if tag is None else each.tag == tag):
            wanted.append(each)
    after = (
        "Viruses and spam that a stolen password sends are then not stopped by the filter; where outgoing mail is "
        "filtered on purpose, let the filter not tag it instead."
    )
    if not wanted and settings.known("master"):
        others = [each for each in settings.filters if each.via != "content_filter"]
        if others:
            named = ", ".join(f"{each.via} {each.destination}" for each in others)
            text = f"No submission service has a content_filter; mail reaches the filter by {named}: spare your users' there."
            return Remedy(f"{text} {after} {RELOAD}", key=SUBMISSION)
        return not_shown(settings, "no submission service is filtered", SUBMISSION)
    if not wanted:
        text = "Set an empty content_filter (-o content_filter=) on the submission service in master.cf, and take "
        text += "no_address_mappings out of its receive_override_options if it has it."
        return Remedy(f"{text} {after} {RELOAD}", key=SUBMISSION)
    services = [each.service for each in wanted]
    names = ", ".join(each.name for each in services)
    text = f"Let your users' own mail pass the filter by: an empty content_filter on {names}"
    text += ", and their aliases expanded on the way in." if _mapped(settings, wanted) else "."
    doubts = reasons(settings, services)
    if doubts:
        return Remedy(" ".join((text, *doubts, after, RELOAD)), services[0].file, services[0].line, key=SUBMISSION)
    changes = [change for each in services for change in freed(settings, each)]
    remedy = Plan(settings, changes).remedy(text, f"{after} {RELOAD}", key=SUBMISSION)
    return replace(remedy, again=partial(unfilter_submission, tag=tag))


def _mapped(settings: Settings, listeners: list[Listener]) -> bool:
    return any(settings.mapping(each.service).off for each in listeners)
