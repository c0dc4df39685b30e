"""Mends training calls that name the bare login: Dovecot's arguments get the domain spelled."""

from __future__ import annotations

import re
from typing import Literal

from logscan.remedies.plan import Edit, apply, unified
from logscan.settings import Entry, Settings, base_name, recognise
from logscan.verdict import Remedy


def training_arguments(settings: Settings) -> Remedy:
    """Return the remedy for training calls that name the bare login: the domain spelled in the arguments.

    A diff only with exactly one domain of local users and Dovecot's own file at hand.
    """
    dovecot = settings.dovecot
    fact = dovecot.training_arguments
    late = _version(dovecot.version) >= (2, 4)
    realm: Literal["auth_default_domain", "auth_default_realm"] = (
        "auth_default_domain" if late else "auth_default_realm"
    )
    domains = settings.mailbox_domains
    other = (
        f"Or complete the logins themselves with {realm} = {domains[0] if len(domains) == 1 else 'DOMAIN'} in Dovecot, "
        "after checking that no mail_location, mail_home, userdb or passdb depends on the bare name. Either way it "
        "suits one domain only."
    )
    if fact is None:
        text = "Let the command that calls dspam name the user with the domain: --user NAME@DOMAIN, not the bare login."
        return Remedy(f"{text} {other}")
    user = dovecot.training_user
    if user is None or "@" in user:
        said = f"names its user as {user}" if user else "names no user"
        text = (
            f"The training call {said} ({fact.file}:{fact.line}): compare that with the user the mail was filtered for."
        )
        return Remedy(text, fact.file, fact.line)
    changed = _spelled(fact.value, user, domains[0]) if len(domains) == 1 else None
    if changed is None:
        text = "In antispam_dspam_args let --user be followed by %n@DOMAIN instead of the bare login; there "
        text += (
            "are several domains here, and %n@DOMAIN suits one only: let users log in with their whole address, or set "
        )
        text += f"{realm} to the domain of those who don't."
        if len(domains) < 2:
            text = "In antispam_dspam_args let --user be followed by %n@DOMAIN, DOMAIN being the one that your users' "
            text += f"mail is filtered under. {other}"
        return Remedy(text, fact.file, fact.line)
    text = f"Spell the domain in the training call: antispam_dspam_args = {changed}"
    text += (
        f" (line {fact.line} of {fact.file}). %n is the login without its domain: a login with one gives the same user."
    )
    edits = _dovecot_edit(settings, fact.file, fact.line, fact.value, changed)
    diff = None
    if edits:
        old = settings.texts[fact.file]
        new = apply(old, edits)
        diff = unified(base_name(fact.file), old, new) if new is not None else None
    return Remedy(f"{text} {other} Then run: doveadm reload.", fact.file, fact.line, diff)


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
