"""Mends how users hand in mail: over a submission port instead of port 25, and past the filter."""

from __future__ import annotations

from logscan.remedies.plan import RELOAD, Change, Plan, not_shown
from logscan.remedies.steps import drop_parameter, set_override
from logscan.settings import Listener, Settings
from logscan.verdict import Remedy


def refuse_auth_on_25(settings: Settings) -> Remedy:
    """Return the second half of the remedy for logins on port 25: no AUTH there, once the users have moved."""
    warning = (
        "Only after the users named have moved: until then this locks them out. Refuse mail from your own domains "
        "without authentication on port 25 at the same time (check_sender_access with your domains in "
        "smtpd_sender_restrictions, behind permit_mynetworks): otherwise some mail programs fall back to sending "
        "without authentication, and vanish from sight."
    )
    if not settings.known("master"):
        return Remedy(f"Set smtpd_sasl_auth_enable=no on the smtpd service of port 25 in master.cf. {warning} {RELOAD}")
    offering = [each for each in settings.listeners_on(25) if each.sasl and not each.loopback]
    if not offering:
        return not_shown(settings, "port 25 offers no authentication")
    changes = [set_override(settings, each.service, "smtpd_sasl_auth_enable", "no") for each in offering]
    where = "on the smtpd behind postscreen (smtpd pass)" if offering[0].postscreen else "on port 25"
    text = f"Offer no authentication {where}: smtpd_sasl_auth_enable=no."
    return Plan(settings, changes).remedy(text, f"{warning} {RELOAD}")


def move_to_submission(settings: Settings, user: str | None = None) -> Remedy:
    """Return the whole remedy for logins on port 25: a message to the user, then :func:`refuse_auth_on_25`."""
    refuse = refuse_auth_on_25(settings)
    ports = {each.port for each in settings.listeners() if each.port in {465, 587} and each.sasl}
    ways = ["port 587 with STARTTLS"] if 587 in ports or 465 not in ports else []
    ways += ["port 465 with SSL/TLS"] if 465 in ports else []
    open_first = ""
    if settings.known("master") and not ports:
        open_first = "First open a submission service (port 587) in master.cf: there is none. "
    who = user or "the users named"
    text = f"First let {who} change the outgoing server's port to {' or '.join(ways)}. Then: {refuse.text}"
    host = settings.postfix.get("myhostname") or "our mail server"
    message = (
        f"Hello,\n\nyour mail program{f' (login {user})' if user else ''} sends mail through port 25 of {host}. That "
        "port is meant for mail from other servers, and treats what it takes as such: your own mail may be taken for "
        "spam.\n\nPlease change the settings of your mail program for outgoing mail (SMTP):\n"
        f"  server: {host}\n  port and encryption: {' or '.join(ways)}\n  login and password: as before\n\n"
        "Port 25 will stop accepting logins. Please do this on each device that you send mail from. Thank you.\n"
    )
    return Remedy(open_first + text, refuse.file, refuse.line, refuse.diff, message)


def unfilter_submission(settings: Settings, tag: str | None = None) -> Remedy:
    """Return the remedy for a filtered submission service (all of them, or the one that logs under ``tag``)."""
    wanted: list[Listener] = []
    for each in settings.listeners():
        submission = each.port in {465, 587} or (each.sasl and each.port != 25 and not each.loopback)
        if each.content_filter and (submission if tag is None else each.tag == tag):
            wanted.append(each)
    if not wanted and settings.known("master"):
        return not_shown(settings, "no submission service is filtered")
    if not wanted:
        return Remedy(
            f"Set an empty content_filter (-o content_filter=) on the submission service in master.cf. {RELOAD}"
        )
    changes = [set_override(settings, each.service, "content_filter", "") for each in wanted]
    names = ", ".join(each.service.name for each in wanted)
    text = f"Let your users' own mail pass the filter by: an empty content_filter on {names}."
    after = "If outgoing mail is filtered on purpose, let the filter not tag it instead."
    return Plan(settings, changes).remedy(text, f"{after} {RELOAD}")


def filter_port_25_only(settings: Settings) -> Remedy:
    """Return the remedy for a global filter: content_filter moves from main.cf to the smtpd of port 25.

    Services on other outer ports that take mail without authentication keep the filter.
    """
    fact = settings.postfix.fact("content_filter")
    if fact is None or not settings.postfix.get("content_filter").strip():
        if settings.known("postfix"):
            return not_shown(settings, "main.cf sets no content_filter for all")
        text = "Move content_filter from main.cf to the smtpd service of port 25 in master.cf (-o content_filter=...)."
        return Remedy(f"{text} {RELOAD}")
    value = fact.value.strip()
    back = {each.service.key for each in settings.reinjection()}
    keep = [
        each
        for each in settings.listeners()
        if not each.loopback
        and "content_filter" not in each.service.options
        and each.service.key not in back
        and (each.port == 25 or not each.sasl)
        and each.port not in {465, 587}
    ]
    text = "Filter only mail from outside: move content_filter from main.cf to the smtpd of port 25 in master.cf."
    free = [each.key for each in settings.entrances() if not any(each is one.service for one in keep)]
    after = f"No longer filtered: {', '.join(free) or 'mail from local programs and authenticated users'}."
    after += " Mail of local programs to 127.0.0.1:25 still is. " + RELOAD
    if not any(each.port == 25 for each in keep):
        return Remedy(f"{text} {after}", fact.file, fact.line)
    changes = [set_override(settings, each.service, "content_filter", value) for each in keep]
    removal = Change(
        ["postconf -X content_filter"], drop_parameter(settings, fact.file, "content_filter"), fact.file, fact.line
    )
    return Plan(settings, [*changes, removal]).remedy(text, after)
