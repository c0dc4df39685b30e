"""Mail that left this server was tagged as spam by its own filter.

## What it finds
Mail of this server's own users, scripts and cron jobs that a remote host took, or refused after DATA, and that carried
this server's own spam verdict.

## Why it matters
Nobody but the recipient can notice: Postfix logs `status=sent`, and the mail lies in a junk folder elsewhere, or is
refused there, because this server itself called it spam.

## What the log shows
The mail's way through the filter in Postfix's log, and the filter's own verdict: a row of class S in DSPAM's system.log
for this message-id and recipient; amavis's `Tagged` action for that recipient; rspamd's `add header` or
`rewrite subject`.

## What to do
Take the way by which it entered out of the filter; the finding names it (`authenticated-port-25`, `local-script`,
`submission-filtered`, `all-filtered`) and shows the change.

## When it is wrong
A connection from this host isn't always a script: fetchmail, webmail, Mailman and Sieve redirects come from here too.
Scanning outgoing mail on purpose is no finding unless it tagged. What an alias or Sieve forwards from outside to
outside is a note.

## When it is blind
When outgoing mail went through the filter but its verdicts aren't there (DSPAM's system.log of that time), when no mail
left at all, or when a milter judges and its log is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logscan.outgoing import by_origin, own
from logscan.verdict import Check, Result

if TYPE_CHECKING:
    import pandas as pd

    from logscan.scan import Scan
    from logscan.settings import Settings

ENOUGH = 0.95
"""Share of the filtered deliveries whose verdict must be known before the rest may be called clear."""


def run(scan: Scan, settings: Settings) -> Result:
    """Look at each delivery to an outside recipient of mail submitted here."""
    mine = own(scan, settings)
    away = mine.frame[mine.frame["outside"]]
    outgoing = away[away["inside"]]
    spam = outgoing["spam"].fillna(False).astype(bool)
    result = Result(eligible=len(outgoing))
    judged(result, outgoing, "mail left this server", unseen_filter(scan, settings))
    result.findings += by_origin(
        scan,
        settings,
        outgoing[spam],
        "problem",
        "{n} mail{s} from {who} left this server tagged as spam by its own filter, to {relays}",
    )
    forwarded = away[(away["direction"] == "forwarded") & away["spam"].fillna(False).astype(bool)]
    notes = by_origin(
        scan, settings, forwarded, "note", "{n} mail{s} from outside ({who}) was forwarded to outside tagged as spam"
    )
    for note in notes:
        note.cause, note.remedy, note.why = "forwarded", None, "An alias or a Sieve script forwards mail from outside."
    result.findings += notes
    return result


def unseen_filter(scan: Scan, settings: Settings) -> bool:
    """Whether nothing at hand tells of a filter, nor that there is none: a milter leaves no trace in Postfix's log."""
    return not (scan.deliveries["hop"].any() or len(scan.verdicts) or settings.known("postfix"))


def judged(result: Result, rows: pd.DataFrame, what: str, unseen: bool) -> None:
    """Set ``checked``, and say what is missing where verdicts are."""
    known = rows["spam"].notna()
    passed = rows["judgeable"]
    result.checked = int((known | ~passed).sum())
    missing = int((passed & ~known).sum())
    if unseen and len(rows):
        result.checked = 0
        result.blind_because.append(
            "no filter shows in these logs; one that works as a milter leaves no trace in Postfix's log: give main.cf and "
            "master.cf, or the log of rspamd or amavis"
        )
    elif rows.empty:
        result.blind_because.append(f"no {what} in these logs")
    elif missing > (1 - ENOUGH) * len(rows):
        result.blind_because.append(
            f"{missing} of {len(rows)} deliveries went through the filter, but its verdicts aren't in these logs: "
            "give DSPAM's system.log of the same days (SystemLog on; it lies in DSPAM's home), or the log of amavis "
            "or rspamd"
        )


CHECK = Check("outgoing-tagged-spam", "Outgoing mail is tagged as spam", "mail", run, order=50)
