"""Mends that a filter at the door (a milter, a before-queue proxy) judges own mail; and gets back what a filter kept.

Always words: which of a server's milters sign mail (DKIM) isn't told by their addresses, and rspamd's, amavis's and
spamass-milter's own files aren't at hand.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from logscan.findings import Remedy
from logscan.remedies.plan import RELOAD
from logscan.settings import Fact, Settings, split_list

if TYPE_CHECKING:
    import pandas as pd

_SPAM = {"rspamd": r"rspamd|:11332\b", "amavis": r"amavis", "spamassassin": r"spamass|spamd"}

_RSPAMD = (
    "Let rspamd treat mail of {who} by settings of its own: in local.d/settings.conf {name} {{ priority = high; {test} = yes; "
    'apply {{ actions {{ "add header" = null; "rewrite subject" = null; greylist = null; quarantine = null; discard = null; }} '
    "}} }}. Then run: rspamadm configtest && systemctl reload rspamd. DKIM signing and rspamd's log go on as before. "
    "(reject stays: it stops a misused account or a hacked script, and the sender is told.)"
)
_RSPAMD_REJECT = (
    "Of rspamd's settings above, none changes that mail is refused: for that give reject a higher threshold among the same "
    "actions (reject = 30, above the points that this mail got), once you have looked why it got so many; reject = null takes "
    "away what a rule forces too."
)
_AMAVIS = (
    "Let amavis spare mail of {who}: a policy bank in amavisd.conf with originating => 1 and bypass_spam_checks_maps => [1] "
    "({how}). It goes on looking for viruses, and on signing."
)
_SPAMASS = "Let spamass-milter spare mail of {who}: its option {option}. Then restart it."


def spare_by_milter(settings: Settings, origin: str, kind: str = "", *, pickup: bool = False) -> Remedy:
    """Return the remedy for own mail that a milter judged, by how it came in: ``origin`` as the contract has it."""
    setups = [each for each in settings.filters if each.via == "milter"]
    setup = next((each for each in setups if not kind or each.kind == kind), setups[0] if setups else None)
    kind = kind or (setup.kind if setup else "other")
    users = origin in ("authenticated-port-25", "submission-filtered") or (origin == "all-filtered" and not pickup)
    who = "your users (those who log in)" if users else "this server's own programs"
    parts = _own_settings(kind, who, users)
    if users:
        parts.append(_on_submission(settings, origin, kind))
    elif pickup:
        parts.append(
            ("Or leave it" if parts else "Leave the spam filter")
            + " out of non_smtpd_milters (main.cf), which is for mail "
            "handed in with sendmail: keep the milter that signs (DKIM) there, else that mail goes out unsigned. "
            + RELOAD
        )
    else:
        parts.append(
            ("Or, for" if parts else "For") + " clients with fixed addresses (127.0.0.1): smtpd_milter_maps = "
            'cidr:/etc/postfix/milter_clients in main.cf (Postfix 3.2), with "127.0.0.0/8 DISABLE" in that file. It goes by the '
            "client's address alone, and takes all milters away for it, DKIM signing too. " + RELOAD
        )
    fact = setup.fact if setup else None
    return _remedy(" ".join(parts), fact, f"milter-{kind}-{'users' if users else 'pickup' if pickup else 'clients'}")


def _remedy(text: str, fact: Fact | None, key: str) -> Remedy:
    return Remedy(text, fact.file if fact else None, fact.line if fact else None, key=key)


def _own_settings(kind: str, who: str, users: bool) -> list[str]:
    if kind == "rspamd":
        name, test = ("authenticated", "authenticated") if users else ("local_programs", "local")
        return [_RSPAMD.format(who=who, name=name, test=test)]
    if kind == "amavis":
        how = "on a port of its own that only the submission service uses" if users else "MYNETS, with @mynetworks"
        return [_AMAVIS.format(who=who, how=how)]
    if kind == "spamassassin":
        return [_SPAMASS.format(who=who, option="-I" if users else "-i 127.0.0.1")]
    return []


def _on_submission(settings: Settings, origin: str, kind: str) -> str:
    """Return the words on leaving the spam filter out of the submission service's milters."""
    pattern = _SPAM.get(kind)
    services = [each.service for each in settings.listeners() if each.port in {465, 587}]
    lists = [split_list(each.get("smtpd_milters")) for each in services]
    rest = [name for name in (lists[0] if lists else []) if pattern and not re.search(pattern, name)]
    spared = (
        f"-o smtpd_milters={','.join(rest)}" if rest else "-o smtpd_milters= with the milter that signs (DKIM) alone"
    )
    first = "users on port 25 move there first; " if origin == "authenticated-port-25" else ""
    return (
        f"Or leave it out on the submission service in master.cf: {spared} ({first}the filter itself may be the one that signs: "
        f"then that mail goes out unsigned, and others may refuse it). {RELOAD}"
    )


def spare_by_proxy(settings: Settings, origin: str) -> Remedy:
    """Return the remedy for own mail that a before-queue proxy judged."""
    setup = next((each for each in settings.filters if each.via == "smtpd_proxy_filter"), None)
    fact = setup.fact if setup else None
    if origin in ("authenticated-port-25", "submission-filtered"):
        text = (
            "Let users hand in their mail by a submission service without the proxy: -o smtpd_proxy_filter= on it in "
        )
        text += "master.cf. Who still logs in on port 25 has to move there."
    else:
        text = "Give 127.0.0.1:25 a line of its own in master.cf without the proxy (-o smtpd_proxy_filter=), or let programs "
        text += "hand in their mail with sendmail, which no proxy sees."
    return _remedy(f"{text} {RELOAD}", fact, f"proxy-{origin}")


def spare_by_pmg() -> Remedy:
    """Return the remedy for own mail that a rule of Proxmox Mail Gateway kept back."""
    return Remedy(
        "In Proxmox Mail Gateway's rules (Mail Filter) the line of its log names which one it was: let it apply to incoming mail "
        'alone (direction "In"), or put a rule with direction "Out" and the action Accept for these senders above it. Its '
        "master.cf and main.cf are made from templates: leave them.",
        key="pmg-rules",
    )


def spare_from_hold(origin: str, *, pickup: bool = False) -> Remedy:
    """Return the remedy for own mail that MailScanner took, which judges what header_checks puts on hold."""
    if pickup:
        service, own = "pickup", "this server's own programs"
    elif origin == "local-script":
        service, own = "an smtpd of its own on 127.0.0.1", "this server's own programs"
    else:
        service, own = "the submission service", "your users"
    moved = " Users on port 25 move there first." if origin == "authenticated-port-25" else ""
    text = (
        f"Don't put mail of {own} on hold: a second cleanup in master.cf (cleanup_own unix n - y - 0 cleanup, with -o "
        f"header_checks=), and -o cleanup_service_name=cleanup_own on {service}.{moved} {RELOAD} MailScanner then looks for no "
        "viruses in that mail either. To spare it the spam checks alone, and only by address: Spam Checks = "
        '%rules-dir%/spam.checks.rules in MailScanner.conf, with lines as "From: 127.0.0.1 no" before "FromOrTo: default yes" '
        "there, and reload MailScanner."
    )
    return Remedy(text, key=f"hold-mailscanner-{service}")


def unfilter_network(settings: Settings) -> Remedy:
    """Return the remedy for mail of hosts in mynetworks that a content_filter got: words, since those hosts are others'."""
    listener = next((each for each in settings.listeners_on(25) if each.content_filter and not each.loopback), None)
    name = listener.content_filter if listener else "FILTER"
    text = (
        "Let these hosts hand in their mail by a service without the filter (a submission service, or a port of its own for "
        "mynetworks). Or decide by client on port 25: take content_filter away there, and put check_client_access "
        f'"static:{{FILTER {name}}}" at the end of smtpd_recipient_restrictions, behind permit_mynetworks and '
        "permit_sasl_authenticated: what these let pass is then not filtered."
    )
    fact = listener.service.fact("content_filter") if listener else None
    return _remedy(f"{text} {RELOAD}", fact, "network-unfiltered")


def after_release(remedy: Remedy, rows: pd.DataFrame, *, virus: bool) -> Remedy:
    """Return the remedy with what to do first about mail that lies in quarantine, on hold, or is gone.

    ``rows`` have ``kept``, ``queue_id`` and ``at_door`` (bool): whether they were kept before they came into the queue.
    """
    kept = rows["kept"]
    scanned = remedy.key.startswith("hold-mailscanner")
    held = rows[(kept == "quarantined") & rows["at_door"] & (not scanned)]
    parts = []
    if scanned and (kept == "quarantined").any():
        parts.append(
            "The mail lies in MailScanner's quarantine (Quarantine Dir, by default /var/spool/MailScanner/quarantine), no longer "
            "in the queue: look there, and release what is right."
        )
    if len(held):
        ids = [
            name for name in dict.fromkeys(held["queue_id"].astype("str")) if re.fullmatch(r"[0-9A-Za-z]{5,20}", name)
        ]
        parts.append(
            "The mail lies on hold in Postfix's queue: postsuper -H " + " ".join(ids[:5]) + " sends it on."
            if ids
            else "The mail lies on hold in Postfix's queue: postsuper -H QUEUE_ID sends it on."
        )
    if len(rows[(kept == "quarantined") & ~rows["at_door"]]):
        parts.append(
            "The mail lies in the filter's quarantine: look there, and release what is right (amavisd-release; the web "
            "page of DSPAM or Proxmox)."
        )
    if (kept == "discarded").any():
        parts.append("What was thrown away is lost: tell the senders, so that they send it again.")
    if virus:
        parts.append(
            "The filter names no spam: look first whether it is right (a program that was hacked, a forbidden file)."
        )
        return Remedy(" ".join(parts), key="blocked")
    refused = bool((kept == "refused").any())
    what = "refuse it" if refused and (kept == "refused").all() else "throw it away"
    parts += [f"Let the filter tag mail rather than {what}, or leave own mail out of it:", remedy.text]
    if refused and remedy.key.startswith("milter-rspamd"):
        parts.append(_RSPAMD_REJECT)
    return replace(remedy, text=" ".join(parts), key=f"{remedy.key}-after-{'refusal' if refused else 'release'}")
