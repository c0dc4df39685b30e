"""Remedies that are words: what they change isn't in Postfix's files, or depends on what no configuration tells."""

from __future__ import annotations

from logscan.remedies.plan import RELOAD
from logscan.settings import Settings
from logscan.verdict import Remedy


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


def spare_by_milter(settings: Settings, origin: str, kind: str = "", *, pickup: bool = False) -> Remedy:
    """Return the remedy for own mail that a milter tagged, by how it came in: ``origin`` as the contract has it.

    Always words: which of a server's milters sign mail (DKIM) isn't told by their addresses.
    """
    kinds = kind or next((each.kind for each in settings.filters if each.via == "milter"), "other")
    fact = next((each.fact for each in settings.filters if each.via == "milter"), None)
    parts: list[str] = []
    if kinds == "rspamd":
        parts.append(
            "In rspamd's settings.conf, a rule for your own people: authenticated = yes (for local programs: ip = "
            '127.0.0.0/8 and your networks), apply { actions { reject = null; "add header" = null; greylist = null } }. '
            "It keeps DKIM signing and logs on as before; that is the better way. (local_networks and "
            "local.d/options.inc only change some symbols.) Check it with rspamadm configtest."
        )
    elif kinds == "amavis":
        parts.append(
            "In amavisd.conf, a policy bank for mail of your own people (originating => 1, bypass_spam_checks_maps => "
            "[1]), on a port of its own or by @mynetworks."
        )
    elif kinds == "spamassassin":
        parts.append("spamass-milter: -I leaves authenticated senders alone, -i NETWORKS those of your networks.")
    if origin in {"local-script", "all-filtered"} and pickup:
        parts.append("Or, for mail handed in with sendmail: non_smtpd_milters with the signing milter only.")
    elif origin in {"submission-filtered", "all-filtered", "authenticated-port-25"}:
        moved = " (users on port 25 have to move there first)" if origin == "authenticated-port-25" else ""
        parts.append(
            "Or, on the submission service in master.cf"
            + moved
            + ": -o smtpd_milters= with the signing milter only (as "
            "today, without the spam filter); an empty one would take DKIM signing away too, and other servers may then "
            "refuse the mail."
        )
    else:
        parts.append(
            "Or, for fixed local clients on port 25 only: smtpd_milter_maps = cidr:TABLE with ADDRESS DISABLE. It goes by the "
            "client's address, not by the login, and takes DKIM signing away for these clients too."
        )
    return Remedy(
        " ".join((*parts, RELOAD)),
        fact.file if fact else None,
        fact.line if fact else None,
        key=f"milter-{kinds}-{origin}-{pickup}",
    )
