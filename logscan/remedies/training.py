"""Mends training calls that name another user than the mail was filtered for."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

from logscan.findings import Edit, Remedy
from logscan.remedies.plan import diff_of, not_shown
from logscan.settings import Entry, Settings, recognise

KEY = "training-arguments"
_RELOAD = (
    "Then run: doveconf > /dev/null && doveadm reload. Sessions that are open keep the old arguments until they end."
)


def training_arguments(settings: Settings, cause: str = "login-without-domain") -> Remedy:
    """Return the remedy for training calls that name the bare login: the domain spelled in the arguments.

    A diff only for logins without a domain, with exactly one domain of local users and Dovecot's own file at hand: no
    fixed domain mends a login that isn't the address, or that lies in another domain.
    """
    if cause != "login-without-domain":
        return _by_userdb(settings, cause)
    dovecot = settings.dovecot
    fact = dovecot.training_arguments
    domains = settings.mailbox_domains
    realm = _realm(settings, domains)
    if fact is None:
        text = "Let the command that calls dspam name the user with the domain: --user NAME@DOMAIN, not the bare login."
        return Remedy(f"{text} Or complete the logins themselves. {realm}", key=KEY)
    user = dovecot.training_user
    if user is None:
        text = (
            f"The training call names no user ({fact.file}:{fact.line}): let it name the one the mail was filtered for."
        )
        return Remedy(text, fact.file, fact.line, key=KEY)
    if "@" in user:
        said = f"the training call names its user as {user} ({fact.file}:{fact.line}), with a domain"
        return not_shown(settings, said, KEY, dovecot=True)
    if dovecot.default_domain:
        said = f"logins without a domain are completed ({dovecot.default_domain.file}:{dovecot.default_domain.line})"
        return not_shown(settings, said, KEY, dovecot=True)
    changed = _spelled(fact.value, user, domains[0]) if len(domains) == 1 else None
    if changed is None and len(domains) > 1:
        text = "There are several domains here, and a domain spelled in antispam_dspam_args suits one only. Right is only to "
        text += f"complete the logins themselves (or to have users log in with their whole address). {realm}"
        return Remedy(text, fact.file, fact.line, key=KEY)
    if changed is None:
        text = "In antispam_dspam_args let --user be followed by %n@DOMAIN instead of the bare login, DOMAIN being the one "
        text += f"that your users' mail is filtered under. Or complete the logins themselves. {realm}"
        return Remedy(text, fact.file, fact.line, key=KEY)
    text = f"Spell the domain in the training call: antispam_dspam_args = {changed}"
    text += (
        f" (line {fact.line} of {fact.file}). %n is the login without its domain: a login with one gives the same user. "
        f"It suits one domain only. Or complete the logins themselves. {realm}"
    )
    edits = _dovecot_edit(settings, fact.file, fact.line, fact.value, changed) or []
    diff = diff_of(settings, edits)
    made = Remedy(f"{text} {_RELOAD}", fact.file, fact.line, diff, key=KEY, edits=tuple(edits) if diff else ())
    return replace(made, again=partial(training_arguments, cause=cause)) if diff else made


def _realm(settings: Settings, domains: tuple[str, ...]) -> str:
    """Return how Dovecot completes logins, and what else depends on the login's name."""
    late = _version(settings.dovecot.version) >= (2, 4)
    name = "auth_default_domain" if late else "auth_default_realm"
    domain = domains[0] if len(domains) == 1 else "DOMAIN"
    text = f"{name} = {domain} in Dovecot gives every login without a domain that one."
    if len(domains) > 1:
        text += " Users of the other domains who log in without theirs would become users of this one: they must log in with "
        text += "their whole address."
    return (
        f"{text} Look first at what depends on the bare name: mail_location, mail_home and home of the userdb (%u, %d: "
        "mailboxes would be looked for elsewhere and seem empty), passdb and userdb keys (logins would fail), and in "
        "Postfix smtpd_sender_login_maps, whose right side must then hold the whole address, or users are refused as "
        "senders of their own mail."
    )


def _by_userdb(settings: Settings, cause: str) -> Remedy:
    fact = settings.dovecot.training_arguments
    text = "The login isn't the address that the mail was filtered for, so no domain spelled in the arguments helps."
    if cause == "other-domain":
        text = "The login's domain isn't the one that the mail was filtered for: the user has addresses in both."
    text += (
        " Let the userdb return the address: a field of the name antispam_dspam_args, with this user's arguments "
        "(...;--user;ADDRESS), takes the place of the plug-in's setting; or have the user log in with the address that "
        "the filter sees, or have mail to the other one rewritten to it before the filter (virtual alias)."
    )
    return Remedy(text, fact.file if fact else None, fact.line if fact else None, key=f"training-{cause}")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d{1,6}", text)[:2])


def _spelled(arguments: str, user: str, domain: str) -> str | None:
    """Return the arguments with the user's domain spelled out."""
    if user not in {"%u", "%n", "%Lu", "%Ln", "%{user}", "%{user | username}"} or not re.fullmatch(r"[\w.\-]+", domain):
        return None
    name = {"%Lu": "%Ln", "%Ln": "%Ln", "%{user}": "%{user | username}", "%{user | username}": "%{user | username}"}
    wanted = f"{name.get(user, '%n')}@{domain}"
    parts = arguments.split(";")
    for at, part in enumerate(parts):
        if part in {"--user", "-u"} and parts[at + 1 : at + 2] == [user]:
            parts[at + 1] = wanted
            return ";".join(parts)
        if part == f"--user={user}":
            parts[at] = f"--user={wanted}"
            return ";".join(parts)
    return None


def _dovecot_edit(settings: Settings, file: str, line: int, old: str, new: str) -> list[Edit] | None:
    """Return the edit of Dovecot's own file; None for what ``doveconf -n`` printed, where the file looks different."""
    text = settings.texts.get(file, "")
    known = recognise(file, text)
    if known is None or known.name != "doveconf":
        return None
    document = known.parse(text)
    entry: Entry | None = next((each for each in document.entries if each.line == line and each.value == old), None)
    if document.variant == "output" or entry is None or entry.value_span is None:
        return None
    if text[slice(*entry.value_span)] != old:
        return None
    return [Edit(file, *entry.value_span, new)]
