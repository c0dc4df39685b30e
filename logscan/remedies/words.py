"""Remedies that are words: what they change isn't in Postfix's files, or depends on what no configuration tells."""

from __future__ import annotations

from logscan.findings import Remedy
from logscan.remedies.plan import RELOAD
from logscan.settings import Settings


def dspam_one_at_a_time(settings: Settings) -> Remedy:
    """Return the remedy for a filter that breaks off while several mails come at once: a transport of its own.

    Never lmtp_destination_concurrency_limit: that is the limit of every lmtp transport, Dovecot's too.
    """
    setup = next((each for each in settings.filters if each.kind == "dspam" and each.via == "content_filter"), None)
    hop = setup.destination.partition(":")[2] if setup else "unix:/SOCKET"
    text = (
        "Find out why the filter breaks off (its own log, a core dump, dmesg). DSPAM's hash driver crashes when two first "
        "mails for a new user come at one time: hand it one mail after the other, by a transport of its own. In master.cf: "
        f'"dspam unix - - n - 1 lmtp"; in main.cf: dspam_destination_concurrency_limit = 1; and content_filter = dspam:{hop} '
        "where it is lmtp:... today. Not lmtp_destination_concurrency_limit: it would slow down the delivery to Dovecot too. "
    )
    fact = setup.fact if setup else None
    return Remedy(
        f"{text}{RELOAD}", fact.file if fact else None, fact.line if fact else None, key="dspam-one-at-a-time"
    )


def case_or_extension(settings: Settings, owners: list[str], user: str = "") -> Remedy:
    """Return the remedy for mail learned under another spelling: dspam.conf's own switches."""
    delimiter = settings.postfix.get("recipient_delimiter").strip() or "+"
    mark = next((each for each in delimiter if any(each in owner.partition("@")[0][1:] for owner in owners)), "")
    cased = any(owner != owner.lower() for owner in [*owners, user])
    parts: list[str] = []
    if mark or not cased:
        parts.append(
            f"EnablePlusedDetail on, PlusedCharacter {mark or delimiter[0]} and PlusedUserLowercase on (the part from the "
            "character on is left out of the user's name; the mail still goes to the whole address)"
        )
    if cased or not mark:
        parts.append("Broken case (the user's name in lower case, in deliveries and in training calls)")
    fact = settings.dspam.fact("Home")
    return Remedy(
        f"Let DSPAM name the user alike when it filters and when it trains, in dspam.conf: {'; '.join(parts)}. Then restart "
        f"DSPAM. What was learned under the old names ({', '.join(owners) or 'none seen'}) is stranded there: dictionaries "
        "and signatures stay where they lie, mail delivered before the change can't be retrained, and the new names start "
        "with what they have (dspam_merge joins dictionaries). Canonical maps in Postfix would rewrite the address itself: "
        "don't use them for this.",
        fact.file if fact else None,
        key=f"case-or-extension-{mark}-{cased}",
    )


def signatures_kept_longer() -> Remedy:
    """Return the remedy for signatures that are gone before the user trains."""
    return Remedy(
        "Keep signatures as long as users train: see dspam_clean's -s (days) in the cron job, and the purge of the SQL "
        "tables (dspam_signature_data). More signatures take more room; they hold no mail.",
        key="signatures-kept-longer",
    )
