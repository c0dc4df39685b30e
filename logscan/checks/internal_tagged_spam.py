"""Mail of this server's own users or scripts to users of this server was tagged as spam.

## What it finds
Mail that an authenticated user, or a script on this host, sent to somebody here, and that the server's own filter
tagged as spam.

## Why it matters
Colleagues don't see each other's mail: it lies in the Junk folder, and the filter learns it as spam.

## What the log shows
The mail's way from a login or a local process through the filter to a mailbox, and the filter's own verdict for that
recipient (DSPAM: a row of class S in system.log).

## What to do
Take the way by which it entered out of the filter; the finding names it and shows the change.

## When it is wrong
A connection from this host isn't always a script: fetchmail hands in mail of strangers, which may well be spam.

## When it is blind
When such mail went through the filter but the filter's verdicts aren't there, or when there was no such mail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logscan import texts
from logscan.checks.outgoing_tagged_spam import judged, unseen_filter
from logscan.outgoing import by_origin, own
from logscan.verdict import Check, Result

if TYPE_CHECKING:
    import pandas as pd

    from logscan.scan import Scan
    from logscan.settings import Settings


def run(scan: Scan, settings: Settings) -> Result:
    """Look at each delivery to a recipient here of mail submitted here."""
    mine = own(scan, settings)
    local = mine.frame[mine.frame["inside"] & ~mine.frame["outside"] & ~fetched(scan, mine.frame)]
    result = Result(eligible=len(local))
    words = "{n} mail{s} from {who} to users of this server was tagged as spam"
    judged(result, local, "mail between users of this server", unseen_filter(scan, settings))
    tagged = local["spam"].fillna(False).astype(bool)
    result.findings = by_origin(scan, settings, local[tagged], "problem", words)
    known = {(finding.cause, finding.subject) for finding in result.findings}
    for finding in by_origin(scan, settings, local[_in_spam_folder(settings, local)], "problem", words):
        if (finding.cause, finding.subject) not in known:
            finding.confidence = "medium"
            finding.summary += ", by the folder it was filed in: the filter's verdict isn't in these logs"
            result.findings.append(finding)
    return result


def _in_spam_folder(settings: Settings, frame: pd.DataFrame) -> pd.Series:
    """Return where a filtered mail without a verdict was filed as spam on delivery: the verdict's trace in Dovecot's log."""
    names = {name.lower() for name in settings.dovecot.spam_folders} | {"junk", "spam", "inbox.junk", "inbox.spam"}
    filed: pd.Series = frame["folder"].str.lower().isin(names)
    return frame["filtered"] & frame["spam"].isna() & filed


def fetched(scan: Scan, frame: pd.DataFrame) -> pd.Series:
    """Return which rows are foreign mail handed in from this host (fetchmail): a sender of another domain, no login."""
    domains = scan.correlated.local_domains
    ours = tuple(f".{name}" for name in domains if name)

    def elsewhere(sender: pd.Series) -> pd.Series:
        domain = sender.str.replace(r"(?s)^.*@", "", regex=True).str.lower()
        return sender.str.contains("@", regex=False) & ~(domain.isin(domains) | domain.str.endswith(ours))

    found: pd.Series = frame["user"].isna() & ~frame["client"].str.startswith("uid ", na=False)
    return found & texts.where(frame["sender"], elsewhere)


CHECK = Check("internal-tagged-spam", "Internal mail is tagged as spam", "mail", run, order=70)
